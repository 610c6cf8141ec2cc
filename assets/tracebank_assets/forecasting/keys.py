"""Keys of the assets of forecasting."""

from typing import Final

import dagster as dg

from tracebank_assets.market.keys import market_key

GROUP: Final = "forecasting"
BOOK_KEY: Final = market_key("book")
MODELS_KEY: Final = dg.AssetKey([GROUP, "models"])
FORECASTS_KEY: Final = dg.AssetKey([GROUP, "forecasts"])
BACKTESTS_KEY: Final = dg.AssetKey([GROUP, "backtests"])
CONTROL: Final = "imbalance"
"""Name of the linear model whose score stands beside every other's."""
