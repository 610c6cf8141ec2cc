"""Rows of a user's file: JSON lines, CSV, tab-separated or Parquet, packed by gzip or not; one line for what is wrong.

Which columns are wanted, and what they mean, is the reader's to say.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

import msgspec
import polars as pl

SUFFIXES: Final = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""How a file's name ends, by which it is read; `.jsonl`, `.csv` and `.tsv` may have `.gz` behind it."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]


class Row(dict[str, Any]):
    """Values of a row by column, and where it stands."""

    place: str
    """File and number of the line, or of the row."""

    def text(self, column: str) -> str:
        """Text of a column.

        Raises:
            ValueError: There is no such column, or it holds something else.
        """
        if column not in self:
            raise ValueError(f"{self.place}: no column {column!r}; allowed: {', '.join(map(str, self)) or 'none'}")
        value = self[column]
        if not isinstance(value, str):
            raise ValueError(f"{self.place}: {column} is {str(value)[:60]!r}; allowed: text")
        return value

    def name(self, column: str) -> str:
        """Text or a whole number of a column, as text.

        Raises:
            ValueError: There is no such column, or it holds something else.
        """
        value = self.get(column)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else self.text(column)

    def number(self, column: str) -> float:
        """A finite number, also where it is written as text.

        Raises:
            ValueError: There is no such column, or it holds something else.
        """
        value = self[column] if column in self else self.text(column)
        try:
            found = float("nan" if isinstance(value, bool) else value)
        except (TypeError, ValueError, OverflowError):
            found = float("nan")
        if not abs(found) < float("inf"):
            raise ValueError(f"{self.place}: {column} is {str(value)[:60]!r}; allowed: a finite number")
        return found


class FileEntry(msgspec.Struct, frozen=True, tag_field="kind"):
    """An entry of a registry that stands in a file; with rows, unless it says otherwise."""

    path: Text

    endings: ClassVar[tuple[str, ...]] = SUFFIXES

    def beside(self, folder: Path, where: str) -> Self:
        """The same with its path taken from a folder.

        Raises:
            ValueError: There is no such file, or it is of a kind that is not read; the line begins with `where`.
        """
        path = folder / self.path
        if not path.is_file():
            raise ValueError(f"{where}.path: {str(path)!r} is no file")
        if _kind(path) not in self.endings:
            raise ValueError(f"{where}.path: {path.name!r} is not allowed; allowed: {', '.join(self.endings)}")
        return msgspec.structs.replace(self, path=str(path))


def rows(path: Path) -> Iterator[Row]:
    """Rows of a file in their order.

    Raises:
        ValueError: It cannot be read, or has no row; one line names file, line and what is allowed.
    """
    found = 0
    for row in _json_lines(path) if _kind(path) in (".jsonl", ".ndjson") else _table(path):
        found += 1
        yield row
    if not found:
        raise ValueError(f"{path.name}: no row; allowed: at least one")


def plain_bytes(path: Path) -> bytes:
    """Content of a file, unpacked.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name}: cannot be read ({error})") from None


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def _json_lines(path: Path) -> Iterator[Row]:
    decoder = msgspec.json.Decoder()
    for number, line in enumerate(plain_bytes(path).removeprefix(_BYTE_ORDER_MARK).splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{path.name} line {number}"
        try:
            value = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{place}: no JSON ({error})") from None
        if not isinstance(value, dict):
            raise ValueError(f"{place}: {str(value)[:60]!r}; allowed: an object")
        yield _row(place, value)


def _table(path: Path) -> Iterator[Row]:
    try:
        if _kind(path) == ".parquet":
            frame = pl.read_parquet(path)
        else:
            separator = "," if _kind(path) == ".csv" else "\t"
            frame = pl.read_csv(plain_bytes(path), separator=separator, infer_schema=False)
            frame = frame.with_columns(pl.all().fill_null(""))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path.name}: cannot be read ({str(error).splitlines()[0]})") from None
    for number, values in enumerate(frame.iter_rows(named=True), start=1):
        yield _row(f"{path.name} row {number}", values)


def _row(place: str, values: dict[str, Any]) -> Row:
    row = Row(values)
    row.place = place
    return row
