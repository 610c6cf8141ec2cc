"""Rows on their way to q and back: which vectors a table's columns become, and what q cannot keep.

q has no nulls apart from certain values, and empty text is its null of text: a nullable column has a second one of
booleans beside it, `<name>_null`. Text of few values and keys are symbols, other text is strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tracebank.stores.faults import FrameRefused
from tracebank_benchmarks.tsdb.engines.kdb.connection import NULL_LONG, pykx
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable

_SUFFIX: Final = "_null"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TYPES: Final[dict[pa.DataType, tuple[str, pa.DataType]]] = {
    TIMESTAMP: ("p", TIMESTAMP),
    pa.date32(): ("d", pa.date32()),
    pa.bool_(): ("b", pa.bool_()),
    pa.int8(): ("h", pa.int16()),
    pa.int16(): ("h", pa.int16()),
    pa.int32(): ("i", pa.int32()),
    pa.int64(): ("j", pa.int64()),
    pa.uint8(): ("h", pa.int16()),
    pa.uint16(): ("i", pa.int32()),
    pa.uint32(): ("j", pa.int64()),
    pa.uint64(): ("j", pa.int64()),
    pa.float32(): ("e", pa.float32()),
    pa.float64(): ("f", pa.float64()),
    pa.list_(pa.float32()): ("E", pa.list_(pa.float32())),
    pa.list_(pa.float64()): ("F", pa.list_(pa.float64())),
}
"""Letter of q's type, and the Arrow type of the vector that is sent."""
_NULLS: Final[dict[pa.DataType, int]] = {pa.int16(): -(2**15), pa.int32(): -(2**31), pa.int64(): NULL_LONG}
_FIRST: Final = 946_684_800_000_000_000 - 2**63 + 1
"""q's first time stamp, in 1707, as nanoseconds since 1970."""


