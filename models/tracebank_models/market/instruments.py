"""What an instrument's numbers mean: its kind and the units of its prices and quantities, from venue and symbol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_QUOTE_ASSETS: Final = (
    *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "DAI", "USD"),
    *("EUR", "GBP", "TRY", "BRL", "JPY", "BTC", "ETH", "BNB"),
)
_EQUITY_VENUES: Final = ("nasdaq", "nyse")


@dataclass(frozen=True, slots=True)
class InstrumentUnits:
    """Kind of an instrument and the units of its rows."""

    kind: str
    """One of spot, linear, inverse, equity, synthetic, unknown."""
    price_unit: str
    qty_unit: str


def instrument_units(venue: str, symbol: str) -> InstrumentUnits:
    """Units of an instrument's prices and quantities; "unknown" where venue and symbol do not tell.

    Args:
        venue: e.g. "binance_spot".
        symbol: the venue's own name, e.g. "BTCUSDT" or "BTCUSD_PERP".
    """
    if venue in _EQUITY_VENUES:
        return InstrumentUnits("equity", "USD", "shares")
    root = symbol.split("_", 1)[0]
    quote = next((asset for asset in _QUOTE_ASSETS if root.endswith(asset) and root != asset), "unknown")
    base = root.removesuffix(quote) if quote != "unknown" else "unknown"
    if venue.startswith("synthetic"):
        return InstrumentUnits("synthetic", "USD", symbol)
    if venue == "binance_coinm":
        return InstrumentUnits("inverse", quote, "contracts")
    kind = {"binance_spot": "spot", "binance_usdm": "linear"}.get(venue, "unknown")
    return InstrumentUnits(kind, quote, base)
