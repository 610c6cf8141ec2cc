"""How market assets are cut: one partition per UTC day and symbol."""

from datetime import date

import dagster as dg

FIRST_DAY = "2010-01-01"
"""First day that can hold market rows."""

SYMBOLS = dg.DynamicPartitionsDefinition(name="symbols")
"""Symbols with rows; registering a file adds those that it holds."""

DAY_BY_SYMBOL = dg.MultiPartitionsDefinition(
    {"day": dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1), "symbol": SYMBOLS}
)
"""Partitions of trades, quotes, book, bars and quality: `2024-08-08|BTCUSDT`."""


def partition_key(day: date, symbol: str) -> dg.MultiPartitionKey:
    """Key of one partition."""
    return dg.MultiPartitionKey({"day": day.isoformat(), "symbol": symbol})


def day_and_symbol(context: dg.AssetExecutionContext) -> tuple[date, str]:
    """The day and the symbol that a run is about."""
    day, symbol = str(context.partition_key).split("|", 1)
    return date.fromisoformat(day), symbol
