"""Arrow rows as PostgreSQL's binary COPY format, built column by column into one buffer; compiled, no loop in Python.

The format is that of PostgreSQL's manual, "COPY, Binary Format": per row a count of fields, per field its length and
its bytes in network order. Which columns a table has is `postgresql_ddl`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from tracebank_schemas.series import TIMESTAMP

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
CHUNK_ROWS: Final = 16_384
"""Rows built at a time: their buffer stays in the processor's cache."""

_EPOCH_US: Final = 946_684_800_000_000
_EPOCH_DAYS: Final = 10_957
"""PostgreSQL counts from 2000-01-01."""
_FLOAT_OIDS: Final = {pa.float32(): 700, pa.float64(): 701}
_FIXED: Final[dict[pa.DataType, str]] = {
    pa.int8(): ">i2",
    pa.int16(): ">i2",
    pa.int32(): ">i4",
    pa.int64(): ">i8",
    pa.uint8(): ">i2",
    pa.uint16(): ">i4",
    pa.uint32(): ">i8",
    pa.float32(): ">f4",
    pa.float64(): ">f8",
}

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Field:
    """One column ready to be laid into rows: `width` bytes each, or those between `offsets`."""

    data: Bytes
    width: int
    offsets: NDArray[np.int64]
    valid: NDArray[np.bool_]
    """Empty where every value is there."""
    oid: int = 0
    """Of the elements, for arrays; each element has `width` bytes, its length included."""

    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:
        """Bytes of the values, lengths not included."""
        if not self.offsets.size:
            sizes = np.full(stop - start, self.width, np.int64)
        else:
            sizes = np.diff(self.offsets[start : stop + 1])
        if self.oid:
            sizes = np.where(sizes == 0, 12, 20 + sizes * self.width)
        return np.where(self.valid[start:stop], sizes, 0) if self.valid.size else sizes


@njit(cache=True)
def _length(out: Bytes, at: int, value: int) -> None:
    for k in range(4):
        out[at + k] = (value >> (24 - 8 * k)) & 255


@njit(cache=True)
def _lay(
    out: Bytes, at: NDArray[np.int64], start: int, data: Bytes, width: int, offsets: Any, valid: Any, oid: int
) -> None:
    """Write one column's fields where `at` points, and move `at` behind them."""
    for row in range(at.size):
        index, place = start + row, at[row]
        if valid.size and not valid[index]:
            _length(out, place, -1)
            at[row] = place + 4
            continue
        first, size = index * width, width
        if offsets.size:
            count = offsets[index + 1] - offsets[index]
            unit = width if oid else 1
            first, size = offsets[index] * unit, count * unit
            if oid:
                head = 20 if count else 12
                _length(out, place, head + size)
                _length(out, place + 4, 1 if count else 0)
                _length(out, place + 8, 0)
                _length(out, place + 12, oid)
                if count:
                    _length(out, place + 16, count)
                    _length(out, place + 20, 1)
                place += head
        if not oid:
            _length(out, place, size)
        for k in range(size):
            out[place + 4 + k] = data[first + k]
        at[row] = place + 4 + size


def warm() -> None:
    """Compile, or load what was compiled before, so that the first rows need not wait for it."""
    list(encoded([pa.array([1]), pa.array(["a"], pa.large_string())]))


def encoded(columns: Sequence[pa.Array[Any]]) -> Iterator[memoryview]:
    """Rows of equally long columns as the body of a binary COPY, in pieces.

    Args:
        columns: of the types that series tables may have; text and lists with 64-bit offsets.
    """
    fields = [_field(column) for column in columns]
    rows = len(columns[0])
    for start in range(0, rows, CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, rows)
        sizes = np.full(stop - start, 2 + 4 * len(fields), np.int64)
        for field in fields:
            sizes += field.sizes(start, stop)
        ends = np.cumsum(sizes)
        out, at = np.zeros(int(ends[-1]), np.uint8), ends - sizes
        out[at], out[at + 1] = len(fields) >> 8, len(fields) & 255
        at += 2
        for field in fields:
            _lay(out, at, start, field.data, field.width, field.offsets, field.valid, field.oid)
        yield out.data


def _field(column: pa.Array[Any]) -> _Field:
    none = np.empty(0, np.int64)
    valid = np.asarray(pc.is_valid(column)) if column.null_count else np.empty(0, np.bool_)
    kind = column.type
    if pa.types.is_large_string(kind):
        offsets, data = _text(column)
        return _Field(data, 0, offsets, valid)
    if pa.types.is_large_list(kind):
        values = cast(Any, column).flatten().to_numpy(zero_copy_only=False)
        width = values.dtype.itemsize
        cells = np.empty(len(values), [("size", ">i4"), ("value", f">f{width}")])
        cells["size"], cells["value"] = width, values
        return _Field(_raw(cells), width + 4, _offsets(column), valid, _FLOAT_OIDS[kind.value_type])
    numbers = _numbers(column, kind)
    return _Field(_raw(numbers), numbers.dtype.itemsize, none, valid)


def _raw(values: NDArray[Any]) -> Bytes:
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1)


def _offsets(column: pa.Array[Any]) -> NDArray[np.int64]:
    buffer = column.buffers()[1]
    if buffer is None or not len(column):
        return np.zeros(len(column) + 1, np.int64)
    found = np.frombuffer(cast(Any, buffer), np.int64)[column.offset : column.offset + len(column) + 1]
    starts: NDArray[np.int64] = found - found[0] if pa.types.is_large_list(column.type) else found
    return starts


def _text(column: pa.Array[Any]) -> tuple[NDArray[np.int64], Bytes]:
    data = column.buffers()[2]
    return _offsets(column), np.frombuffer(cast(Any, data), np.uint8) if data is not None else np.empty(0, np.uint8)


def _numbers(column: pa.Array[Any], kind: pa.DataType) -> NDArray[Any]:
    if column.null_count:
        column = column.fill_null(_empty(kind))
    if kind == TIMESTAMP:
        return (column.cast(pa.int64()).to_numpy() // 1000 - _EPOCH_US).astype(">i8")
    if kind == pa.date32():
        return (column.cast(pa.int32()).to_numpy().astype(np.int64) - _EPOCH_DAYS).astype(">i4")
    if kind == pa.bool_():
        return column.to_numpy(zero_copy_only=False).astype(np.uint8)
    if kind == pa.uint64():
        return _numeric(column.to_numpy())
    return column.to_numpy().astype(_FIXED[kind])


def _empty(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return False
    return pa.array([0], pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)[0]


def _numeric(values: NDArray[np.uint64]) -> NDArray[Any]:
    """`numeric` with five digits to the base of 10,000, enough for 64 bits."""
    cells = np.zeros(len(values), [("head", ">i2", 4), ("digits", ">i2", 5)])
    cells["head"][:, 0], cells["head"][:, 1] = 5, 4
    for digit in range(5):
        cells["digits"][:, 4 - digit] = values // np.uint64(10_000**digit) % np.uint64(10_000)
    return cells
