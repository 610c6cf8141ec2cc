"""Kinds and units of instruments."""

from __future__ import annotations

import pytest

from tracebank_models.market.instruments import InstrumentUnits, instrument_units


@pytest.mark.parametrize(
    ("venue", "symbol", "units"),
    [
        ("binance_spot", "BTCUSDT", InstrumentUnits("spot", "USDT", "BTC")),
        ("binance_spot", "ETHBTC", InstrumentUnits("spot", "BTC", "ETH")),
        ("binance_spot", "DOTUSDT", InstrumentUnits("spot", "USDT", "DOT")),
        ("binance_spot", "BTTUSDT", InstrumentUnits("spot", "USDT", "BTT")),
        ("binance_spot", "BTCTUSD", InstrumentUnits("spot", "TUSD", "BTC")),
        ("binance_spot", "TUSDUSDT", InstrumentUnits("spot", "USDT", "TUSD")),
        ("binance_spot", "USDTTRY", InstrumentUnits("spot", "TRY", "USDT")),
        ("binance_spot", "BTCUSD1", InstrumentUnits("spot", "USD1", "BTC")),
        ("binance_spot", "ADAEUR", InstrumentUnits("spot")),
        ("binance_spot", "USDT", InstrumentUnits("spot")),
        ("binance_usdm", "BTCUSDT_240927", InstrumentUnits("linear", "USDT", "BTC")),
        ("binance_usdm", "1000SHIBUSDC", InstrumentUnits("linear", "USDC", "1000SHIB")),
        ("binance_coinm", "BTCUSD_PERP", InstrumentUnits("inverse", "USD", "contracts")),
        ("binance_coinm", "DOTUSD_PERP", InstrumentUnits("inverse", "USD", "contracts")),
        ("binance_options", "BTC-251226-126000-C", InstrumentUnits("option", "USDT", "contracts")),
        ("nasdaq", "AAPL", InstrumentUnits("equity", "USD", "shares")),
        ("synthetic_a", "SYNBTC", InstrumentUnits("synthetic", "USD", "SYNBTC")),
        ("bitget", "BTCUSDT", InstrumentUnits()),
        ("bitmex", "XYZ", InstrumentUnits()),
    ],
)
def test_units_follow_from_venue_and_symbol(venue: str, symbol: str, units: InstrumentUnits) -> None:
    assert instrument_units(venue, symbol) == units
