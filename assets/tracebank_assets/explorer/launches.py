"""Filling what pages read, from commands: texts of units where they do not stand, and lines of what is new."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from tracebank.settings import Settings
from tracebank_assets.explorer.keys import CURVES, UNITS
from tracebank_assets.explorer.units import UnitsConfig
from tracebank_assets.materialised import CONFIG
from tracebank_assets.neuron_graphs.launches import said, standing, weights_and_texts
from tracebank_assets.neuron_graphs.units import MADE_OF
from tracebank_assets.neuron_graphs.units import UNITS as PARTITIONS

UNITS_JOB: Final = dg.define_asset_job(
    "unit_texts",
    selection=dg.AssetSelection.assets(UNITS),
    description="Texts that a dictionary's units, or a layer's, fire on.",
)
CURVES_JOB: Final = dg.define_asset_job(
    "curves", selection=dg.AssetSelection.assets(CURVES), description="Lines of the series store, for pages."
)
JOBS = [UNITS_JOB, CURVES_JOB]
"""Jobs of the group."""


def keep_units(
    settings: Settings, instance: dg.DagsterInstance, names: Sequence[str], config: UnitsConfig | None = None
) -> list[str]:
    """Keep texts of units, where they are missing or were kept otherwise, by other code or of other weights.

    Args:
        settings: of the home.
        instance: where runs are recorded.
        names: of dictionaries, or `MODEL/layers.N.neurons`.
        config: which texts.

    Returns:
        Names of those that were kept anew.

    Raises:
        RunFailed: a step failed; what was made before it stands.
        dg.Failure: a name is of no units.
    """
    from tracebank_assets.definitions import defs
    from tracebank_assets.runs import run_job  # both need the code location, which finds this module

    made_of = weights_and_texts(settings, names)
    instance.add_dynamic_partitions(str(PARTITIONS.name), list(names))
    asked = (config or UnitsConfig()).model_dump()
    made = []
    for name in names:
        stands = standing(instance, defs, UNITS, name)
        if stands is None or (said(stands, CONFIG), said(stands, MADE_OF)) != (asked, made_of[name]):
            run_job(str(UNITS_JOB.name), instance, partition_key=name, ops={UNITS.to_python_identifier(): asked})
            made.append(name)
    return made


def keep_curves(instance: dg.DagsterInstance) -> None:
    """Draw the lines of what the series store has, those of new rows alone.

    Raises:
        RunFailed: it failed; what was drawn before stands.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    run_job(str(CURVES_JOB.name), instance)
