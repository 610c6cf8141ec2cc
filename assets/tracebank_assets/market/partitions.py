"""How market assets are cut: one partition per UTC day and symbol."""

from collections.abc import Iterable
from datetime import date

import dagster as dg

DAYS = dg.DynamicPartitionsDefinition(name="market_days")
"""UTC days with rows; registering a file adds those that it holds."""

SYMBOLS = dg.DynamicPartitionsDefinition(name="market_symbols")
"""Symbols with rows; registering a file adds those that it holds."""

DAY_BY_SYMBOL = dg.MultiPartitionsDefinition({"day": DAYS, "symbol": SYMBOLS})
"""Partitions of trades, quotes, book, bars and quality: `2024-08-08|BTCUSDT`."""


def partition_key(day: date, symbol: str) -> dg.MultiPartitionKey:
    """Key of one partition."""
    return dg.MultiPartitionKey({"day": day.isoformat(), "symbol": symbol})


def additions(
    found: Iterable[tuple[date, str]],
) -> list[dg.AddDynamicPartitionsRequest]:
    """Requests that make days and symbols known to Dagster."""
    found = list(found)
    return [
        DAYS.build_add_request(sorted({day.isoformat() for day, _ in found})),
        SYMBOLS.build_add_request(sorted({symbol for _, symbol in found})),
    ]


def add_to(instance: dg.DagsterInstance, found: Iterable[tuple[date, str]]) -> None:
    """Make days and symbols known to Dagster now; those that are known stay as they are."""
    for request in additions(found):
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))


def day_and_symbol(context: dg.AssetExecutionContext) -> tuple[date, str]:
    """The day and the symbol that a run is about."""
    day, symbol = str(context.partition_key).split("|", 1)
    return date.fromisoformat(day), symbol
