"""Answers of PostgreSQL as Arrow: a query's columns are described, and its rows decoded from binary COPY.

The format is that of PostgreSQL's manual, "COPY, Binary Format". Arrow's own driver is not used: when it connects it
reads every type of the database, two for each partition of each table: 1.7 s at 10,000 of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg.errors import FeatureNotSupported, error_from_result
from psycopg.pq import ExecStatus

from tracebank.query.contract import MOMENT, Answer

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
"""Where in the bytes the length of each value stands; its bytes follow."""

_HEADER: Final = 19
_TRAILER: Final = b"\xff\xff"
_BATCH_BYTES: Final = 4 << 20
_PADDING: Final = bytes(16)
_EPOCH_US: Final = 946_684_800_000_000
_EPOCH_DAYS: Final = 10_957
"""PostgreSQL counts from 2000-01-01."""

_FIXED: Final[dict[int, tuple[str, pa.DataType]]] = {
    16: ("u1", pa.bool_()),
    21: (">i2", pa.int16()),
    23: (">i4", pa.int32()),
    20: (">i8", pa.int64()),
    700: (">f4", pa.float32()),
    701: (">f8", pa.float64()),
    1082: (">i4", pa.date32()),
    1083: (">i8", pa.time64("us")),
    1114: (">i8", MOMENT),
    1184: (">i8", MOMENT),
}
"""Types of one width, by their number: as they lie in the answer, and in Arrow."""
_TEXTS: Final[dict[int, pa.DataType]] = {17: pa.binary()} | dict.fromkeys((18, 19, 25, 1042, 1043), pa.string())
_LISTS: Final = {1000: 16, 1005: 21, 1007: 23, 1016: 20, 1021: 700, 1022: 701, 1182: 1082, 1185: 1184, 1009: 25}
"""Types of arrays, with that of their elements."""
_CAST: Final = {1700: ("float8", 701), 26: ("int8", 20), 1231: ("float8[]", 1022), 1015: ("text[]", 1009)}
"""What numeric, oid, and arrays of numeric and varchar are cast to; all other types become text."""


def answer(session: psycopg.Connection, text: str, rows: int | None = None) -> Answer:
    """The answer of one statement that may stand in brackets.

    Args:
        session: a connection that commits each statement; it stays open while batches are read.
        text: the statement.
        rows: most rows to give.

    Raises:
        psycopg.Error: the engine refused the statement, or there are more than one.
    """
    described = _described(session, text)
    casts = [_CAST.get(kind, ("", kind) if _native(kind) else ("text", 25)) for _, kind in described]
    given = [f"c{at}" for at in range(len(casts))]
    shown = [f"{name}::{cast}" if cast else name for name, (cast, _) in zip(given, casts, strict=True)]
    limit = f" LIMIT {rows}" if rows is not None else ""
    # The statement was whole by itself, so that it cannot end the brackets; a comment in it ends with the line.
    inner = f"SELECT {', '.join(shown)} FROM ({text}\n) AS answer({', '.join(given)}){limit}"
    kinds = [kind for _, kind in casts]
    schema = pa.schema([pa.field(name, _arrow(kind)) for (name, _), kind in zip(described, kinds, strict=True)])
    return Answer(schema, _batches(session, f"COPY ({inner}) TO STDOUT (FORMAT BINARY)", schema, kinds))


def _native(kind: int) -> bool:
    return kind in _FIXED or kind in _TEXTS or kind in _LISTS


def _arrow(kind: int) -> pa.DataType:
    if kind in _LISTS:
        return pa.list_(_arrow(_LISTS[kind]))
    return _FIXED[kind][1] if kind in _FIXED else _TEXTS[kind]


def _described(session: psycopg.Connection, text: str) -> list[tuple[str, int]]:
    """Name and type of each column; the statement does not run."""
    result = session.pgconn.prepare(b"", text.encode())
    if result.status == ExecStatus.COMMAND_OK:
        result = session.pgconn.describe_prepared(b"")
    if result.status != ExecStatus.COMMAND_OK:
        raise error_from_result(result)
    if not result.nfields:
        raise FeatureNotSupported("the statement gives no columns")
    return [((result.fname(at) or b"").decode(errors="replace"), result.ftype(at)) for at in range(result.nfields)]


def _batches(session: psycopg.Connection, query: str, schema: pa.Schema, kinds: list[int]) -> Iterator[pa.RecordBatch]:
    with session.cursor() as cursor, cursor.copy(query.encode()) as copy:
        for rows, ends in _gathered(copy):
            yield _decoded(rows, ends, schema, kinds)


def _gathered(copy: Iterable[Any]) -> Iterator[tuple[bytearray, list[int]]]:
    """Rows, which come one by one, a few megabytes at a time, and where each ends; without header and trailer."""
    data, ends = bytearray(), []
    skip = _HEADER
    for piece in copy:  # to the end, which is a message, too
        if len(piece) - skip > len(_TRAILER):
            data += piece[skip:] if skip else piece
            ends.append(len(data))
            if len(data) >= _BATCH_BYTES:
                yield data, ends
                data, ends = bytearray(), []
        skip = 0
    if ends:
        yield data, ends


def _decoded(rows: bytearray, ends: list[int], schema: pa.Schema, kinds: list[int]) -> pa.RecordBatch:
    rows += _PADDING
    data = np.frombuffer(rows, np.uint8)
    at = np.array([0, *ends[:-1]], np.int64) + 2  # behind the count of fields
    columns = []
    for field, kind in zip(schema, kinds, strict=True):
        try:
            columns.append(_column(data, at, kind))
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(f"column {field.name}: {error}") from None
        at = at + 4 + np.maximum(_laid(data, ">i4", at), 0)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _laid(data: Bytes, form: str, at: Places) -> NDArray[Any]:
    """Numbers that lie at these places."""
    kind = np.dtype(form)
    window: NDArray[Any] = np.ndarray((len(data) - kind.itemsize + 1,), kind, data, strides=(1,))
    return window[at].astype(kind.newbyteorder("="))


def _column(data: Bytes, at: Places, kind: int) -> pa.Array[Any]:
    sizes = _laid(data, ">i4", at).astype(np.int64)
    missing = sizes < 0
    if kind in _TEXTS:
        return _text(data, at + 4, np.maximum(sizes, 0), missing, _TEXTS[kind])
    if kind in _LISTS:
        return _lists(data, at, missing, _LISTS[kind])
    form, _ = _FIXED[kind]
    return _fixed(np.where(missing, 0, _laid(data, form, np.where(missing, 0, at + 4))), missing, kind)


def _fixed(values: NDArray[Any], missing: NDArray[np.bool_], kind: int) -> pa.Array[Any]:
    mask = missing if missing.any() else None
    target = _FIXED[kind][1]
    bases: dict[int, pa.DataType] = {16: pa.bool_(), 1082: pa.int32(), 1114: pa.int64(), 1184: pa.int64()}
    base = bases.get(kind)
    if kind == 16:
        values = values.astype(np.bool_)
    elif base is not None:
        values = _since_1970(values.astype(np.int64), kind == 1082)
    found: pa.Array[Any] = pa.array(values, base, mask=mask).cast(target)
    return found


def _since_1970(values: NDArray[np.int64], days: bool) -> NDArray[np.int64]:
    """Days or nanoseconds.

    Raises:
        pa.ArrowInvalid: a value is infinite, or further away than they count.
    """
    if days:
        if np.isin(values, (-(2**31), 2**31 - 1)).any():
            raise pa.ArrowInvalid("an infinite date has no form in an answer; cast it to text")
        return values + _EPOCH_DAYS
    reach = (2**63 - 1) // 1000
    if ((values > reach - _EPOCH_US) | (values < -reach - _EPOCH_US)).any():
        raise pa.ArrowInvalid("a time is not within 1677 to 2262, which nanoseconds reach; cast it to text")
    return (values + _EPOCH_US) * 1000


def _text(data: Bytes, start: Places, sizes: Places, missing: NDArray[np.bool_], kind: pa.DataType) -> pa.Array[Any]:
    ends = np.cumsum(sizes)
    offsets = np.concatenate((np.zeros(1, np.int64), ends))
    taken = data[np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], sizes)]
    valid = pa.array(~missing).buffers()[1] if missing.any() else None
    buffers = [valid, pa.py_buffer(offsets.astype(np.int32).data), pa.py_buffer(taken.data)]
    found: pa.Array[Any] = pa.Array.from_buffers(kind, len(sizes), buffers)
    found.validate(full=True)  # a database may hold what is not UTF-8
    return found


def _lists(data: Bytes, at: Places, missing: NDArray[np.bool_], element: int) -> pa.Array[Any]:
    """Arrays of one dimension.

    Raises:
        pa.ArrowInvalid: an array has more.
    """
    here = np.where(missing, 0, at)
    dimensions = np.where(missing, 0, _laid(data, ">i4", here + 4))
    if (dimensions > 1).any():
        raise pa.ArrowInvalid("an array has several dimensions; use unnest or to_json")
    filled = dimensions == 1
    counts = np.where(filled, _laid(data, ">i4", np.where(filled, here + 16, 0)), 0).astype(np.int64)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    uneven = element in _TEXTS or np.where(filled, _laid(data, ">i4", np.where(filled, here + 8, 0)), 0).any()
    if uneven:
        places = _each(data, here[filled] + 24, counts[filled])
    else:
        width = 4 + np.dtype(_FIXED[element][0]).itemsize
        order = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        places = np.repeat(here + 24, counts) + order * width
    values = _column(data, places, element)
    mask = pa.array(missing) if missing.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=mask)


def _each(data: Bytes, start: Places, counts: Places) -> Places:
    """Places of elements that differ in width, or of which some are missing."""
    places = []
    for place, count in zip(start.tolist(), counts.tolist(), strict=True):
        for _ in range(count):
            places.append(place)
            place += 4 + max(int.from_bytes(data[place : place + 4].tobytes(), "big", signed=True), 0)
    return np.array(places, np.int64)