@dataclass(frozen=True)
class Rows:
    """What a table's columns are in q."""

    table: SeriesTable
    day: str
    """Column whose UTC day is the partition, or empty."""
    stamp: str
    """The first time stamp, or empty."""
    symbols: frozenset[str]

    @classmethod
    def of(cls, table: SeriesTable) -> Rows:
        """The layout of a declaration.

        Raises:
            FrameRefused: a name is none that q takes, or one that the adapter needs itself.
        """
        names = [table.name, *table.arrow_schema.names]
        bad = [name for name in names if not _NAME.fullmatch(name) or name == "date" or name.endswith(_SUFFIX)]
        if bad:
            raise FrameRefused(
                f"table {table.name}: names {bad} are not accepted by kdb+; use letters, digits and _, not date, nor"
                f" an end of {_SUFFIX}"
            )
        day = next((key.column for key in table.partition_keys if isinstance(key, Day)), "")
        stamp = next((column.name for column in table.columns if column.type == TIMESTAMP), "")
        keys = set(table.partition_columns.values()) | set(table.sort_key)
        few = {c.name for c in table.columns if c.type == pa.string() and (c.repeated or c.name in keys)}
        return cls(table, day, stamp, frozenset(few))

    def letter(self, column: Column) -> str:
        """Letter of a column's type; capital ones are lists of lists."""
        if column.type == pa.string():
            return "s" if column.name in self.symbols else "C"
        return _TYPES[column.type][0]

    @property
    def names(self) -> list[str]:
        """Columns in q."""
        return [name for column in self.table.columns for name in self.physical(column)]

    @staticmethod
    def physical(column: Column) -> list[str]:
        """Columns that one column is in q."""
        return [column.name, column.name + _SUFFIX] if column.nullable else [column.name]

    @property
    def types(self) -> str:
        """Letters of the types of `names`."""
        return "".join(self.letter(column) + ("b" if column.nullable else "") for column in self.table.columns)

    @property
    def attributes(self) -> dict[str, str]:
        """`p` on the first column of the order, where it is symbols, else `s`; `g` on further symbols that are keys."""
        first, *_ = [*self.table.sort_key, ""]
        found = {first: "p" if first in self.symbols else "s"} if first else {}
        keys = [name for name in self.table.partition_columns.values() if name in self.symbols and name != first]
        return found | dict.fromkeys(keys, "g")

    def vectors(self, rows: pa.Table) -> list[Any]:
        """Rows as one q vector for each of `names`.

        Args:
            rows: as `frames.fitted` gives them.

        Raises:
            FrameRefused: a value is none that q keeps.
        """
        return [vector for column in self.table.columns for vector in self._vectors(column, rows.column(column.name))]

    def _vectors(self, column: Column, values: pa.ChunkedArray[Any]) -> list[Any]:
        missing = [pykx().toq(pc.is_null(values).to_numpy())] if column.nullable else []
        if pa.types.is_list(column.type):
            return [_listed(values), *missing]
        if column.type == pa.string():
            return [self._text(column, values), *missing]
        zero: Any = pa.scalar(0, pa.int64()).cast(_storage(column.type)).cast(column.type)
        plain = pc.fill_null(values, zero)
        if column.type == TIMESTAMP:
            stamps = plain.cast(pa.int64()).to_numpy()
            self._check(column, bool((stamps < _FIRST).any()), "times before 1707-09-22")
            return [pykx().toq(stamps.view("datetime64[ns]")), *missing]
        if column.type == pa.date32():
            return [pykx().toq(plain.cast(pa.int32()).to_numpy().astype("datetime64[D]")), *missing]
        if column.type == pa.uint64():
            self._check(column, bool((plain.to_numpy() > 2**63 - 1).any()), "values of more than 63 bits")
        return [pykx().toq(plain.cast(_TYPES[column.type][1]).to_numpy()), *missing]

    def _text(self, column: Column, values: pa.ChunkedArray[Any]) -> Any:
        held: Any = values.cast(pa.large_string())
        texts: Any = pc.fill_null(held, "")
        with_nul = pl.Series(values=texts).str.contains("\0", literal=True).any()
        self._check(column, bool(with_nul), "text with a NUL")
        if column.name not in self.symbols:
            return pykx().toq(texts.cast(pa.large_binary()).to_pylist())
        if not len(texts):
            return pykx().toq([], ktype=pykx().SymbolVector)
        return pykx().toq(texts.to_numpy(zero_copy_only=False).astype(object))

    def _check(self, column: Column, bad: bool, what: str) -> None:
        if bad:
            raise FrameRefused(
                f"table {self.table.name}: column {column.name} has {what}, which kdb+ does not keep; nothing was"
                " written"
            )

    def frame(self, answer: pa.Table, names: list[str]) -> pl.DataFrame:
        """q's answer as declared.

        Args:
            answer: a table with all physical columns of `names`.
            names: columns wanted.
        """
        columns = {column.name: column for column in self.table.columns}
        made = {name: self._declared(columns[name], answer) for name in names}
        schema = self.table.polars_schema
        return pl.DataFrame(
            {name: pl.Series(name, pl.from_arrow(values)).cast(schema[name]) for name, values in made.items()}
        )

    @staticmethod
    def _declared(column: Column, answer: pa.Table) -> Any:
        values: Any = answer.column(column.name)
        if column.type == pa.string():
            values = pc.fill_null(values.cast(pa.large_string()), "")
        elif column.type == pa.date32():
            values = values.cast(pa.timestamp("s")).cast(pa.date32())
        elif pa.types.is_list(column.type):
            values = values.cast(pa.large_list(column.type.field(0).type))
        elif pa.types.is_floating(column.type):
            values = pc.fill_null(values.cast(column.type), float("nan"))
        elif column.type != TIMESTAMP and column.type != pa.bool_():
            stored = _TYPES[column.type][1]
            values = pc.fill_null(values.cast(stored), pa.scalar(_NULLS[stored], stored)).cast(column.type)
        if not column.nullable:
            return values
        return pc.if_else(answer.column(column.name + _SUFFIX), pa.scalar(None, values.type), values)


def _storage(kind: pa.DataType) -> pa.DataType:
    if kind == TIMESTAMP:
        return pa.int64()
    return pa.int32() if kind == pa.date32() else kind


def _listed(values: pa.ChunkedArray[Any]) -> Any:
    lists: list[Any] = []
    chunk: Any
    for chunk in values.chunks:
        flat, ends = pc.list_flatten(chunk).to_numpy(zero_copy_only=False), np.asarray(chunk.offsets)
        lists += np.split(flat, (ends[1:-1] - ends[0]).tolist()) if len(chunk) else []
    return pykx().toq(lists) if lists else pykx().toq([])
