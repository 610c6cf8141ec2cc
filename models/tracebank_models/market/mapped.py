"""Files in a user's own columns, CSV or Parquet, read as a `mapping` says.

What a mapping may say belongs to `mapping`; what cells may hold is `cells`; here the one is made of the other.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tracebank_models.market import cells
from tracebank_models.market.cells import Field, check, choice, conform, optional, resting, text, time_of
from tracebank_models.market.chunks import TABLES, DecodedChunk, RejectedLine, Source
from tracebank_models.market.codecs import PARQUET_MAGIC, read_head
from tracebank_models.market.csv_blocks import MAX_TEXT, numbered_blocks, parse_text, shown_line, well_formed
from tracebank_models.market.mapping import INTERVAL, OF_NAME, Column, Mapping, MappingError, parsed, recognised
from tracebank_models.market.parquet import parquet_batches, parquet_file
from tracebank_models.market.time_format import time_of_number, time_of_text

LEFT_OUT = "left_out"
"""Kind, in the accounting, of lines that a mapping leaves out."""

_COMMA, _MARK = b"\x1f", b"\x1e"
"""Stand for a comma and for the file's own delimiter within a cell, while cells are parted by commas."""

_QUOTED = re.compile(rb'"((?:[^"\n]|"")*)"')
_TEXTS = ("venue", "symbol", "side", "state", "interval")
_UNIT_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNIT_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}


def matches(head: list[bytes], path: Path) -> bool:
    """Tell whether a file has the header line of one shipped mapping, and of that one only."""
    return mapping_of(head, path) is not None


def mapping_of(head: list[bytes], path: Path) -> str | None:
    """Return the text of the shipped mapping that a file is known by."""
    first = next((line for line in head if line.strip()), b"")
    return recognised(first.decode("utf-8", "replace"), path)


def check_fit(mapping: Mapping, path: Path) -> None:
    """Hold a mapping against a file's columns and name.

    Raises:
        MappingError: A column that the mapping names is not in the file, or its name is not of the form that it says.
        UnreadableFileError: The file is cut short, corrupt or packed otherwise.
    """
    _named(mapping, path)
    head = read_head(path)
    if head and head[0].startswith(PARQUET_MAGIC):
        with parquet_file(path) as file:
            names = list(file.schema_arrow.names)
    else:
        names = mapping.file.columns or _header(mapping, head)[1]
    for ours, column in mapping.columns.items():
        for name in column.columns:
            if not name.startswith(OF_NAME) and names.count(name) != 1:
                problem = "stands twice in the file" if name in names else "is not in the file"
                raise MappingError(f"{path}: column {name!r}, which columns.{ours} names, {problem}: {_few(names)}")
    if lacking := [name for name in mapping.own if name not in names]:
        raise MappingError(f"{path}: column {lacking[0]!r}, which only names, is not in the file: {_few(names)}")


def read(source: Source, *, chunk_lines: int = 65536) -> Iterator[DecodedChunk]:
    """Read a file by its mapping.

    Kinds in the accounting are the names of the tables. A line is a line of CSV or a row of Parquet; lines that the
    mapping leaves out are ignored as `LEFT_OUT`. Without a column `seq` rows are numbered.

    Args:
        source: The file with its mapping; its venue and symbol take the place of constants and parts of the name.
        chunk_lines: Most lines per chunk.

    Raises:
        MappingError: The mapping does not fit the file, or does not tell venue, symbol or zone.
        UnreadableFileError: The file is cut short, corrupt or packed otherwise.
    """
    mapping = parsed(source.mapping or "")
    check_fit(mapping, source.path)
    plan = _Plan(source, mapping, _named(mapping, source.path))
    head = read_head(source.path)
    if head and head[0].startswith(PARQUET_MAGIC):
        yield from _parquet_chunks(plan, chunk_lines)
    else:
        yield from _csv_chunks(plan, head, chunk_lines)


