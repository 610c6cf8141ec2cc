"""A mapping: how a user's own columns and units are read as one of our tables, as a small TOML file says it.

What may be said belongs here, and the mappings that are shipped (`mappings/*.toml`, with the sources of what they say);
reading a file by one is `mapped`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tracebank_models.market.chunks import BARS, BOOK, QUOTES, TRADES
from tracebank_models.market.time_format import DIRECTIVES, has_zone, unknown_directives

FOLDER = Path(__file__).parent / "mappings"
OF_NAME = "name:"
"""A column whose name begins so is a group of the regular expression `file.name`, matched against the file's name."""

INTERVAL = re.compile(r"(?P<count>\d+) ?(?P<unit>s|min|m|h|d|w|mo|M)")
_TABLES = {"trades": TRADES, "quotes": QUOTES, "book": BOOK, "bars": BARS}
_INTERVALS = "e.g. 1s, 5m, 4h, 1d, 1w or 1mo"
_SIDES = ("buy", "sell", "unknown")
_TIMES = ("ts", "local_ts")
_MADE = {"clock", "interval_s"}
_OPTIONAL = {"local_ts", "seq", "side", "state", "venue", "symbol", "volume", "vwap", "trades", "mean_spread"}


class MappingError(ValueError):
    """A mapping is not one, or does not fit a file: the field, the value and what is allowed, one line."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("not a time zone, e.g. America/New_York or UTC") from error
    return name


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


Zone = Annotated[str, AfterValidator(_zone)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Column(_Strict):
    """Where a column of ours comes from, and how its cells are read."""

    column: str | list[str] = Field(default_factory=list)
    """The file's column; of times several, which are read one after the other with a space between."""
    value: str | None = None
    """A constant instead of a column."""
    divide: Annotated[float, Field(gt=0)] = 1
    multiply: Annotated[float, Field(gt=0)] = 1
    words: dict[str, str] = Field(default_factory=dict)
    """The file's words of a side or an interval, with ours."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """Of times that are numbers since 1970."""
    format: str | None = None
    """Of times that are text, as `strftime` writes it; `%f` is decimals of a second, however many."""
    timezone: Zone | None = None

    @cached_property
    def columns(self) -> list[str]:
        """The file's columns."""
        return [self.column] if isinstance(self.column, str) else self.column

    @model_validator(mode="after")
    def _checked(self) -> Column:
        if bool(self.columns) == (self.value is not None):
            raise ValueError("give one of column and value")
        if self.unit is not None and (self.format is not None or self.timezone is not None):
            raise ValueError("unit is of numbers since 1970 in UTC, without format and timezone")
        if self.format is not None:
            if wrong := unknown_directives(self.format):
                raise ValueError(f"format: {', '.join(wrong)} is not allowed: one of {' '.join(DIRECTIVES)}")
            if not has_zone(self.format) and self.timezone is None:
                raise ValueError("timezone is missing: a format without %z needs one, e.g. America/New_York or UTC")
        return self


class File(_Strict):
    """How the file is laid out, and by what it is known."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal: Literal[".", ","] = "."
    columns: list[str] = Field(default_factory=list)
    """All columns, in order, of a file without a header line."""
    headers: list[str] = Field(default_factory=list)
    """Header lines by which a file is known without being told."""
    name: Pattern | None = None
    """Of the file's name, whole; its named groups are columns `name:<group>`."""
    ignore: Pattern | None = None
    """Of lines, from their start, that are left out."""


