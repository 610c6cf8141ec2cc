"""Training, forecasting and trading from commands: assets of one day and symbol, in their order."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import dagster as dg

from tracebank_assets.forecasting.keys import BACKTESTS_KEY, FORECASTS_KEY, MODELS_KEY
from tracebank_assets.market.partitions import add_to, partition_key

FORECASTING_JOB: Final = dg.define_asset_job(
    "forecasting",
    selection=dg.AssetSelection.assets(MODELS_KEY, FORECASTS_KEY, BACKTESTS_KEY),
    description="Forecasters of a day and symbol, what they say, and what trading on it would have earned.",
)
JOBS = [FORECASTING_JOB]
"""Jobs of the group."""
JUDGED: Final = (FORECASTS_KEY, BACKTESTS_KEY)
"""What is made of models that stand."""
DEMO_VENUE: Final = "synthetic_a"
DEMO_SYMBOL: Final = "SYNBTC"
DEMO: Final[dict[dg.AssetKey, dict[str, Any]]] = {
    MODELS_KEY: {
        "venue": DEMO_VENUE,
        "models": ["hfformer", "lstm", "imbalance"],
        "changes": {
            "features": "book",
            "epochs": 3,
            "windows_per_epoch": 8_000,
            "validation_windows": 2_000,
            "decay": 0.6,
            "dropout": 0.0,
        },
    },
    FORECASTS_KEY: {},
    BACKTESTS_KEY: {"signals": [1, 3, 5], "strategy": {"taker_fee": 2e-6, "fill": "weighted_mid"}},
}
"""Config of the demo's assets: brief trainings, and the paper's fills and fee."""


def run_day(
    instance: dg.DagsterInstance, day: date, symbol: str, configs: Mapping[dg.AssetKey, Mapping[str, Any]]
) -> None:
    """Make the assets of a day and symbol that have a config, in their order.

    Args:
        instance: where runs are recorded.
        day: UTC.
        symbol: of the book.
        configs: by asset; what has none is left as it is.

    Raises:
        RunFailed: a step failed; what was made before it stands.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    add_to(instance, [(day, symbol)])
    ops = {key.to_python_identifier(): dict(config) for key, config in configs.items()}
    run_job(
        str(FORECASTING_JOB.name), instance, partition_key=partition_key(day, symbol), assets=list(configs), ops=ops
    )
