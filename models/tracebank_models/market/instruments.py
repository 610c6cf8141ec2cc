"""What an instrument's numbers mean: its kind and the units of its prices and quantities, from venue and symbol.

Nothing is guessed: of a venue that is not known here, and of a symbol that can be read in two ways, it is not said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SPOT, USDM, COINM, OPTIONS = "binance_spot", "binance_usdm", "binance_coinm", "binance_options"
"""Binance's markets as venues."""

COIN_MARGINED: Final = r"^[^_]+USD_(PERP|\d{6})$"
OPTION: Final = r"^[^-]+-\d{6}-\d+(\.\d+)?-[CP]$"
"""Shapes of symbols that COIN-M and options have, and no other market of Binance."""

_EQUITY_VENUES: Final = ("nasdaq", "nyse")
_KINDS: Final = {SPOT: "spot", USDM: "linear"}
_QUOTES: Final = {
    "spot": (
        *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "USD1", "PAX", "DAI", "XUSD", "RLUSD", "BFUSD"),
        *("BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "SOL"),
        *("EUR", "AEUR", "EURI", "GBP", "TRY", "BRL", "AUD", "RUB", "UAH", "NGN", "ZAR", "IDRT", "BIDR", "BKRW"),
        *("BVND", "VAI", "PLN", "RON", "ARS", "JPY", "MXN", "CZK", "COP"),
    ),
    "linear": ("USDT", "USDC", "BUSD", "BTC"),
}
"""Assets that prices are in, by kind, from the lists of symbols of data.binance.vision. Spot has none in USD."""
_BYBIT_QUOTES: Final = ("USDT", "USDC", "PERP", "USDE", "USDQ", "EUR", "BRL", "BRZ", "BTC", "ETH", "DAI")
_KRAKEN_QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "CAD", "JPY", "AUD", "CHF", "XBT", "ETH", "DAI")


@dataclass(frozen=True, slots=True)
class InstrumentUnits:
    """Kind of an instrument and the units of its rows; None where they are not known."""

    kind: str | None = None
    """One of spot, linear, inverse, option, equity, synthetic."""
    price_unit: str | None = None
    qty_unit: str | None = None


def instrument_units(venue: str, symbol: str) -> InstrumentUnits:
    """Units of an instrument's prices and quantities.

    Args:
        venue: e.g. "binance_spot".
        symbol: the venue's own name, e.g. "BTCUSDT" or "BTCUSD_PERP".
    """
    if venue in _EQUITY_VENUES:
        return InstrumentUnits("equity", "USD", "shares")
    if venue.startswith("synthetic"):
        return InstrumentUnits("synthetic", "USD", symbol)
    if venue == COINM:
        return InstrumentUnits("inverse", "USD", "contracts")
    if venue == OPTIONS:
        return InstrumentUnits("option", "USDT", "contracts")
    if venue not in _KINDS:
        return _of_other_venues(venue, symbol)
    kind = _KINDS[venue]
    return InstrumentUnits(kind, *_quote_and_base(symbol.split("_", 1)[0], _QUOTES[kind]))


def _of_other_venues(venue: str, symbol: str) -> InstrumentUnits:
    """Units by the names that these venues give: BTC-USD-SWAP, XBT/USD, BTCUSDU24."""
    if venue == "okx":
        base, _, rest = symbol.partition("-")
        quote, _, contract = rest.partition("-")
        if contract.endswith(("-C", "-P")):
            return InstrumentUnits("option", base, "contracts")
        if contract:
            return InstrumentUnits("inverse" if quote == "USD" else "linear", quote, "contracts")
        return InstrumentUnits("spot", quote, base) if quote else InstrumentUnits()
    if venue == "kraken":
        base, _, quote = symbol.partition("/")
        return InstrumentUnits("spot", *((quote, base) if quote else _quote_and_base(symbol, _KRAKEN_QUOTES)))
    if venue == "bybit_inverse":
        return InstrumentUnits("inverse", "USD", "USD")
    if venue in ("bybit_spot", "bybit_linear"):
        quote_unit, base_unit = _quote_and_base(symbol, _BYBIT_QUOTES)
        settled = "USDC" if quote_unit == "PERP" else quote_unit  # perpetuals in USDC are named by the word: BTCPERP
        return InstrumentUnits(venue.removeprefix("bybit_"), settled, base_unit)
    return InstrumentUnits()


def _quote_and_base(pair: str, quotes: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Cut a pair in two; there may be several ways (ADAEUR: ADA in EUR, or AD in AEUR), and then none is taken."""
    ways = [(quote, pair.removesuffix(quote)) for quote in quotes if pair.endswith(quote) and pair != quote]
    return ways[0] if len(ways) == 1 else (None, None)
