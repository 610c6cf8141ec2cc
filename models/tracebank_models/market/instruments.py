"""What an instrument's numbers mean: its kind and the units of its prices and quantities, from venue and symbol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_QUOTE_ASSETS: Final = (
    *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "DAI", "USD"),
    *("EUR", "GBP", "TRY", "BRL", "JPY", "BTC", "ETH", "BNB"),
)
_BYBIT_QUOTES: Final = ("USDT", "USDC", "PERP", "USDE", "USDQ", "EUR", "BRL", "BRZ", "BTC", "ETH", "DAI")
_KRAKEN_QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "CAD", "JPY", "AUD", "CHF", "XBT", "ETH", "DAI")
_SETTLED_IN: Final = {"PERP": "USDC"}
"""Bybit names perpetuals that are quoted in USDC by the word alone: BTCPERP."""
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
    if (told := _of_other_venues(venue, symbol)) is not None:
        return told
    root = symbol.split("_", 1)[0]
    quote = next((asset for asset in _QUOTE_ASSETS if root.endswith(asset) and root != asset), "unknown")
    base = root.removesuffix(quote) if quote != "unknown" else "unknown"
    if venue.startswith("synthetic"):
        return InstrumentUnits("synthetic", "USD", symbol)
    if venue == "binance_coinm":
        return InstrumentUnits("inverse", quote, "contracts")
    kind = {"binance_spot": "spot", "binance_usdm": "linear"}.get(venue, "unknown")
    return InstrumentUnits(kind, quote, base)


def _of_other_venues(venue: str, symbol: str) -> InstrumentUnits | None:
    """Units of instruments whose name says them all; None where it does not, or for venues that are not these."""
    if venue == "okx":
        base, _, rest = symbol.partition("-")
        quote, _, contract = rest.partition("-")
        if not contract:
            return InstrumentUnits("spot", quote, base) if quote else None
        if contract.endswith(("-C", "-P")):
            return InstrumentUnits("option", base, "contracts")
        return InstrumentUnits("inverse" if quote == "USD" else "linear", quote, "contracts")
    if venue == "kraken" and "/" in symbol:
        base, _, quote = symbol.partition("/")
        return InstrumentUnits("spot", quote, base)
    if venue == "kraken" or venue in ("bybit_spot", "bybit_linear"):
        quotes = _KRAKEN_QUOTES if venue == "kraken" else _BYBIT_QUOTES
        quote = next((asset for asset in quotes if symbol.endswith(asset) and symbol != asset), "")
        kind = "linear" if venue == "bybit_linear" else "spot"
        return InstrumentUnits(kind, _SETTLED_IN.get(quote, quote), symbol.removesuffix(quote)) if quote else None
    if venue == "bybit_inverse":
        return InstrumentUnits("inverse", "USD", "USD")
    return None
