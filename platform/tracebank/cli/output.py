"""Writing an answer in each of its forms, batch by batch, to stdout or to a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self, cast

import pyarrow as pa

from tracebank.cli.answer_table import Look, write_table
from tracebank.cli.grid import console, unbounded

if TYPE_CHECKING:
    import polars as pl

    from tracebank.cli.query import Format

Batches = Iterable[pa.RecordBatch]


class Sink:
    """Where the answer goes. A file is written beside its place and moved there when the block ends well."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[bytes] = sys.stdout.buffer
        self._draft: Path | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            folder = self._path.absolute().parent
            handle, draft = tempfile.mkstemp(prefix=f".{self._path.name}.", suffix=".part", dir=folder)
            self._file, self._draft = os.fdopen(handle, "wb"), Path(draft)
            mask = os.umask(0)
            os.umask(mask)
            self._draft.chmod(0o666 & ~mask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draft is None or self._path is None:
            if error is None:
                self._file.flush()
            return
        try:
            with self._file:
                if error is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            if error is None:
                self._draft.replace(self._path)
        finally:
            self._draft.unlink(missing_ok=True)

    def write(self, form: Format, schema: pa.Schema, batches: Batches, look: Look) -> None:
        """Write every batch.

        Args:
            form: one of `Format`.
            schema: the answer's schema.
            batches: the answer.
            look: of a table.
        """
        if form.value != "table":
            WRITERS[form.value](self._file, schema, batches)
            return
        text = io.TextIOWrapper(self._file, encoding="utf-8", write_through=True)
        try:
            write_table(console(text) if self._path is None else unbounded(text), schema, batches, look)
        finally:
            text.detach()


def _frames(batches: Batches) -> Iterator[pl.DataFrame]:
    import polars as pl

    for batch in batches:
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        yield frame


def _flat(batch: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
    """Nested columns as JSON text, which CSV can hold."""
    import polars as pl

    for index, field in enumerate(batch.schema):
        if pa.types.is_nested(field.type):
            lines = pl.DataFrame({"v": pl.Series(batch.column(index))}).write_ndjson().splitlines()
            texts = (line.removeprefix('{"v":').removesuffix("}") for line in lines)
            column = pa.array([None if text == "null" else text for text in texts], pa.string())
            batch = batch.set_column(index, field.name, column)
    return batch


def _csv(file: IO[bytes], schema: pa.Schema, batches: Batches) -> None:
    from pyarrow.csv import WriteOptions, write_csv

    head: pa.Table | pa.RecordBatch = schema.empty_table()
    for index, batch in enumerate(itertools.chain([head], batches)):
        buffer = io.BytesIO()
        options = WriteOptions(include_header=index == 0, quoting_style="needed")
        write_csv(_flat(batch), buffer, options)
        file.write(buffer.getbuffer())


def _ndjson(file: IO[bytes], _schema: pa.Schema, batches: Batches) -> None:
    for frame in _frames(batches):
        file.write(frame.write_ndjson().encode())


def _json(file: IO[bytes], _schema: pa.Schema, batches: Batches) -> None:
    file.write(b"[")
    separator = b"\n"
    for frame in _frames(batches):
        if body := frame.write_ndjson().encode().rstrip(b"\n"):
            # A newline inside a value is escaped, so each one here ends a row.
            file.write(separator + body.replace(b"\n", b",\n"))
            separator = b",\n"
    file.write(b"\n]\n")


def _parquet(file: IO[bytes], schema: pa.Schema, batches: Batches) -> None:
    import pyarrow.parquet as pq

    with contextlib.closing(pq.ParquetWriter(file, schema, compression="zstd")) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _arrow(file: IO[bytes], schema: pa.Schema, batches: Batches) -> None:
    with pa.ipc.new_file(cast("io.IOBase", file), schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


WRITERS: Final[dict[str, Callable[[IO[bytes], pa.Schema, Batches], None]]] = {
    "csv": _csv,
    "ndjson": _ndjson,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
}
"""By form: writes every batch of an answer, after its schema, into a file that need not be one that can be sought."""
