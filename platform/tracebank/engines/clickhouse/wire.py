"""How the owner's answers to `tracebank`'s own queries lie on the socket: frames of a kind, a length and a body."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tracebank.query import errors
from tracebank.query.contract import Progress
from tracebank.query.errors import SqlError
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from tracebank.engines.clickhouse.reach import Asked

_HEAD: Final = struct.Struct("<cQ")
_SCHEMA, _BATCH, _PROGRESS, _END, _FAULT = b"s", b"b", b"p", b"e", b"f"


class Frames:
    """The owner's side."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._one = threading.Lock()

    def _put(self, kind: bytes, body: Any) -> None:
        view = memoryview(body)
        with self._one:
            self._stream.write(_HEAD.pack(kind, view.nbytes))
            self._stream.write(view)
            if kind != _BATCH:
                self._stream.flush()

    def schema(self, schema: pa.Schema) -> None:
        """Columns of the answer; the first frame but for progress."""
        self._put(_SCHEMA, schema.serialize())

    def batch(self, batch: pa.RecordBatch) -> None:
        """Rows."""
        self._put(_BATCH, batch.serialize())

    def progress(self, read: int, total: int) -> None:
        """Rows read so far, and in all; from any thread."""
        self._put(_PROGRESS, json.dumps([read, total]).encode())

    def end(self) -> None:
        """The answer is whole."""
        self._put(_END, b"")

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """Errors of the block as a frame."""
        try:
            yield
        except (SqlError, StoreError) as error:
            kind = type(error).__name__ if isinstance(error, SqlError) else "StoreError"
            self._put(_FAULT, json.dumps([kind, str(error)]).encode())
        except ConnectionError:  # nobody listens any more
            raise
        except Exception as error:  # whatever the engine's clients raise: who asked must hear of it
            self._put(_FAULT, json.dumps(["StoreError", errors.one_line(str(error))]).encode())


class Received:
    """The client's side.

    Raises (from every method):
        SqlError: what the owner says of the query.
        StoreError: what it says of the store; or it ended before the answer did.
        ConnectionError: it ended before the answer began.
    """

    def __init__(self, stream: Asked, progress: Progress | None) -> None:
        self._stream = stream
        self._progress = progress
        try:
            kind, body = self._next()
        except BaseException:
            stream.close()
            raise
        if kind != _SCHEMA:
            raise StoreError("the store's owner answered something else; is it of another version?")
        self.schema = pa.ipc.read_schema(pa.py_buffer(body))

    def close(self) -> None:
        """Leave; the query is stopped."""
        self._stream.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every batch, to the end of the answer."""
        while True:
            try:
                kind, body = self._next()
            except ConnectionError:
                raise StoreError("the store's owner ended before the answer did; ask again") from None
            if kind == _END:
                return
            yield pa.ipc.read_record_batch(pa.py_buffer(body), self.schema)

    def _next(self) -> tuple[bytes, bytearray]:
        while True:
            kind, size = _HEAD.unpack(self._read(_HEAD.size))
            body = self._read(size)
            if kind == _PROGRESS:
                if self._progress:
                    self._progress(*json.loads(body))
            elif kind == _FAULT:
                name, text = json.loads(body)
                raise StoreError(text) if name == "StoreError" else getattr(errors, name, SqlError)(text)
            else:
                return kind, body

    def _read(self, size: int) -> bytearray:
        body, at = bytearray(size), 0
        while at < size:
            got = self._stream.readinto(memoryview(body)[at:])
            if not got:
                raise ConnectionResetError("the store's owner ended")
            at += got
        return body
