"""Scoring swaps from commands: models that are missing, examples that are missing, scores, then trends."""

from collections.abc import Sequence
from typing import Any, Final

import dagster as dg

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank_assets.identifier_swaps.keys import EXAMPLES, SCORES, TRENDS
from tracebank_assets.language_models.launches import make_models
from tracebank_schemas.identifier_swaps import SwapExample

SCORES_JOB: Final = dg.define_asset_job(
    "identifier_swaps", selection=dg.AssetSelection.assets(SCORES), description="Scores of swaps of one model."
)
EXAMPLES_JOB: Final = dg.define_asset_job(
    "swap_examples", selection=dg.AssetSelection.assets(EXAMPLES), description="Examples of swaps out of sources."
)
TRENDS_JOB: Final = dg.define_asset_job(
    "swap_trends", selection=dg.AssetSelection.assets(TRENDS), description="How losses go with size."
)
JOBS = [SCORES_JOB, EXAMPLES_JOB, TRENDS_JOB]
"""Jobs of the group."""
DEMO: Final[dict[str, Any]] = {"count": 300, "conditions": ["swap", "no_swap"], "joint": False}
"""Config of the demo's scores."""
DEMO_MODELS: Final = ("code-0.1m", "code-0.3m")
DEMO_STEPS: Final = 20
"""Of their pretraining: they are to be seen, not to be believed."""


def score_swaps(
    settings: Settings,
    instance: dg.DagsterInstance,
    models: Sequence[str],
    config: dict[str, Any] | None = None,
    steps: int | None = None,
) -> None:
    """Score swaps under models; what is done is not done again.

    Args:
        settings: of the home.
        instance: where runs are recorded.
        models: names of plans, ids of the Hub, or folders.
        config: of `scores`.
        steps: of pretraining, of models that are trained here and missing.

    Raises:
        RunFailed: a step failed; what was made before it stands.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    make_models(settings, instance, models, steps)
    if not _any_examples(settings, config or {}):
        run_job(str(EXAMPLES_JOB.name), instance)
    ops = {SCORES.to_python_identifier(): dict(config or {})} if config else {}
    for model in models:
        run_job(str(SCORES_JOB.name), instance, partition_key=model, ops=ops)
    run_job(str(TRENDS_JOB.name), instance, ops={TRENDS.to_python_identifier(): {"models": list(models)}})


def _any_examples(settings: Settings, config: dict[str, Any]) -> bool:
    from sqlalchemy import select

    relational = open_relational(settings)
    try:
        with relational.reading() as session:
            of_source = SwapExample.source == config.get("source", "standard_library")
            return session.scalar(select(SwapExample.example).where(of_source).limit(1)) is not None
    finally:
        relational.close()
