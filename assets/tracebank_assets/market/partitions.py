"""How market assets are cut: one partition per UTC day and symbol that registered files hold.

One dynamic dimension of pairs, not a grid of days by symbols: a grid would list days on which a symbol was never
recorded, and show every asset as unfinished for ever.
"""

from collections.abc import Iterable
from datetime import date

import dagster as dg

DAY_BY_SYMBOL = dg.DynamicPartitionsDefinition(name="market_days_by_symbol")
"""Partitions of trades, quotes, book, bars and quality: `2024-08-08|BTCUSDT`. Registering a file adds what it holds."""


def partition_key(day: date, symbol: str) -> str:
    """Key of one partition."""
    return f"{day.isoformat()}|{symbol}"


def addition(found: Iterable[tuple[date, str]]) -> dg.AddDynamicPartitionsRequest:
    """Request that makes days and symbols known to Dagster."""
    return DAY_BY_SYMBOL.build_add_request([partition_key(day, symbol) for day, symbol in found])


def add_to(instance: dg.DagsterInstance, found: Iterable[tuple[date, str]]) -> None:
    """Make days and symbols known to Dagster now; those that are known stay as they are."""
    request = addition(found)
    instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))


def day_and_symbol(context: dg.AssetExecutionContext) -> tuple[date, str]:
    """The day and the symbol that a run is about."""
    day, symbol = context.partition_key.split("|", 1)
    return date.fromisoformat(day), symbol
