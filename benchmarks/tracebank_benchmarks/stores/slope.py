"""How the cost of small things grows with a table: to replace a small partition, find one row, list the partitions."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import polars as pl

from tracebank.settings import SettingsError
from tracebank.stores.faults import StoreError
from tracebank_benchmarks.stores import made_rows
from tracebank_benchmarks.stores.places import Place, opened, why_not
from tracebank_benchmarks.stores.timing import REPETITIONS, Clock, Timing
from tracebank_benchmarks.tsdb.measurement import LoadWatch, peers
from tracebank_schemas.series import SeriesTable

OPERATIONS: Final = ("replace 20 rows", "replace 1,000 rows", "one row", "partitions()")
SMALL: Final = (20, 1_000)
ROWS: Final = (1_000_000, 10_000_000)
PARTITIONS: Final = (10, 1_000, 10_000)


class _OutOfTime(Exception):
    """The budget ended while rows were on their way: nothing of them stands."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a table is."""

    rows: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Point:
    """One engine at one size; of no size where the engine is not to be had."""

    engine: str
    rows: int
    partitions: int
    reason: str = ""
    """Why there are no timings, or not all."""
    load_seconds: float = 0.0
    bytes: int = 0
    """On disk, of the whole table."""
    timings: dict[str, Timing] = field(default_factory=dict)


def sizes(rows: Sequence[int], partitions: Sequence[int]) -> list[Size]:
    """All sizes, small tables first; none has more partitions than rows."""
    return [Size(many, parts) for many in sorted(rows) for parts in sorted(partitions) if parts <= many]


def measure(
    engines: Sequence[str],
    asked: Sequence[Size],
    folder: Path,
    *,
    minutes: float,
    repetitions: int = REPETITIONS,
    done: Callable[[Point], None] = lambda _point: None,
) -> list[Point]:
    """Measure every engine at every size.

    Args:
        engines: of `places.ENGINES`.
        asked: sizes, small ones first.
        folder: for the files of embedded engines.
        minutes: for all of it; an engine has an equal part of what is left.
        repetitions: of each operation.
        done: told of every point.
    """
    end, points = time.monotonic() + minutes * 60, []
    for number, engine in enumerate(engines):
        deadline = time.monotonic() + max(0.0, end - time.monotonic()) / (len(engines) - number)
        for point in _of_engine(engine, asked, folder / engine, deadline, repetitions):
            points.append(point)
            done(point)
    return points


def _of_engine(engine: str, asked: Sequence[Size], folder: Path, deadline: float, repetitions: int) -> Iterator[Point]:
    try:
        place = opened(engine, folder)
    except (StoreError, SettingsError) as error:
        yield Point(engine, 0, 0, why_not(error))
        return
    loaded: list[Point] = []
    for size in asked:
        if time.monotonic() + expected(size, loaded) > deadline:
            yield Point(engine, size.rows, size.partitions, "no time is left for it")
            continue
        point = _point(place, size, deadline, repetitions)
        if not point.reason:
            loaded.append(point)
        yield point


def expected(size: Size, loaded: Sequence[Point]) -> float:
    """Seconds that a load will take: as the last one into so many partitions, and more rows at the best rate seen."""
    before = [point for point in loaded if point.partitions == size.partitions]
    if not before:
        return 0.0
    least = min(point.load_seconds / point.rows for point in loaded)
    return before[-1].load_seconds + least * (size.rows - before[-1].rows)


def _point(place: Place, size: Size, deadline: float, repetitions: int) -> Point:
    table, store = made_rows.table(f"slope_{uuid.uuid4().hex[:12]}"), place.store
    timings: dict[str, Timing] = {}
    seconds, held, reason = 0.0, 0, ""
    try:
        store.create(table)
        seconds = store.append(table, _until(deadline, made_rows.frames(size.rows, size.partitions))).seconds
        held = store.size(table).bytes
        clock = Clock(deadline, place.folder)
        for name, work in operations(place, table, size).items():
            timings[name] = clock.timed(work, repetitions, _servers(place))
    except _OutOfTime:
        reason = "no time was left to load it"
    except StoreError as error:
        reason = why_not(error)
    finally:
        store.drop(table)
    return Point(place.engine, size.rows, size.partitions, reason, seconds, held, timings)


def _until(deadline: float, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    for frame in frames:
        if time.monotonic() > deadline:
            raise _OutOfTime
        yield frame


def _servers(place: Place) -> list[int]:
    """First processes of the servers on this machine that the store talks to over TCP."""
    with place.store.session():  # the one that answers may go with the connection
        return LoadWatch().add_servers(peers(os.getpid()))


def operations(place: Place, table: SeriesTable, size: Size) -> dict[str, Callable[[int], object]]:
    """What is timed, in the order of `OPERATIONS`; each takes the number of the repetition."""
    store = place.store

    def replace(rows: int, number: int) -> object:
        where, frame = made_rows.small(rows, number)
        return store.replace(table, where, frame)

    def one_row(number: int) -> object:
        chosen = number * 7919 % size.partitions
        where, each = made_rows.partition(chosen), made_rows.rows_of(chosen, size.rows, size.partitions)
        at = made_rows.moment(where, number * 104_729 % each, each)
        found = store.read(table, partition=where, start=at, end=at + timedelta(microseconds=1))
        if found.height != 1:
            raise StoreError(f"table {table.name}: {found.height} rows are at {at} of {where}, not 1")
        return found

    few, some = SMALL
    works: list[Callable[[int], object]] = [
        lambda number: replace(few, number), lambda number: replace(some, number), one_row,
        lambda _number: store.partitions(table),
    ]  # fmt: skip
    return dict(zip(OPERATIONS, works, strict=True))
