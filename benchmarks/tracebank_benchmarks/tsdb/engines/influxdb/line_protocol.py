"""Rows as InfluxDB's points: which columns are tags, one time for each row, and line protocol as bytes.

A point is (measurement, tags, time) and a second one of equal key silently takes the first one's place. Every row
therefore gets a time of its own: rows of one key that tie, or crowd, move on by a nanosecond each, in their order. What
`ts` was is kept in a field; a row never leaves its second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
import pyarrow as pa

from tracebank.stores.faults import FrameRefused
from tracebank_schemas.series import TIMESTAMP, Column, SeriesTable

SECOND: Final = 1_000_000_000
FIRST_TIME: Final = -(2**63) + 2
LAST_TIME: Final = 2**63 - 2
"""Ends of what the engine takes as a time."""
_ROUNDS: Final = 1000
# Neither tags nor streamed CSV carry these bytes; a letter after ESC does.
_ESCAPES: Final = (("\x1b", "\x1be"), ("\\", "\x1bb"), ("\n", "\x1bn"), ("\r", "\x1br"), ("\0", "\x1bz"))
_EMPTY: Final = "\x1b0"


def encoded(value: pl.Expr) -> pl.Expr:
    """Text with the characters spelt out that the protocol does not carry everywhere."""
    for plain, spelt in _ESCAPES:
        value = value.str.replace_all(plain, spelt, literal=True)
    return value


def encoded_text(value: str) -> str:
    """As `encoded`, of one value."""
    for plain, spelt in _ESCAPES:
        value = value.replace(plain, spelt)
    return value


def decoded(value: pl.Expr) -> pl.Expr:
    """The text that `encoded` took."""
    value = value.str.replace_all(_EMPTY, "", literal=True)
    for plain, spelt in reversed(_ESCAPES):
        value = value.str.replace_all(spelt, plain, literal=True)
    return value


@dataclass(frozen=True)
class Layout:
    """What a table's columns are as points."""

    table: SeriesTable
    stamp: str
    """The column whose time the point has."""
    tags: tuple[str, ...]
    """In the order of the protocol: by name."""

    @classmethod
    def of(cls, table: SeriesTable) -> Layout:
        """The layout of a declaration: text of few values and partition keys are tags, all else is fields.

        Raises:
            FrameRefused: the table has no time stamps, or lists.
        """
        stamp = next((column.name for column in table.columns if column.type == TIMESTAMP), None)
        if stamp is None:
            raise FrameRefused(f"table {table.name}: has no time stamps; InfluxDB keeps points in time alone")
        if lists := [column.name for column in table.columns if pa.types.is_list(column.type)]:
            raise FrameRefused(f"table {table.name}: columns {lists} are lists; InfluxDB keeps none")
        if "time" in table.arrow_schema.names:
            raise FrameRefused(
                f"table {table.name}: a column is called time, which is InfluxDB's own name for a point's time"
            )
        keys = set(table.partition_columns.values()) - {stamp}
        few = {c.name for c in table.columns if c.repeated and c.type == pa.string() and not c.nullable}
        return cls(table, stamp, tuple(sorted(keys | few)))

    @property
    def fields(self) -> tuple[Column, ...]:
        """Columns that are fields; the time stamp is one of them."""
        return tuple(column for column in self.table.columns if column.name not in self.tags)

    def lines(self, rows: pl.DataFrame) -> pl.Series:
        """Line protocol of rows that have a column `time`, a line end at the end of each.

        Raises:
            FrameRefused: a value is none that the engine keeps.
        """
        self.check(rows)
        rows = rows.with_columns(
            *(_spelt(rows[name].cast(pl.String), _tag_value) for name in self.tags),
            *(_spelt(rows[column.name], _text_value(column)) for column in self.fields if column.type == pa.string()),
        )
        head = [pl.lit(_escaped_name(self.table.name))]
        head += [_tag(name, empty=bool((rows[name] == "").any())) for name in self.tags]
        first, *others = sorted(self.fields, key=lambda column: column.name != self.stamp)
        body = [*_field(first, " "), *(part for column in others for part in _field(column, ","))]
        # Nulls are left out: of tags and fields that are missing nothing is written.
        line = pl.concat_str([*head, *body, pl.lit(" "), "time", pl.lit("\n")], ignore_nulls=True)
        return rows.select(line=line).to_series()

    def check(self, rows: pl.DataFrame) -> None:
        """Refuse values that the engine does not keep.

        Raises:
            FrameRefused: names the column.
        """
        floats = [c.name for c in self.fields if pa.types.is_floating(c.type)]
        unsigned = [c.name for c in self.fields if c.type == pa.uint64()]
        faults = rows.select(
            *(pl.col(name).is_finite().not_().any() for name in floats),
            *(pl.col(name).gt(2**63 - 1).any().alias(name) for name in unsigned),
            pl.col(self.stamp).cast(pl.Int64).is_between(FIRST_TIME, LAST_TIME - SECOND).not_().any().alias("time"),
        ).row(0, named=True)
        if bad := [name for name, found in faults.items() if found]:
            what = "times" if bad[0] == "time" else f"values in column {bad[0]}"
            raise FrameRefused(
                f"table {self.table.name}: {what} that InfluxDB does not keep (infinite, no number, or beyond 64 bits);"
                " nothing was written"
            )


