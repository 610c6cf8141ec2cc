"""chDB in this process, as its owner uses it: a handle a statement, since what one sets cannot be taken back."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import chdb
import pyarrow as pa

from tracebank.engines.clickhouse.ddl import literal, quoted
from tracebank.engines.clickhouse.reader import SETTINGS, limiting
from tracebank.query.contract import Limits, Progress

_EMBEDDED: Final = {"allow_python_table_function": "0"}


class Local:
    """The engine on one folder, open while this object is."""

    def __init__(self, folder: Path) -> None:
        # The engine compares paths as text.
        self._path = os.path.realpath(folder)
        self._kept = chdb.connect(self._path)  # type: ignore[no-untyped-call]
        self._running: dict[str, Callable[[], bool]] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def close(self) -> None:
        """Let the engine go; call it when nothing runs."""
        self._kept.close()

    @contextlib.contextmanager
    def handle(self, settings: Mapping[str, str], database: str = "") -> Iterator[Any]:
        """A handle with settings of its own.

        Raises:
            ChdbError: the engine does not know a setting, or the database.
        """
        found = chdb.connect(self._path)  # type: ignore[no-untyped-call]
        try:
            if database:
                found.query(f"USE {quoted(database)}")
            if settings:
                found.query("SET " + ", ".join(f"{key} = {literal(value)}" for key, value in settings.items()))
            yield found
        finally:
            found.close()

    def command(self, text: str) -> None:
        """Run a statement of our own that has no answer."""
        self._kept.query(text)

    @contextlib.contextmanager
    def cancellable(self, gone: Callable[[], bool]) -> Iterator[str]:
        """Name (`log_comment`) for a statement that is stopped once `gone` says that nobody waits for it."""
        name = f"tracebank-{uuid.uuid4().hex}"
        with self._changed:
            self._running[name] = gone
            self._changed.notify()
        try:
            yield name
        finally:
            with self._changed:
                del self._running[name]

    def cancel(self, name: str) -> None:
        """Stop the statement of that name, if it runs."""
        self.command(f"KILL QUERY WHERE Settings['log_comment'] = '{name}' ASYNC")

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running)
                left = [name for name, gone in self._running.items() if gone()]
            for name in left:
                with contextlib.suppress(Exception):  # it has ended, or is tried again
                    self.cancel(name)
            threading.Event().wait(0.1)


def reading(
    engine: Local, database: str, limits: Limits, name: str, settings: Mapping[str, str]
) -> contextlib.AbstractContextManager[Any]:
    """A handle that can only read, within limits, and that cannot take that back."""
    fixed = {**SETTINGS, **settings, **_EMBEDDED, **limiting(limits), "log_comment": name}
    return engine.handle({**fixed, "readonly": "1"}, database)


class LocalReader:
    """Reads the engine in this process, under settings that its handles cannot take back: one streams the answer, one
    is free for questions meanwhile (a handle whose stream is open loses it to the next query)."""

    def __init__(self, streaming: Any, asking: Any, progress: Progress | None) -> None:
        self._streaming, self._asking = streaming, asking
        if progress:
            streaming.set_progress_callback(
                lambda told: progress(int(told["read_rows"]), int(told["total_rows_to_read"]))
            )

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls,
        engine: Local,
        database: str,
        limits: Limits,
        rows: int | None,
        gone: Callable[[], bool],
        progress: Progress | None = None,
    ) -> Iterator[LocalReader]:
        """A reader whose statements are stopped when nobody waits for them."""
        # The engine's 0 means no limit, so 0 asks for one row (which the caller drops).
        row_limit = {} if rows is None else {"limit": str(max(rows, 1))}
        with (
            engine.cancellable(gone) as name,
            reading(engine, database, limits, name, row_limit) as streaming,
            reading(engine, database, limits, name, {}) as asking,
        ):
            yield cls(streaming, asking, progress)

    def ask(self, query: str) -> list[list[Any]]:
        """Rows of a small query of our own."""
        answer = self._asking.query(query, "JSONCompactEachRow")
        return [json.loads(line) for line in answer.bytes().splitlines()]

    def syntax_tree(self, text: str) -> list[str]:
        """Lines of `EXPLAIN AST` of a statement."""
        return [str(row[0]) for row in self.ask(f"EXPLAIN AST {text}")]

    def batches(self, text: str, parameters: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The answer of a SELECT, batch by batch; none where it has no rows."""
        answer = self._streaming.send_query(text, "Arrow", params=dict(parameters))
        finished = False
        try:
            while (chunk := answer.fetch()) is not None:
                yield from pa.ipc.open_file(chunk.bytes()).read_all().to_batches()
            finished = True
        finally:
            if not finished:
                with contextlib.suppress(Exception):
                    answer.cancel()

    def whole(self, text: str, parameters: Mapping[str, str]) -> pa.Table:
        """A small answer at once, of any statement that reads."""
        answer = self._asking.query(text, "Arrow", params=dict(parameters))
        return pa.ipc.open_file(answer.bytes()).read_all()
