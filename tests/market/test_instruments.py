"""Kinds and units of instruments."""

from __future__ import annotations

import pytest

from tracebank_models.market.instruments import InstrumentUnits, instrument_units


@pytest.mark.parametrize(
    ("venue", "symbol", "units"),
    [
        ("binance_spot", "BTCUSDT", InstrumentUnits("spot", "USDT", "BTC")),
        ("binance_spot", "ETHBTC", InstrumentUnits("spot", "BTC", "ETH")),
        ("binance_usdm", "BTCUSDT_240927", InstrumentUnits("linear", "USDT", "BTC")),
        ("binance_coinm", "BTCUSD_PERP", InstrumentUnits("inverse", "USD", "contracts")),
        ("nasdaq", "AAPL", InstrumentUnits("equity", "USD", "shares")),
        ("synthetic_a", "SYNBTC", InstrumentUnits("synthetic", "USD", "SYNBTC")),
        ("bitmex", "XYZ", InstrumentUnits("unknown", "unknown", "unknown")),
    ],
)
def test_units_follow_from_venue_and_symbol(venue: str, symbol: str, units: InstrumentUnits) -> None:
    assert instrument_units(venue, symbol) == units
