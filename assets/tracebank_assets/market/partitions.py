"""How market assets are cut: by UTC day and symbol, two dimensions that registered files fill.

A cell of the grid that no file holds rows of is a day on which that symbol was not recorded: it stays missing, and a
run of it says so.
"""

from collections.abc import Iterable
from datetime import date

import dagster as dg

_DAYS = "market_days"
_SYMBOLS = "market_symbols"

DAY_BY_SYMBOL = dg.MultiPartitionsDefinition(
    {"day": dg.DynamicPartitionsDefinition(name=_DAYS), "symbol": dg.DynamicPartitionsDefinition(name=_SYMBOLS)}
)
"""Of trades, quotes, book, bars and quality: `2024-08-08|BTCUSDT`. Registering a file adds its days and symbols."""


def partition_key(day: date, symbol: str) -> dg.MultiPartitionKey:
    """Key of one partition."""
    return dg.MultiPartitionKey({"day": day.isoformat(), "symbol": symbol})


def additions(found: Iterable[tuple[date, str]]) -> list[dg.AddDynamicPartitionsRequest]:
    """Requests that make days and symbols known to Dagster."""
    pairs = list(found)
    keys = {_DAYS: sorted({day.isoformat() for day, _ in pairs}), _SYMBOLS: sorted({symbol for _, symbol in pairs})}
    return [dg.AddDynamicPartitionsRequest(name, partitions) for name, partitions in keys.items()]


def add_to(instance: dg.DagsterInstance, found: Iterable[tuple[date, str]]) -> None:
    """Make days and symbols known to Dagster now; those that are known stay as they are."""
    for request in additions(found):
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))


def day_and_symbol(context: dg.AssetExecutionContext) -> tuple[date, str]:
    """The day and the symbol that a run is about."""
    day, symbol = context.partition_key.split("|", 1)
    return date.fromisoformat(day), symbol
