"""The code location: every asset, check, job, schedule and sensor, with the stores that the settings name."""

from collections.abc import Sequence

import dagster as dg

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank_assets.executors import executor_named
from tracebank_assets.language_models import automation as language_models_automation
from tracebank_assets.language_models.assets import ASSETS as LANGUAGE_MODEL_ASSETS
from tracebank_assets.market import automation as market_automation
from tracebank_assets.market.assets import LOADED, raw_files
from tracebank_assets.market.synthetic import synthetic_day
from tracebank_assets.sparse_features import automation as sparse_features_automation
from tracebank_assets.sparse_features.assets import ASSETS as SPARSE_FEATURE_ASSETS
from tracebank_assets.tsdb_benchmark import automation as tsdb_automation
from tracebank_assets.tsdb_benchmark.assets import ASSETS as TSDB_ASSETS

ASSETS = [synthetic_day, raw_files, *LOADED, *TSDB_ASSETS, *LANGUAGE_MODEL_ASSETS, *SPARSE_FEATURE_ASSETS]
"""Every asset of every group."""


def build_defs(
    *,
    stores: Stores | None = None,
    assets: Sequence[dg.AssetsDefinition] | None = None,
    executor: dg.ExecutorDefinition | None = None,
) -> dg.Definitions:
    """Put the code location together; arguments replace what tests and commands want otherwise.

    Raises:
        SettingsError: a setting cannot be used, or the executor that it names is not installed.
    """
    return dg.Definitions(
        assets=list(assets if assets is not None else ASSETS),
        jobs=[
            *market_automation.JOBS,
            *tsdb_automation.JOBS,
            *language_models_automation.JOBS,
            *sparse_features_automation.JOBS,
        ],
        schedules=[*market_automation.SCHEDULES, *tsdb_automation.SCHEDULES],
        sensors=market_automation.SENSORS,
        resources={"stores": stores or Stores()},
        executor=executor or executor_named(Settings.load().executor),
    )


defs = build_defs()