def _csv_chunks(plan: _Plan, head: list[bytes], chunk_lines: int) -> Iterator[DecodedChunk]:
    file = plan.mapping.file
    header, names = (None, file.columns) if file.columns else _header(plan.mapping, head)
    names = [name if names.index(name) == at else f"{name}#{at}" for at, name in enumerate(names)]
    ignore = re.compile(file.ignore.encode()) if file.ignore else None
    for first, block in numbered_blocks(plan.source.path, chunk_lines):
        lines = _by_commas(block, file.delimiter)
        left_out = [ignore.match(line) is not None for line in block] if ignore else []
        if any(left_out):
            lines = [b"" if out else line for out, line in zip(left_out, lines, strict=True)]
        good, numbers, ignored, rejected = well_formed(lines, first, len(names), header)
        if any(left_out):
            ignored[LEFT_OUT] = sum(left_out)
            ignored["blank"] -= sum(left_out)
        raw = parse_text(good, names, plan.mapping.own)
        if lines is not block:
            raw = raw.with_columns(_restored(pl.all(), file.delimiter))
        raw = raw.with_columns(line=pl.Series(numbers, dtype=pl.Int64))
        shown = [block[number - first] for number in numbers]
        yield plan.chunk(len(block), raw, ignored, rejected, lambda i, shown=shown: shown_line(shown[i]))  # type: ignore[misc]


def _parquet_chunks(plan: _Plan, chunk_lines: int) -> Iterator[DecodedChunk]:
    path, done = plan.source.path, 0
    with parquet_file(path) as file:
        for batch in parquet_batches(path, file, chunk_lines, plan.mapping.own):
            raw = pl.DataFrame(batch)
            words = [name for name, kind in raw.schema.items() if isinstance(kind, pl.Categorical | pl.Enum)]
            raw = raw.with_columns(
                pl.col(words).cast(pl.String), line=pl.int_range(done + 1, done + 1 + pl.len(), dtype=pl.Int64)
            )
            yield plan.chunk(batch.num_rows, raw, {}, [], lambda i, raw=raw: _shown(raw, i))  # type: ignore[misc]
            done += batch.num_rows


