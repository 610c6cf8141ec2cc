"""Making models of plans, and loading others, from commands: those that are not in the catalogue yet."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank_assets.language_models.keys import NAMED
from tracebank_assets.language_models.named import MODELS
from tracebank_schemas.language_model import LanguageModel

NAMED_JOB: Final = dg.define_asset_job(
    "named_models", selection=dg.AssetSelection.assets(NAMED), description="A model of a plan, the Hub or a folder."
)
JOBS = [NAMED_JOB]
"""Jobs of named models."""


def make_models(
    settings: Settings, instance: dg.DagsterInstance, names: Sequence[str], steps: int | None = None
) -> list[str]:
    """Put models into the catalogue that are not in it.

    Args:
        settings: of the home.
        instance: where runs are recorded.
        names: of plans, ids of the Hub, or folders.
        steps: of pretraining, of those that are trained here.

    Returns:
        Those that were missing.

    Raises:
        RunFailed: a model could not be made.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    instance.add_dynamic_partitions(str(MODELS.name), list(names))
    missing = [name for name in names if not _stands(settings, name)]
    ops = {NAMED.to_python_identifier(): {"steps": steps}} if steps else {}
    for name in missing:
        run_job(str(NAMED_JOB.name), instance, partition_key=name, ops=ops)
    return missing


def _stands(settings: Settings, name: str) -> bool:
    relational = open_relational(settings)
    try:
        with relational.reading() as session:
            return session.get(LanguageModel, name) is not None
    finally:
        relational.close()