def bodies(lines: pl.Series, batch: int) -> Iterator[memoryview]:
    """Lines as request bodies of at most `batch` points each, without a copy of the text."""
    array = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets = _offsets(array)
    text = memoryview(array.buffers()[2] or b"")
    for start in range(0, len(array), batch):
        end = min(start + batch, len(array))
        yield text[int(offsets[start]) : int(offsets[end])]


def _offsets(array: pa.Array[Any]) -> memoryview:
    held = memoryview(array.buffers()[1] or b"").cast("B").cast("q")
    return held[array.offset : array.offset + len(array) + 1]


def _escaped_name(name: str) -> str:
    return name.replace(",", r"\,").replace(" ", r"\ ")


def _spelt(values: pl.Series, spell: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """Values as they are written; few distinct ones are spelt once each."""
    distinct = values.unique()
    if 2 * len(distinct) > len(values):
        return values.to_frame().select(spell(pl.col(values.name))).to_series()
    spelt = distinct.to_frame().select(spell(pl.col(values.name))).to_series()
    return values if spelt.equals(distinct, null_equal=True) else values.replace_strict(distinct, spelt)


def _tag_value(value: pl.Expr) -> pl.Expr:
    value = encoded(value)
    for character in (",", "=", " "):
        value = value.str.replace_all(character, "\\" + character, literal=True)
    return value


def _text_value(column: Column) -> Callable[[pl.Expr], pl.Expr]:
    def spell(value: pl.Expr) -> pl.Expr:
        value = encoded(value)
        if column.nullable:
            value = pl.when(value == "").then(pl.lit(_EMPTY)).otherwise(value)
        return value.str.replace_all('"', '\\"', literal=True)

    return spell


def _tag(name: str, *, empty: bool) -> pl.Expr:
    key = _escaped_name(name).replace("=", r"\=")
    text = pl.concat_str([pl.lit(f",{key}="), name])
    # A tag without a value is no tag; it is read back as the empty text.
    return pl.when(pl.col(name) != "").then(text) if empty else text


def _field(column: Column, before: str) -> list[pl.Expr]:
    """What one field adds to a line."""
    key = before + _escaped_name(column.name).replace("=", r"\=") + "="
    value, opens, closes = pl.col(column.name), "", ""
    if column.type == TIMESTAMP or pa.types.is_integer(column.type) or column.type == pa.date32():
        value, closes = value.cast(pl.Int64), "i"
    elif column.type == pa.string():
        opens, closes = '"', '"'
    parts = [pl.lit(key + opens), value.cast(pl.String), pl.lit(closes)]
    parts = parts if closes else parts[:2]
    return [pl.concat_str(parts)] if column.nullable else parts


@dataclass
class Times:
    """Gives every row of a table a time of its own, block after block.

    Times of blocks are remembered where later blocks may meet them: 16 bytes a row.
    """

    layout: Layout
    key: tuple[str, ...]
    """Columns within which times are unique; none for all rows of the table."""
    _taken: list[tuple[int, int, pl.DataFrame]] = field(default_factory=list)

    def assign(self, rows: pl.DataFrame, existing: pl.DataFrame | None = None) -> pl.DataFrame:
        """Rows in the order of their keys and times, with a column `time`.

        Args:
            rows: rows with all columns of the table.
            existing: `_key` and `time` of points that stand.

        Raises:
            FrameRefused: so many rows tie that they would leave their second.
        """
        table, stamp = self.layout.table, self.layout.stamp
        order = [name for name in (*table.unique_key, *table.sort_key) if name not in (*self.key, stamp)]
        rows = rows.with_columns(_key=_hashed(self.key), time=pl.col(stamp).cast(pl.Int64))
        rows = rows.sort("_key", "time", *dict.fromkeys(order), maintain_order=True) if rows.height > 1 else rows
        rows = self._spread(rows)
        if not rows.height:
            return rows.drop("_key")
        taken = self._near(rows, existing)
        for _ in range(_ROUNDS):
            if taken is None:
                break
            free = rows.with_columns(_met=_met(rows, taken))
            if not free["_met"].any():
                break
            rows = self._spread(free.with_columns(time=pl.col("time") + pl.col("_met").cast(pl.Int64)).drop("_met"))
        else:
            raise self._crowded()
        if rows.select((pl.col("time") // SECOND != pl.col(stamp).cast(pl.Int64) // SECOND).any()).item():
            raise self._crowded()
        self._remember(rows)
        return rows.drop("_key")

    def _spread(self, rows: pl.DataFrame) -> pl.DataFrame:
        at = pl.int_range(pl.len())
        moved = (pl.col("time") - at).cum_max() + at
        return rows.with_columns(time=moved.over("_key") if self.key else moved)

    def _near(self, rows: pl.DataFrame, existing: pl.DataFrame | None) -> pl.DataFrame | None:
        low, high = rows.select(low=pl.col("time").min(), high=pl.col("time").max()).row(0)
        meets = pl.col("time").is_between(low, high + SECOND)
        near = [frame.filter(meets) for first, last, frame in self._taken if first <= high + SECOND and last >= low]
        if existing is not None and existing.height:
            near.append(existing.select("_key", "time"))
        return pl.concat(near) if near else None

    def _remember(self, rows: pl.DataFrame) -> None:
        low, high = rows.select(low=pl.col("time").min(), high=pl.col("time").max()).row(0)
        self._taken.append((low, high, rows.select("_key", "time")))

    def _crowded(self) -> FrameRefused:
        return FrameRefused(
            f"table {self.layout.table.name}: too many rows of one key at the end of one second for times of their own;"
            " nothing more was written"
        )


def _hashed(key: Sequence[str]) -> pl.Expr:
    return pl.struct(key).hash() if key else pl.lit(0, dtype=pl.UInt64)


def _met(rows: pl.DataFrame, taken: pl.DataFrame) -> pl.Series:
    hits = taken.select("_key", "time").unique().with_columns(_hit=True)
    joined = rows.select("_key", "time").join(hits, on=["_key", "time"], how="left", maintain_order="left")
    return joined["_hit"].fill_null(False)


def hashed_keys(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """`_key` and `time` of points, as `Times.assign` compares them."""
    return rows.select(_key=_hashed(key), time="time")
