"""Running an admitted statement on the engine, read-only, as a stream of Arrow batches: one reader for the engine in
process, one for a server. Opening the store and admitting the statement is the session's business."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Progress = Callable[[int, int], None]
"""Called with rows read so far and rows to read in all (0: not known), from another thread."""

SETTINGS: Final[dict[str, str]] = {
    "session_timezone": "UTC",
    "output_format_arrow_string_as_string": "1",
    "output_format_arrow_low_cardinality_as_dictionary": "0",
    "output_format_arrow_fixed_string_as_fixed_byte_array": "0",
    "output_format_arrow_compression_method": "none",
    "allow_introspection_functions": "0",
    "allow_ddl": "0",
}
"""Settings under which every query runs; `readonly = 1` follows them and closes the list."""

_PULSE: Final = 0.2
"""Seconds between two looks for Ctrl-C."""

_EMBEDDED_SETTINGS: Final = {"allow_python_table_function": "0"}


class Reader(Protocol):
    """Reads the engine with settings that the query cannot change."""

    def ask(self, query: str) -> list[list[Any]]:
        """Rows of a small query of our own."""

    def syntax_tree(self, text: str) -> list[str]:
        """Lines of `EXPLAIN AST` of a statement."""

    def batches(self, text: str, parameters: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The answer of a SELECT, batch by batch; none where it has no rows."""

    def whole(self, text: str, parameters: Mapping[str, str]) -> pa.Table:
        """A small answer at once, of any statement that reads."""

    def cancel(self) -> None:
        """Stop the query that runs; its `batches` then raises."""

    def close(self) -> None:
        """Let go of the engine."""


def _name() -> str:
    return f"tracebank-{uuid.uuid4().hex}"


def _limit(rows: int | None) -> dict[str, str]:
    """The engine's own setting; its 0 means no limit, so 0 asks for one row (which the session drops)."""
    return {} if rows is None else {"limit": str(max(rows, 1))}


def _kill(name: str) -> str:
    return f"KILL QUERY WHERE Settings['log_comment'] = '{name}' ASYNC"


class EmbeddedReader:
    """Two handles of its own on the engine in process, which set `readonly = 1` and cannot take it back: one streams
    the answer, one is free for questions meanwhile (a handle whose stream is open loses it to the next query)."""

    def __init__(
        self, folder: Path, database: str, privileged: Client, *, limit: int | None, progress: Progress | None
    ) -> None:
        import chdb

        self._name = _name()
        self._privileged = privileged
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tracebank-sql")
        fixed = {**SETTINGS, **_EMBEDDED_SETTINGS, "log_comment": self._name}
        # The engine compares paths as text: the same one the store's client uses.
        path = os.path.realpath(folder)
        self._streaming, self._asking = chdb.connect(path), chdb.connect(path)  # type: ignore[no-untyped-call]
        for handle, settings in ((self._streaming, fixed | _limit(limit)), (self._asking, fixed)):
            handle.query(f"USE {database}")
            handle.query("SET " + ", ".join(f"{key} = '{value}'" for key, value in settings.items()))
            handle.query("SET readonly = 1")
        self._progress = progress

    def ask(self, query: str) -> list[list[Any]]:
        """Rows of a small query of our own."""
        answer = self._asking.query(query, "JSONCompactEachRow")
        return [json.loads(line) for line in answer.bytes().splitlines()]

    def syntax_tree(self, text: str) -> list[str]:
        """Lines of `EXPLAIN AST` of a statement."""
        return [str(row[0]) for row in self.ask(f"EXPLAIN AST {text}")]

    def batches(self, text: str, parameters: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The answer, fetched in a thread of its own, so that Ctrl-C is heard while the engine works."""
        if self._progress:
            self._streaming.set_progress_callback(self._report)
        answer = self._waited(lambda: self._streaming.send_query(text, "Arrow", params=dict(parameters)))
        finished = False
        try:
            while (chunk := self._waited(answer.fetch)) is not None:
                yield from pa.ipc.open_file(chunk.bytes()).read_all().to_batches()
            finished = True
        finally:
            if not finished:
                with contextlib.suppress(Exception):
                    self.cancel()
                    answer.cancel()

    def whole(self, text: str, parameters: Mapping[str, str]) -> pa.Table:
        """A small answer at once, of any statement that reads."""
        answer = self._waited(lambda: self._asking.query(text, "Arrow", params=dict(parameters)))
        return pa.ipc.open_file(answer.bytes()).read_all()

    def _waited(self, call: Callable[[], Any]) -> Any:
        future = self._pool.submit(call)
        try:
            while True:
                # Whichever thread the signal goes to, the main one looks up this often.
                with contextlib.suppress(TimeoutError):
                    return future.result(timeout=_PULSE)
                if future.done():
                    return future.result()
        except KeyboardInterrupt:
            self.cancel()
            with contextlib.suppress(Exception):
                future.result(timeout=30)
            raise

    def _report(self, payload: Mapping[str, Any]) -> None:
        if self._progress:
            self._progress(int(payload["read_rows"]), int(payload["total_rows_to_read"]))

    def cancel(self) -> None:
        """Stop the query that runs; its `batches` then raises."""
        self._privileged.command(_kill(self._name))

    def close(self) -> None:
        """Let go of the handles."""
        self._pool.shutdown(wait=True)
        self._streaming.close()
        self._asking.close()


class ServerReader:
    """A server's HTTP interface, with `readonly = 1` sent beside every query."""

    def __init__(self, client: Client, canceller: Client, database: str, *, limit: int | None) -> None:
        self._client = client
        self._canceller = canceller
        self._name = _name()
        self._settings = {**SETTINGS, "log_comment": self._name, "readonly": "1"}
        self._limit = _limit(limit)
        self._client.database = database

    def ask(self, query: str) -> list[list[Any]]:
        """Rows of a small query of our own."""
        return [list(row) for row in self._client.query(query, settings={"readonly": "1"}).result_rows]

    def syntax_tree(self, text: str) -> list[str]:
        """Lines of `EXPLAIN AST` of a statement. Sent bare: a FORMAT added to it would count as the statement's."""
        answer = self._client.raw_query(f"EXPLAIN AST {text}", settings={"readonly": "1"})
        return answer.decode().splitlines()

    def batches(self, text: str, parameters: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The answer, batch by batch."""
        try:
            with self._client.query_arrow_stream(text, settings=self._with(parameters) | self._limit) as stream:
                for block in stream:
                    yield from [block] if isinstance(block, pa.RecordBatch) else block.to_batches()
        except KeyboardInterrupt:
            self.cancel()
            raise

    def whole(self, text: str, parameters: Mapping[str, str]) -> pa.Table:
        """A small answer at once, of any statement that reads."""
        return self._client.query_arrow(text, settings=self._with(parameters))

    def _with(self, parameters: Mapping[str, str]) -> dict[str, str]:
        return {**self._settings, **{f"param_{name}": value for name, value in parameters.items()}}

    def cancel(self) -> None:
        """Stop the query that runs."""
        self._canceller.command(_kill(self._name))

    def close(self) -> None:
        """Nothing to let go of: the client is the store's."""