@dataclass(slots=True)
class _Plan:
    """How one file is read."""

    source: Source
    mapping: Mapping
    named: dict[str, str]

    def chunk(
        self,
        lines: int,
        raw: pl.DataFrame,
        ignored: dict[str, int],
        rejected: list[RejectedLine],
        shown: Callable[[int], str],
    ) -> DecodedChunk:
        """Make rows of cells."""
        table = self.mapping.table
        if self.mapping.only:
            kept = [pl.col(name).cast(pl.String).is_in(values) for name, values in self.mapping.only.items()]
            before, all_shown = raw.height, shown
            raw = raw.with_row_index("at").filter(pl.all_horizontal(kept).fill_null(False))
            ignored = ignored | {LEFT_OUT: ignored.get(LEFT_OUT, 0) + before - raw.height}
            places = raw["at"].to_list()
            shown = lambda row: all_shown(places[row])  # noqa: E731
        mine, fields = self._cells(raw)
        rows, bad = check(mine, fields, shown)
        ignored = {kind: count for kind, count in ignored.items() if count}
        if table == "trades":
            rows = cells.without_nothing(rows, "qty", table, ignored)
        has_ids = "seq" in self.mapping.columns or table == "bars"
        chunk = DecodedChunk(lines, ignored=ignored, has_ids=has_ids)
        chunk.rejected = sorted([*rejected, *bad], key=lambda line: line.line)
        chunk.frames[table] = conform(table, rows, **self._made(rows))
        return chunk

    def _cells(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, list[Field]]:
        """Cells under our names, and how each is read."""
        mine: dict[str, pl.Expr] = {}
        fields = []
        for name, column in self.mapping.columns.items():
            if name in ("venue", "symbol") and self._is_given(name):
                continue
            kind = raw.schema.get(column.columns[0], pl.String()) if column.columns else pl.String()
            cell = self._cell(column)
            if name in _TEXTS:
                cell = cell.cast(pl.String)
            if name in _TEXTS or isinstance(kind, pl.String):
                cell = cell.str.strip_chars()
            mine[name] = cell
            fields.append(self._field(name, column, kind))
        return raw.select("line", **mine), fields

    def _cell(self, column: Column) -> pl.Expr:
        if column.value is not None:
            return pl.lit(column.value)
        parts = [
            pl.lit(self.named[name.removeprefix(OF_NAME)]) if name.startswith(OF_NAME) else pl.col(name)
            for name in column.columns
        ]
        return parts[0] if len(parts) == 1 else pl.concat_str(parts, separator=" ")

    def _is_given(self, name: str) -> bool:
        """Whether the user said what the mapping has as a constant, or takes from the file's name."""
        column = self.mapping.columns[name]
        return getattr(self.source, name) is not None and all(part.startswith(OF_NAME) for part in column.columns)

    def _field(self, name: str, column: Column, kind: pl.DataType) -> Field:
        if name in ("ts", "local_ts"):
            return time_of(name, self._time(name, column, kind), form=_form(column), optional=name != "ts")
        if name in ("venue", "symbol"):
            return text(name)
        if name == "side":
            words = column.words or {word: word for word in ("buy", "sell", "unknown")}
            return choice(name, {word.lower(): ours for word, ours in words.items()}, empty="unknown")
        if name == "state":
            return choice(name, {word: word for word in ("whole", "partial", "stale")})
        if name == "interval":
            return _interval(column)
        if name == "seq":
            return cells.whole(name)
        field = cells.price(name) if _is_price(name) else cells.quantity(name)
        field = dataclasses.replace(field, value=_scaled(name, column, self.mapping.file.decimal, kind))
        needed = self.mapping.table == "trades" or name in ("open", "high", "low", "close")
        return field if needed else optional(field)

    def _time(self, name: str, column: Column, kind: pl.DataType) -> pl.Expr:
        cell = pl.col(name)
        if len(column.columns) == 1 and isinstance(kind, pl.Datetime | pl.Date):
            return self._moment(name, column, cell, kind)
        if column.format is not None:
            return time_of_text(cell.cast(pl.String), column.format, column.timezone)
        if column.unit is None:
            raise MappingError(f"{self.source.path}: columns.{name} needs a unit (of numbers) or a format (of text)")
        if kind.is_float():
            nanoseconds = (cell * _UNIT_NS[column.unit]).round()
            return cells.epoch_time(nanoseconds.cast(pl.Int64, strict=False), "ns")
        return time_of_number(cell.cast(pl.String), column.unit)

    def _moment(self, name: str, column: Column, cell: pl.Expr, kind: pl.DataType) -> pl.Expr:
        """Times that the file itself holds as such."""
        if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
            return cells.epoch_time(cell.dt.timestamp("ns"), "ns")
        if column.timezone is None:
            raise MappingError(f"{self.source.path}: columns.{name}.timezone is missing: the file's times name no zone")
        local = cell.cast(pl.Datetime("ns")).dt.replace_time_zone(
            column.timezone, ambiguous="null", non_existent="null"
        )
        return cells.epoch_time(local.dt.convert_time_zone("UTC").dt.timestamp("ns"), "ns")

    def _made(self, rows: pl.DataFrame) -> dict[str, pl.Expr | str | None]:
        """Columns of the table that the file does not have, and those that are not taken as they are."""
        table = self.mapping.table
        made: dict[str, pl.Expr | str | None] = {"kind": table}
        given = {"clock": "exchange", "side": "unknown", "state": "whole"}
        for name in TABLES[table]:
            if name not in rows.columns:
                made[name] = given.get(name)
        for name in ("venue", "symbol"):
            if name not in rows.columns:
                made[name] = self._said(name)
        if "seq" in made:
            made["seq"] = pl.col("line")
        if table == "bars":
            months = pl.concat_str(pl.when(pl.col("interval") < 0).then(-pl.col("interval")).otherwise(0), pl.lit("mo"))
            length = (pl.col("ts").dt.offset_by(months) - pl.col("ts")).dt.total_seconds()
            made["interval_s"] = pl.when(pl.col("interval") < 0).then(length).otherwise(pl.col("interval"))
        if table in ("quotes", "book"):
            made |= {name: _of_level(name, rows.columns) for name in rows.columns if "price" in name or "qty" in name}
        return made

    def _said(self, name: str) -> str:
        said: str | None = getattr(self.source, name)
        if said is None:
            raise MappingError(f"{self.source.path}: {name} is told by no column, name or folder: pass --{name}")
        return said


