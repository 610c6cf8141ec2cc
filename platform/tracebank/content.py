"""What rows say, as a number: a digest that is the same whatever order the rows were written or read in.

Each row is hashed column by column with pandas' hash, which is the same on every machine and in every version, and the
hashes are summed up. Columns that are declared volatile are left out. Of the columns of the unique key a second hash is
kept for every row, 8 bytes of memory each, to tell how many rows have a key that was there before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tracebank.tables.frames import Frame
    from tracebank_schemas.series import SeriesTable

    Hashes = npt.NDArray[np.uint64]

_BLOCK: Final = 1 << 16
"""Rows hashed together: their columns stay in the processor's cache."""
_NULL: Final = 0x6E756C6C
_STEP: Final = 0x9E3779B97F4A7C15
_WRAP: Final = 1 << 64
_INLINE: Final = 12
"""Bytes of text that an Arrow view holds itself."""


class SeriesContent:
    """Digest of the rows of one partition of a series table, block by block."""

    def __init__(self, table: SeriesTable) -> None:
        self.rows = 0
        # A partition's own columns are the same in each of its rows.
        same = {key for key in table.partition_by if isinstance(key, str)}
        self._said = [c.name for c in table.columns if not c.volatile and c.name not in same]
        self._unique = [name for name in table.unique_key if name not in same]
        self._sum = 0
        self._keys: list[Hashes] = []

    def update(self, frame: Frame) -> None:
        """Take more rows, which fit the table."""
        arrow = _as_arrow(frame)
        self.rows += arrow.num_rows
        for start in range(0, arrow.num_rows, _BLOCK):
            block = arrow.slice(start, _BLOCK)
            hashes = {name: _hashed(block.column(name)) for name in dict.fromkeys([*self._said, *self._unique])}
            self._sum = (self._sum + int(_of_rows(hashes[name] for name in self._said).sum())) % _WRAP
            if self._unique:
                self._keys.append(_of_rows(hashes[name] for name in self._unique))

    @property
    def digest(self) -> str:
        """16 hexadecimal digits; of no rows zeros."""
        return f"{self._sum:016x}"

    def repeated_keys(self) -> int:
        """Rows whose unique key an earlier row has. Two keys in 10^19 are taken for one."""
        import numpy as np

        if not self.rows or not self._unique:
            return 0
        keys = np.sort(np.concatenate(self._keys))
        return int(np.count_nonzero(keys[1:] == keys[:-1]))


def _as_arrow(frame: Frame) -> pa.Table:
    if isinstance(frame, pl.DataFrame):
        return frame.to_arrow(compat_level=pl.CompatLevel.newest())
    return pa.Table.from_batches([frame]) if isinstance(frame, pa.RecordBatch) else frame


def _of_rows(columns: Iterable[Hashes]) -> Hashes:
    """One hash a row. The last step mixes: without it values that changed places between rows would not be seen."""
    import pandas as pd

    hashes = iter(columns)
    rows = next(hashes)
    for column in hashes:
        rows = rows * _uint(_STEP) + column
    return pd.util.hash_array(rows)


def _uint(value: int) -> np.uint64:
    import numpy as np

    return np.uint64(value)


def _hashed(column: pa.ChunkedArray[Any]) -> Hashes:
    values: Any = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    hashes = _values(values)
    if values.null_count:
        import numpy as np

        hashes = np.where(pc.is_null(values).to_numpy(zero_copy_only=False), _uint(_NULL), hashes)
    return hashes


def _values(values: pa.Array[Any]) -> Hashes:
    import numpy as np
    import pandas as pd

    kind = values.type
    if isinstance(values, pa.DictionaryArray):
        return _repeated(values, _text(values.dictionary.cast(pa.large_string())))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _text(values)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(values)
    if pa.types.is_floating(kind):
        # Of NaNs there are many, and one is what an engine gives back.
        floats = values.fill_null(0.0).to_numpy(zero_copy_only=False)
        return pd.util.hash_array(np.where(np.isnan(floats), floats.dtype.type(np.nan), floats))
    plain = values.cast(pa.uint8()) if pa.types.is_boolean(kind) else values
    if pa.types.is_date32(kind):
        plain = values.cast(pa.int32())
    if pa.types.is_timestamp(kind):
        plain = values.cast(pa.int64())
    return pd.util.hash_array(plain.fill_null(0).to_numpy(zero_copy_only=False))


def _repeated(values: pa.DictionaryArray[Any, Any], distinct: Hashes) -> Hashes:
    """Hashes of values that are places in a dictionary."""
    import numpy as np

    places: npt.NDArray[np.int64] = values.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return distinct[places] if len(distinct) else np.zeros(len(places), np.uint64)


def _text(values: pa.Array[Any]) -> Hashes:
    """Hashes of text. Arrow keeps up to 12 bytes in its view, two numbers with the length, which are hashed as such."""
    import numpy as np
    import pandas as pd

    view = values.cast(pa.string_view())
    if (kept := view.buffers()[1]) is None or not len(view):
        return np.zeros(len(view), np.uint64)
    numbers = np.frombuffer(memoryview(kept), np.uint64)[2 * view.offset : 2 * (view.offset + len(view))]
    head, tail = np.ascontiguousarray(numbers[::2]), np.ascontiguousarray(numbers[1::2])
    hashes: Hashes = pd.util.hash_array(head) * _uint(_STEP) + pd.util.hash_array(tail)
    long = np.flatnonzero((head & _uint(0xFFFFFFFF)) > _INLINE)
    if len(long):
        encoded = values.cast(pa.large_string()).take(pa.array(long, pa.int64())).dictionary_encode()
        distinct = np.asarray(encoded.dictionary.to_pylist(), dtype=object)
        hashes[long] = _repeated(encoded, pd.util.hash_array(distinct, categorize=False))
    return hashes


def _lists(values: pa.Array[Any]) -> Hashes:
    """Hashes of lists, of their values and of the places that these have in them."""
    import numpy as np
    import pandas as pd

    lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    inside = _values(pc.list_flatten(values))
    ends = np.cumsum(lengths)
    places = np.arange(len(inside)) - np.repeat(ends - lengths, lengths)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(inside * pd.util.hash_array(places), dtype=np.uint64)])
    hashes: Hashes = sums[ends] - sums[ends - lengths] + pd.util.hash_array(lengths)
    return hashes


class ModelContent:
    """Digest of rows of a relational table."""

    def __init__(self, table: Table) -> None:
        import msgspec

        self.rows = 0
        self._said = [column.name for column in table.columns if not column.info.get("volatile")]
        self._sum = 0
        self._encode = msgspec.json.Encoder(order="sorted").encode

    def update(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take more rows; a column that a row does not give counts as null."""
        for row in rows:
            said = self._encode([row.get(name) for name in self._said])
            self._sum += int.from_bytes(hashlib.blake2b(said, digest_size=8).digest())
            self.rows += 1

    @property
    def digest(self) -> str:
        """16 hexadecimal digits; of no rows zeros."""
        return f"{self._sum % _WRAP:016x}"