class Mapping(_Strict):
    """How files of one layout are read as a table."""

    table: Literal["trades", "quotes", "book", "bars"]
    about: str = ""
    source: str = ""
    """Where it is written what the columns are."""
    file: File = File()
    columns: Annotated[dict[str, Column], BeforeValidator(lambda given: _columns(given))]
    """By our name; the interval of bars is `interval`: text such as 1m, 4h, 1d, 1mo."""
    only: dict[str, list[str]] = Field(default_factory=dict)
    """Values of the file's columns that rows must have; other rows are left out."""

    @model_validator(mode="after")
    def _checked(self) -> Mapping:
        allowed = [name for name in _TABLES[self.table] if name not in _MADE] + ["interval"] * (self.table == "bars")
        for name, column in self.columns.items():
            if name not in allowed:
                raise ValueError(f"columns.{name} is not a column of {self.table}: one of {', '.join(allowed)}")
            self._check_column(name, column)
        lacking = [name for name in allowed if name not in self.columns and not self._may_lack(name)]
        if lacking:
            raise ValueError(f"columns.{lacking[0]} is missing: {self.table} needs {', '.join(lacking)}")
        groups = re.compile(self.file.name or "").groupindex
        if wrong := [name for name in self.needed if name.startswith(OF_NAME) and name[len(OF_NAME) :] not in groups]:
            raise ValueError(f"{wrong[0]!r} is no group of file.name, which has {', '.join(groups) or 'none'}")
        if self.file.columns and (unknown := [c for c in self.own if c not in self.file.columns]):
            raise ValueError(f"column {unknown[0]!r} is not one of file.columns: {', '.join(self.file.columns)}")
        return self

    def _check_column(self, name: str, column: Column) -> None:
        if len(column.columns) > 1 and name not in _TIMES:
            raise ValueError(f"columns.{name}: only times are made of several columns")
        if name == "interval":
            self._check_words(name, column, lambda word: INTERVAL.fullmatch(word) is not None, _INTERVALS)
        else:
            self._check_words(
                name, column, lambda word: name == "side" and word in _SIDES, f"one of {', '.join(_SIDES)}"
            )
        timed = any((column.unit, column.format, column.timezone))
        if timed and name not in _TIMES:
            raise ValueError(f"columns.{name}: unit, format and timezone are of times alone")
        if name in _TIMES and column.value is not None:
            raise ValueError(f"columns.{name}: a time is no constant")

    def _check_words(self, name: str, column: Column, allowed: Callable[[str], bool], said: str) -> None:
        """Hold our words for a file's, or a constant, against those that there are."""
        constant = [column.value] if column.value is not None and name in ("side", "interval") else []
        if wrong := [word for word in [*column.words.values(), *constant] if not allowed(word)]:
            field = "value" if wrong[0] in constant else "words"
            reason = said if name in ("side", "interval") else "words are of side and interval alone"
            raise ValueError(f"columns.{name}.{field}: {wrong[0]!r} is not allowed: {reason}")

    def _may_lack(self, name: str) -> bool:
        return name in _OPTIONAL or self.table == "book" or (self.table == "quotes" and name.endswith("_qty"))

    @cached_property
    def needed(self) -> list[str]:
        """Columns of the file, and groups of its name, that are used."""
        used = [name for column in self.columns.values() for name in column.columns]
        return list(dict.fromkeys([*used, *self.only]))

    @cached_property
    def own(self) -> list[str]:
        """Columns of the file that are used."""
        return [name for name in self.needed if not name.startswith(OF_NAME)]


def _columns(given: Any) -> Any:
    """A column's name alone stands for `{ column = name }`."""
    if not isinstance(given, dict):
        return given
    return {name: {"column": value} if isinstance(value, str) else value for name, value in given.items()}


@cache
def parsed(text: str, origin: str = "mapping") -> Mapping:
    """Make a mapping of its TOML.

    Args:
        text: The TOML.
        origin: What it is called in an error.

    Raises:
        MappingError: It is no TOML, or says what may not be said.
    """
    try:
        return Mapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{origin}: no TOML: {error}") from error
    except ValidationError as error:
        raise MappingError(f"{origin}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """The first fault: the field, the value where it is short, and what is allowed."""
    found = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in found["loc"] if part not in ("str", "list[str]"))
    said = found["msg"].removeprefix("Value error, ")
    given = found["input"]
    value = f" {given!r}" if isinstance(given, str | int | float) and field else ""
    return f"{field}{value}{': ' if field else ''}{said[0].lower()}{said[1:]}"


def text_of(name: str) -> str:
    """Text of a mapping that is shipped, by its name, or of the user's own, by its path.

    Raises:
        MappingError: There is no such mapping, or it is wrong.
    """
    file = FOLDER / f"{name}.toml" if name in shipped() else Path(name)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"mapping {name}: no such file, nor one of {', '.join(shipped())}") from error
    parsed(text, f"mapping {name}")
    return text


@cache
def shipped() -> dict[str, str]:
    """Texts of the mappings that are shipped, by name."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.toml"))}


def recognised(header: str, path: Path) -> str | None:
    """Text of the only shipped mapping that a file's header line belongs to; None where there is none, or several."""
    found = [
        text
        for text in shipped().values()
        if header.strip() in (of := parsed(text).file).headers
        and (of.name is None or re.fullmatch(of.name, path.name) is not None)
    ]
    return found[0] if len(found) == 1 else None