def _is_price(name: str) -> bool:
    return "price" in name or name in ("open", "high", "low", "close", "vwap", "mean_spread")


def _of_level(name: str, columns: list[str]) -> pl.Expr:
    price, qty = name.replace("qty", "price"), name.replace("price", "qty")
    return resting(price, qty, name) if price in columns and qty in columns else pl.col(name)


def _form(column: Column) -> str:
    return f" in {column.unit}" if column.unit else f" as {column.format}" if column.format else ""


def _scaled(name: str, column: Column, decimal: str, kind: pl.DataType) -> pl.Expr:
    cell = pl.col(name)
    if decimal != "." and isinstance(kind, pl.String):
        cell = cell.str.replace(decimal, ".", literal=True)
    number = cell.cast(pl.Float64, strict=False)
    if column.divide != 1:
        number = number.map_batches(lambda numbers: _divided(numbers, column.divide), return_dtype=pl.Float64)
    return number * column.multiply if column.multiply != 1 else number


def _divided(numbers: pl.Series, divisor: float) -> pl.Series:
    # Not by polars: it multiplies by the reciprocal, and 585.8 becomes 585.8000000000001.
    return pl.Series(numbers.name, numbers.to_numpy() / divisor, nan_to_null=True)


def _interval(column: Column) -> Field:
    """Seconds of an interval; months, which have no fixed length, as a number below zero."""
    cell = pl.col("interval").cast(pl.String)
    if column.words:
        cell = cell.replace(column.words)
    parts = cell.str.extract_groups(f"^{INTERVAL.pattern.replace('?P', '?')}$")
    count, unit = parts.struct.field("count").cast(pl.Int64), parts.struct.field("unit")
    fixed = unit.replace_strict(_UNIT_S, default=None, return_dtype=pl.Int64)
    value = pl.when(unit.is_in(["mo", "M"])).then(-count).otherwise(count * fixed)
    return Field("interval", value, "a length such as 1s, 5m, 4h, 1d, 1w or 1mo", pl.col("interval") != 0)


def _named(mapping: Mapping, path: Path) -> dict[str, str]:
    """Groups of the file's name; those that did not take part are empty."""
    if mapping.file.name is None:
        return {}
    found = re.fullmatch(mapping.file.name, path.name)
    if found is None and any(name.startswith(OF_NAME) for name in mapping.needed):
        raise MappingError(
            f"{path}: the name {path.name!r} is not of the form that file.name says: {mapping.file.name}"
        )
    return {name: value or "" for name, value in (found.groupdict() if found else {}).items()}


def _header(mapping: Mapping, head: list[bytes]) -> tuple[bytes, list[str]]:
    """The header line, by commas, and the names in it."""
    first = next((line for line in head if line.strip()), b"")
    header = _by_commas([first], mapping.file.delimiter)[0]
    names = [cell.strip() for cell in header.decode("utf-8", "replace").split(",")]
    marks = str.maketrans({_COMMA.decode(): ",", _MARK.decode(): mapping.file.delimiter})
    names = [name.translate(marks) for name in names]
    return header, names


def _by_commas(lines: list[bytes], delimiter: str) -> list[bytes]:
    """Lines whose cells are parted by commas and stand without quotes; `_restored` takes back what that replaced."""
    mark = delimiter.encode()
    joined = b"\n".join(lines)
    if b'"' not in joined and mark == b",":
        return lines
    if mark != b",":
        joined = joined.replace(b",", _COMMA)
    joined = _QUOTED.sub(
        lambda cell: cell[1].replace(b'""', b'"').replace(mark, _COMMA if mark == b"," else _MARK), joined
    )
    return joined.replace(mark, b",").split(b"\n")


def _restored(cell: pl.Expr, delimiter: str) -> pl.Expr:
    return cell.str.replace_many([_COMMA.decode(), _MARK.decode()], [",", delimiter])


def _few(names: list[str]) -> str:
    return f"it has {', '.join(names)[:200] or 'none'}"


def _shown(raw: pl.DataFrame, row: int) -> str:
    return ",".join(f"{name}={value}" for name, value in raw.row(row, named=True).items() if name != "line")[:MAX_TEXT]
