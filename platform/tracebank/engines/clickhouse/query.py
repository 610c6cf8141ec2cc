"""One SQL over both stores where ClickHouse holds the series. A query of an embedded store is asked of its owner, next
to whose engine it is admitted and run; one of a server is admitted here, by the server's own parser."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tracebank.engines.clickhouse.reach import Asked, connected
from tracebank.engines.clickhouse.wire import Received
from tracebank.query.contract import Answer, Progress, Request, first_rows
from tracebank.query.errors import SqlError, from_engine
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from tracebank.engines.clickhouse.reader import Reader

_WAITS: Final = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to have a query taken: an owner whose folder was moved goes within one."""


@contextlib.contextmanager
def opened(settings: Settings, request: Request) -> Iterator[Answer]:
    """The answer of one statement in ClickHouse's SQL, parameters as `{name:Type}`; open for the length of the block.

    Raises:
        SqlError: the query is refused or fails; one line.
        StoreError: a store cannot be opened.
    """
    from tracebank.engines.clickhouse.run import bound

    values = {name: bound(name, value) for name, value in request.parameters.items()}
    try:
        way = _of_owner if settings.series.drivername == "chdb" else _of_server
        with way(settings, request, values) as answer:
            yield answer
    except SqlError as error:
        raise type(error)(settings.redact(str(error))) from None


@contextlib.contextmanager
def _of_owner(settings: Settings, request: Request, values: dict[str, str]) -> Iterator[Answer]:
    folder = Path(str(settings.series.database))
    asked = {
        "text": request.text,
        "values": values,
        # Of the rest the owner makes no filters on `relational`.
        "parameters": {n: v for n, v in request.parameters.items() if isinstance(v, str | int)},
        "rows": request.rows,
        "seconds": request.limits.seconds,
        "memory": request.limits.memory,
        "progress": request.progress is not None,
        "relational": settings.relational.render_as_string(hide_password=False),
        "activations": str(settings.activations),
    }
    received = _received(folder, json.dumps(asked).encode(), settings.lock_timeout, request.progress)
    with contextlib.closing(received):
        yield Answer(received.schema, received.batches())


def _received(folder: Path, body: bytes, timeout: float, progress: Progress | None) -> Received:
    """An owner that leaves just now, or was killed, is asked in vain; the next one is not."""
    for wait in (*_WAITS, None):
        try:
            return Received(Asked(connected(folder, "engine", timeout), "/sql", body), progress)
        except ConnectionError:
            if wait is None:
                break
            time.sleep(wait)
    raise StoreError(f"series store {folder}: its owner ended before the answer began")


@contextlib.contextmanager
def _of_server(settings: Settings, request: Request, values: dict[str, str]) -> Iterator[Answer]:
    from tracebank.engines.clickhouse import activations
    from tracebank.engines.clickhouse.reader import ServerReader
    from tracebank.engines.clickhouse.relational import attach
    from tracebank.engines.clickhouse.store import ClickHouseStore

    store = ClickHouseStore(settings.series, lock_timeout=settings.lock_timeout)
    with store.session() as client, store.session() as canceller:
        attached = attach(client, settings.relational, embedded=False)
        wanted = activations.named_in(request.text)
        absence = activations.attach(client, store.database, settings.activations, embedded=False) if wanted else ""
        reader = ServerReader(client, canceller, store.database, request.limits, request.rows)
        dialect = settings.relational.get_backend_name() if attached else ""
        with answered(reader, request, values, dialect, absence) as answer:
            yield answer


@contextlib.contextmanager
def answered(reader: Reader, request: Request, values: dict[str, str], dialect: str, absence: str) -> Iterator[Answer]:
    """Admit a statement and run it.

    Args:
        reader: of the engine.
        request: the query.
        values: its parameters as `run.bound` gives them.
        dialect: of the relational store; empty where the engine does not reach it.
        absence: why `series.activations` is not there, for a query that may mean it.

    Raises:
        SqlError: it is refused or fails; one line.
    """
    from tracebank.engines.clickhouse.guard import admit
    from tracebank.engines.clickhouse.pushdown import pushed
    from tracebank.engines.clickhouse.run import Run, functions

    with _faults(absence):
        statement = admit(request.text, reader, functions(reader))
        if dialect and statement.selects:
            statement = replace(statement, text=pushed(statement.text, reader, dialect, request.parameters))
        run = Run(reader, statement, values)
        with contextlib.closing(run):
            yield Answer(run.schema, first_rows(_told(run.batches(), absence), request.rows))


def _told(batches: Iterator[pa.RecordBatch], absence: str) -> Iterator[pa.RecordBatch]:
    with _faults(absence):
        yield from batches


@contextlib.contextmanager
def _faults(absence: str) -> Iterator[None]:
    from tracebank.engines.clickhouse import activations

    try:
        yield
    except (SqlError, StoreError):
        raise
    except _engine_faults() as error:
        found = from_engine(error)
        text = f"{found} ({absence})" if absence and activations.named_in(str(found)) else str(found)
        raise type(found)(text) from None


def _engine_faults() -> tuple[type[Exception], ...]:
    from clickhouse_connect.driver.exceptions import Error

    return (Error, pa.ArrowInvalid, RuntimeError)  # chDB's is a RuntimeError
