"""Parquet files as batches of rows: streamed within row groups, in bounded memory, and bombs refused.

What columns mean is each reader's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracebank_models.market.codecs import PARQUET_MAGIC
from tracebank_models.market.unpacking import STRETCH_BYTES, ZSTD_EXPANSION, UnknownPackingError, UnreadableFileError

MAX_TEXT = 4096
"""Bytes of the longest text that a cell may have."""

_READ_BYTES = 1 << 20
_MAX_ROWS_PER_BYTE = 8


@contextmanager
def parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file whose parts are in proportion; texts stay dictionaries, so that a long one is there once.

    Raises:
        UnreadableFileError: The file is cut short, corrupt, packed as a whole, or a bomb.
        OSError: The file cannot be opened or read.
    """
    if not path.is_file() or not _is_plain(path):
        raise UnknownPackingError(f"{path}: a Parquet file that was packed as a whole is not read: unpack it first")
    try:
        schema = pq.read_schema(path)
        texts = [
            field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BYTES, read_dictionary=texts) as file:
            _refuse_bomb(path, file.metadata)
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnreadableFileError(f"{path}: the Parquet file is cut short or corrupt: {error}") from error


def parquet_batches(
    path: Path, file: pq.ParquetFile, rows: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, or some columns of them, in batches of at most `rows`.

    Raises:
        UnreadableFileError: A text is longer than `MAX_TEXT`.
    """
    for batch in file.iter_batches(rows, columns=columns):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if isinstance(column, pa.DictionaryArray) and pa.types.is_string(column.dictionary.type):
                lengths = pc.binary_length(column.dictionary)  # type: ignore[call-overload]  # of a dictionary, too
                longest = pc.max(lengths).as_py() or 0
                if longest > MAX_TEXT:
                    raise UnreadableFileError(
                        f"{path}: column {name} has a text of {longest:,} bytes, at most {MAX_TEXT:,}"
                    )
        yield batch


def _is_plain(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def _refuse_bomb(path: Path, told: pq.FileMetaData) -> None:
    if told.num_rows > max(1 << 20, _MAX_ROWS_PER_BYTE * path.stat().st_size):
        raise UnreadableFileError(f"{path}: {told.num_rows:,} rows in so small a file are no market data's")
    groups = (told.row_group(index) for index in range(told.num_row_groups))
    for column in (group.column(index) for group in groups for index in range(told.num_columns)):
        if column.total_uncompressed_size > max(STRETCH_BYTES, ZSTD_EXPANSION * column.total_compressed_size):
            raise UnreadableFileError(
                f"{path}: column {column.path_in_schema} expands more than {ZSTD_EXPANSION} times, as no market data do"
            )
