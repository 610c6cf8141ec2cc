"""The code location: whatever the groups define, with the stores that the settings name."""

from collections.abc import Sequence

import dagster as dg

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank_assets.environment import restore_environment
from tracebank_assets.executors import executor_named
from tracebank_assets.groups import definitions_found


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
    found = definitions_found()
    return dg.Definitions(
        assets=found["assets"] if assets is None else list(assets),
        asset_checks=found["asset_checks"],
        jobs=found["jobs"],
        schedules=found["schedules"],
        sensors=found["sensors"],
        resources={"stores": stores or Stores()},
        executor=executor or executor_named(Settings.load().executor),
    )


restore_environment()
defs = build_defs()
