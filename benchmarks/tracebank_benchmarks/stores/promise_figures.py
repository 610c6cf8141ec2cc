"""How each promise is measured: by what users call (`tracebank.connect`, `open_series`, the command), on an empty home.

Run by `promises`, a process for each: `python -m … NAME OPTIONS SECONDS HOME`. The last line of its output is JSON.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

import tracebank
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank.stores.series_store import SeriesStore
from tracebank_benchmarks.stores import crowds, made_rows
from tracebank_benchmarks.stores.promise_options import POSTGRESQL, Options
from tracebank_benchmarks.stores.timing import Clock, Timing, owners, summary
from tracebank_schemas.relational import UtcDateTime
from tracebank_schemas.series import SeriesTable

Values = dict[str, Any]
_QUERY: Final = "SELECT count(*) AS n, sum(price) AS s FROM probe WHERE symbol = 'S00'"
_EACH: Final = 100
"""Rows of a partition, where there are many."""
_AT_ONCE: Final = 50
"""Partitions of one append while a home is made ready."""
_WARM_UP: Final = 100
"""Queries before handles are counted first."""
_CHUNK: Final = 20_000
"""Rows of one statement to the relational store."""


class NotHere(Exception):
    """It cannot be measured here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Task:
    """One promise under way."""

    home: Path
    options: Options
    deadline: float
    """Of `time.monotonic()`."""

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.deadline - time.monotonic())

    def clock(self) -> Clock:
        """A clock of this task."""
        return Clock(self.deadline, self.home)

    def filled(self, partitions: int, home: str = "") -> Settings:
        """A home whose table `probe` has so many partitions."""
        settings = Settings.load(home=self.home / home)
        upgrade(settings)
        store, table = open_series(settings), made_rows.table("probe")
        store.create(table)
        # One append after the other: older versions refuse one of more than a hundred partitions.
        for frame in made_rows.frames(_EACH * partitions, partitions, _EACH * _AT_ONCE):
            store.append(table, frame)
        return settings


def query(task: Task) -> Values:
    """One query of the embedded engine, in this process, with one partition and with many."""
    found: Values = {}
    for name, partitions in (("one", 1), ("many", task.options.partitions)):
        connection = tracebank.connect(task.filled(partitions, name))
        timing = task.clock().timed(lambda _, one=connection: one.sql(_QUERY), task.options.repetitions)  # type: ignore[misc]
        found |= {f"{name}_{key}": value for key, value in asdict(timing).items()}
    return found


