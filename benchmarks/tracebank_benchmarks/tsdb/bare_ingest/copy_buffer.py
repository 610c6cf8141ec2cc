"""PostgreSQL's binary COPY format of Arrow rows, built by NumPy alone: a structured array whose padding is cut out.

It is the bare client's, kept apart from the platform's own encoder, which it is held against.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracebank_schemas.series import TIMESTAMP

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
BLOCK_ROWS: Final = 65_536
"""Rows that are built at a time."""
_EPOCH_US: Final = 946_684_800_000_000
"""PostgreSQL counts from 2000-01-01."""


def copy_buffers(rows: pa.Table) -> Iterator[memoryview]:
    """Rows of int64, float64, text and time stamps without nulls; each time stamp twice, the second in nanoseconds."""
    for batch in rows.to_batches(max_chunksize=BLOCK_ROWS):
        yield _buffer(batch).data


def _buffer(batch: pa.RecordBatch) -> NDArray[np.uint8]:
    names: list[tuple[str, Any]] = [("fields", ">i2")]
    values: list[NDArray[Any]] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for number, cells in enumerate(_cells(column)):
            names += [(f"{name}{number}size", ">i4"), (f"{name}{number}", cells.dtype)]
            values.append(cells)
    table = np.empty(batch.num_rows, names)
    table["fields"] = len(values)
    kept = np.ones((batch.num_rows, table.dtype.itemsize), np.bool_)
    ragged = False
    for field, cells in zip(table.dtype.names[2::2] if table.dtype.names else (), values, strict=True):
        table[field] = cells
        sizes = np.char.str_len(cells) if cells.dtype.kind == "S" else cells.dtype.itemsize
        table[f"{field}size"] = sizes
        if isinstance(sizes, np.ndarray) and sizes.min() < cells.dtype.itemsize:
            ragged = True
            at = table.dtype.fields[field][1] if table.dtype.fields else 0
            kept[:, at : at + cells.dtype.itemsize] = np.arange(cells.dtype.itemsize) < sizes[:, None]
    flat = table.view(np.uint8).reshape(batch.num_rows, -1)
    return flat[kept] if ragged else flat.reshape(-1)


def _cells(column: pa.Array[Any]) -> list[NDArray[Any]]:
    if column.type == TIMESTAMP:
        stamps = column.cast(pa.int64()).to_numpy()
        return [(stamps // 1000 - _EPOCH_US).astype(">i8"), stamps.astype(">i8")]
    if column.type == pa.string():
        coded: Any = pc.dictionary_encode(column)
        words = np.array([word.encode() for word in coded.dictionary.to_pylist()])
        return [words[coded.indices.to_numpy()]]
    return [column.to_numpy().astype(">f8" if column.type == pa.float64() else ">i8")]
