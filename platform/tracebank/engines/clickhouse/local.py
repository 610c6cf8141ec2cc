"""chDB in this process, as its owner uses it: a handle a statement, since what one sets cannot be taken back; those of
queries and INSERTs are kept for the next one with the same settings, which then is one statement instead of three."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import chdb
import pyarrow as pa

from tracebank.engines.clickhouse.ddl import literal, quoted
from tracebank.engines.clickhouse.reader import SETTINGS, limiting
from tracebank.query.contract import Limits, Progress

_KEPT: Final = 16
"""Handles that wait for a query with their settings."""
_EMBEDDED: Final = {"allow_python_table_function": "0"}

_Setting = tuple[str, tuple[tuple[str, str], ...]]
"""Database and settings of a handle."""


class Local:
    """The engine on one folder, open while this object is."""

    def __init__(self, folder: Path) -> None:
        # The engine compares paths as text.
        self._path = os.path.realpath(folder)
        self._kept = chdb.connect(self._path)  # type: ignore[no-untyped-call]
        self._idle: deque[tuple[_Setting, str, Any]] = deque()
        self._running: dict[str, Callable[[], bool]] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def close(self) -> None:
        """Let the engine go; call it when nothing runs."""
        while self._idle:
            self._idle.popleft()[2].close()
        self._kept.close()

    @contextlib.contextmanager
    def handle(self, settings: Mapping[str, str], database: str = "") -> Iterator[Any]:
        """A handle with settings of its own.

        Raises:
            ChdbError: the engine does not know a setting, or the database.
        """
        with contextlib.closing(self._made(settings, database)) as found:
            yield found

    def _made(self, settings: Mapping[str, str], database: str) -> Any:
        with contextlib.ExitStack() as failing:
            found = failing.enter_context(contextlib.closing(chdb.connect(self._path)))  # type: ignore[no-untyped-call]
            if database:
                found.query(f"USE {quoted(database)}")
            if settings:
                found.query("SET " + ", ".join(f"{key} = {literal(value)}" for key, value in settings.items()))
            failing.pop_all()
            return found

    @contextlib.contextmanager
    def querying(self, settings: Mapping[str, str], database: str, gone: Callable[[], bool]) -> Iterator[Any]:
        """A handle for a query or an INSERT, stopped once `gone` says that nobody waits for it; kept if it ends well.

        Raises:
            ChdbError: the engine does not know a setting, or the database.
        """
        wanted = (database, tuple(sorted(settings.items())))
        with self._changed:
            kept = next((entry for entry in self._idle if entry[0] == wanted), None)
            if kept is not None:
                self._idle.remove(kept)
        # A handle runs one query at a time, so that its own name will do for each of them.
        name = kept[1] if kept else f"tracebank-{uuid.uuid4().hex}"
        handle = kept[2] if kept else self._made({**settings, "log_comment": name}, database)
        surplus = handle
        try:
            with self.cancellable(gone, name):
                yield handle
            if not gone():  # else it may be about to be stopped
                with self._changed:
                    self._idle.append((wanted, name, handle))
                    surplus = self._idle.popleft()[2] if len(self._idle) > _KEPT else None
        finally:
            if surplus is not None:
                surplus.close()

    def command(self, text: str) -> None:
        """Run a statement of our own that has no answer."""
        self._kept.query(text)

    @contextlib.contextmanager
    def cancellable(self, gone: Callable[[], bool], name: str = "") -> Iterator[str]:
        """Name (`log_comment`) for a statement that is stopped once `gone` says that nobody waits for it."""
        name = name or f"tracebank-{uuid.uuid4().hex}"
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