def command(task: Task) -> Values:
    """The command as a whole process, after one that does not count."""
    task.filled(1)
    arguments = [sys.executable, "-c", "from tracebank.cli import main; main()", "sql", "select 1"]
    samples = []
    for _ in range(6):
        start = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise NotHere(f"tracebank sql ended with {process.returncode}")
        samples.append((time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss))
    seconds, cpu, peak = (sorted(values)[len(values) // 2] for values in zip(*samples[1:], strict=True))
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak * (1 if sys.platform == "darwin" else 1024)}


def readers(task: Task) -> Values:
    """Readers beside one another."""
    settings, options = task.filled(task.options.partitions), task.options
    crowd = crowds.run(settings.home, _QUERY, readers=options.readers, queries=options.each, writers=0, writes=0,
                       seconds=task.left)  # fmt: skip
    return _of_crowd(crowd, options.readers * options.each)


def storm(task: Task) -> Values:
    """As many writers as readers, at once."""
    settings, options = task.filled(task.options.partitions), task.options
    writes = max(1, options.each // 4)
    crowd = crowds.run(settings.home, _QUERY, readers=options.crowd, queries=options.each, writers=options.crowd,
                       writes=writes, seconds=task.left)  # fmt: skip
    return _of_crowd(crowd, options.crowd * (options.each + writes))


def _of_crowd(crowd: crowds.Crowd, asked: int) -> Values:
    queries, writes = crowd.of("query"), crowd.of("write")
    found = summary(queries or [math.inf])
    return {"done": len(queries) + len(writes), "asked": asked, "writes": len(writes), "seconds": crowd.seconds,
            "faults": crowd.faults, "first_fault": crowd.first_fault, "p50": found.p50, "p95": found.p95}  # fmt: skip


def handles(task: Task) -> Values:
    """File handles and threads of this process and of the engine's, after some queries and after all."""
    connection, asked = tracebank.connect(task.filled(1)), task.options.queries
    counts: list[tuple[int, int]] = []
    done = 0
    while done < asked and task.left:
        connection.sql("SELECT 1 AS one")
        done += 1
        if done == min(_WARM_UP, asked // 2):
            counts.append(_held(task.home))
    counts.append(_held(task.home))
    first, last = counts[0], counts[-1]
    return {"queries": done, "asked": asked, "handles": (first[0], last[0]), "threads": (first[1], last[1])}


def _held(home: Path) -> tuple[int, int]:
    processes = [psutil.Process(), *owners(home)]
    return sum(one.num_fds() for one in processes), sum(one.num_threads() for one in processes)


def replace(task: Task) -> Values:
    """A small partition among many, embedded."""
    store, table = open_series(task.filled(task.options.partitions)), made_rows.table("probe")
    return asdict(_replaced(task, store, table, 20))


def _replaced(task: Task, store: SeriesStore, table: SeriesTable, rows: int) -> Timing:
    return task.clock().timed(
        lambda number: store.replace(table, *made_rows.small(rows, number)), task.options.repetitions
    )


def postgresql(task: Task) -> Values:
    """A small partition of a large table on a PostgreSQL server."""
    if not (url := os.environ.get(POSTGRESQL)):
        raise NotHere(f"{POSTGRESQL} is not set")
    rows, table = task.options.postgresql_rows, made_rows.table(f"promise_{uuid.uuid4().hex[:12]}")
    store = open_series(Settings.load(home=task.home, series_url=url))
    try:
        store.create(table)
        store.append(table, made_rows.frames(rows, 60))
        timing = task.clock().timed(
            lambda n: store.replace(table, *made_rows.small(1_000, n)), task.options.repetitions
        )
    finally:
        store.drop(table)
    return asdict(timing) | {"rows": rows}


def lookup(task: Task) -> Values:
    """One row of the relational store by its key, through the one SQL."""
    from tracebank_schemas.ledger import Materialization

    settings, rows = task.filled(1), task.options.relational_rows
    relational = open_relational(settings)
    for chunk in _ledger_rows(Materialization, rows):
        with relational.session() as session:
            relational.upsert(session, Materialization, chunk)
    relational.close()
    connection, keys = tracebank.connect(settings), [one.name for one in Materialization.__table__.primary_key]

    def one_row(number: int) -> None:
        where = " AND ".join(f"{key} = '{key}-{number * 7919 % rows}'" for key in keys)
        found = connection.sql(f"SELECT * FROM relational.materializations WHERE {where}")
        if found.height != 1:
            raise RuntimeError(f"{found.height} rows have a key that one has")

    return asdict(task.clock().timed(one_row, task.options.repetitions)) | {"rows": rows}


def _ledger_rows(model: Any, rows: int) -> Iterator[list[Values]]:
    """Rows of any columns: keys are their names and a number."""
    plain: dict[type, Any] = {str: "x", int: 1, float: 1.0, object: {}}
    moment, columns = datetime(2024, 8, 8, tzinfo=UTC), list(model.__table__.columns)
    same = {
        one.name: moment if isinstance(one.type, UtcDateTime) else plain[one.type.python_type]
        for one in columns
        if not one.primary_key
    }
    keys = [one.name for one in columns if one.primary_key]
    for first in range(0, rows, _CHUNK):
        numbers = range(first, min(rows, first + _CHUNK))
        yield [same | {key: f"{key}-{number}" for key in keys} for number in numbers]


FIGURES: Final[dict[str, Callable[[Task], Values]]] = {
    work.__name__: work for work in (query, command, readers, storm, handles, replace, postgresql, lookup)
}


def main(name: str, options: str, seconds: str, home: str) -> None:
    """Measure one promise and print what was found as JSON."""
    task = Task(Path(home), Options(**json.loads(options)), time.monotonic() + float(seconds))
    try:
        found: Values = {"values": FIGURES[name](task)}
    except NotHere as error:
        found = {"reason": str(error)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
