"""What the plans share: windows, buckets, parameters as the types that Polars wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeAlias

import polars as pl

from tracebank_benchmarks.tsdb.workloads import Parameters

TIME: Final = pl.Datetime("ns", "UTC")

Plan: TypeAlias = Callable[[Parameters, pl.LazyFrame, pl.LazyFrame], pl.LazyFrame]
"""From parameters, trades and book to an answer."""


def instant(parameters: Parameters, name: str) -> datetime:
    """A parameter that is a time.

    Raises:
        TypeError: It is none.
    """
    value = parameters[name]
    if not isinstance(value, datetime):
        raise TypeError(f"parameter {name}={value!r} is no time")
    return value


def number(parameters: Parameters, name: str) -> float:
    """A parameter that is a number.

    Raises:
        TypeError: It is none.
    """
    value = parameters[name]
    if not isinstance(value, int | float):
        raise TypeError(f"parameter {name}={value!r} is no number")
    return value


def several(parameters: Parameters, name: str) -> tuple[object, ...]:
    """A parameter that is a tuple.

    Raises:
        TypeError: It is none.
    """
    value = parameters[name]
    if not isinstance(value, tuple):
        raise TypeError(f"parameter {name}={value!r} is no tuple")
    return value


def asked(parameters: Parameters, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows that the parameters ask for: of `[start, end)`, of the symbols or the symbol, of the venue."""
    conditions = []
    if "start" in parameters:
        conditions.append(pl.col("ts") >= pl.lit(instant(parameters, "start"), TIME))
    if "end" in parameters:
        conditions.append(pl.col("ts") < pl.lit(instant(parameters, "end"), TIME))
    if "symbols" in parameters:
        conditions.append(pl.col("symbol").is_in(list(several(parameters, "symbols"))))
    conditions += [pl.col(name) == pl.lit(parameters[name]) for name in ("symbol", "venue") if name in parameters]
    return rows.filter(*conditions)


def bucket(every: str, name: str) -> pl.Expr:
    """Start of the bucket of `ts`."""
    return pl.col("ts").dt.truncate(every).alias(name)


def first(name: str) -> pl.Expr:
    """First value by seq."""
    return pl.col(name).sort_by("seq").first()


def last(name: str) -> pl.Expr:
    """Last value by seq."""
    return pl.col(name).sort_by("seq").last()
