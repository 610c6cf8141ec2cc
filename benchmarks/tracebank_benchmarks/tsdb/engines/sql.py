"""What the engines that speak SQL have in common: parameters as literals of a dialect, answers as the suite has them.

Nothing here knows an engine: a dialect gives its own literals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from string import Template
from typing import Any

import pyarrow as pa

from tracebank_benchmarks.tsdb.comparison import answer_schema
from tracebank_benchmarks.tsdb.workloads import Parameters, Value, Workload
from tracebank_schemas.series import TIMESTAMP

Literal = Callable[[str, Value], str]
"""A parameter, by its name and value, as a dialect writes it; refuses what it does not know."""


def filled(workload: Workload, text: str, parameters: Parameters, literal: Literal) -> str:
    """The text of a workload with its parameters in it.

    Raises:
        ValueError: the parameters are not the workload's.
    """
    if set(parameters) != set(workload.parameters):
        raise ValueError(f"{workload.id}: parameters {sorted(parameters)}, it takes {sorted(workload.parameters)}")
    return Template(text).substitute({name: literal(name, value) for name, value in parameters.items()})


def utc(moment: datetime) -> datetime:
    """A moment in UTC.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"time {moment!r} has no time zone; give one in UTC")
    return moment.astimezone(UTC)


def number(value: float) -> str:
    """A number, every digit of it.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"number {value!r} is not finite")
    return repr(value)


def refused(value: object) -> TypeError:
    """The error for a parameter that has no literal."""
    return TypeError(f"parameter {value!r} is a {type(value).__name__}; use times, names, numbers or tuples of them")


def shaped(workload: Workload, answer: pa.Table) -> pa.Table:
    """An engine's answer in the columns and types of the workload's outputs.

    Integers in the place of time stamps are seconds if they have 32 bits (ClickHouse's DateTime), and else nanoseconds.

    Raises:
        ValueError: columns are missing or there are others.
    """
    schema = answer_schema(workload)
    if sorted(answer.schema.names) != sorted(schema.names):
        raise ValueError(f"{workload.id}: the answer has columns {answer.schema.names}, asked were {schema.names}")
    columns = [_cast(answer.column(field.name), field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(values: pa.ChunkedArray[Any], kind: pa.DataType) -> pa.ChunkedArray[Any]:
    if values.type == kind:
        return values
    if pa.types.is_timestamp(kind) and pa.types.is_integer(values.type):
        unit = pa.timestamp("s", "UTC") if values.type.bit_width == 32 else TIMESTAMP
        return values.cast(pa.int64()).cast(unit).cast(kind)
    return values.cast(kind)


def pairs(value: object) -> list[tuple[str, datetime]]:
    """(symbol, instant) pairs.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, tuple):
        raise refused(value)
    for item in value:
        if not (
            isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], datetime)
        ):
            raise TypeError(f"parameter {item!r} is no pair of a name and a time")
    return list(value)


class Timed:
    """Frames on their way to an engine, and the seconds that it took to produce them, which are not the engine's."""

    def __init__(self, frames: Iterable[pa.Table]) -> None:
        self._frames = iter(frames)
        self.seconds = 0.0

    def __iter__(self) -> Iterator[pa.Table]:
        return self

    def __next__(self) -> pa.Table:
        start = time.perf_counter()
        try:
            return next(self._frames)
        finally:
            self.seconds += time.perf_counter() - start
