"""Asset `frontier`: how much reward a study's tuning buys for how much KL, at several prices of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from tracebank.garbage import FRONTIERS
from tracebank.resources import Stores
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.language_models.curves import step_bar
from tracebank_assets.language_models.frontier_plot import draw, frontier_markdown
from tracebank_assets.language_models.keys import BASE, GROUP
from tracebank_assets.language_models.tuning_tasks import evaluation_rows, tuning_configuration, tuning_task
from tracebank_assets.studies import made_of_study, study_artifact
from tracebank_models.reward_probe.study import Study
from tracebank_schemas.language_model import PolicyEvaluation

if TYPE_CHECKING:
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.language_model.tuning import TuningConfiguration

PRICES = (1 / 3, 1.0, 3.0)
"""Of KL, in the study's own."""
_CHECK = "kl_falls_with_its_price"
_CHECKS = {_CHECK: "The dearer KL was, the less of it the tuned model has."}


class FrontierConfig(dg.Config):
    """At which prices of KL, and how long, a model is tuned."""

    betas: list[float] | None = Field(default=None, description="Empty: a third of the study's, its own, three times.")
    steps: int | None = Field(default=None, description="Steps of each tuning; empty takes the study's.")


@study_artifact(
    GROUP,
    PolicyEvaluation,
    checks=_CHECKS,
    deps=[BASE],
    not_empty=True,
    automation_condition=None,  # else a sensor of Dagster's own would make it
    reads=("method", "data", "seed", "ppo", "dpo", "preference_batches"),
)
def frontier(context: dg.AssetExecutionContext, config: FrontierConfig, stores: Stores) -> dg.MaterializeResult:
    """Reward and KL of models that are tuned alike but for the price of KL, which is held; nothing waits for it."""
    with made_of_study(context, stores) as (made, study, device):
        if study.tuned is not None:
            raise dg.Failure(f"study {study.name!r}: its model is loaded; allowed: one that is tuned here")
        settings = tuning_configuration(study, {"steps": config.steps, "seed": study.seed})
        betas = config.betas or [settings.beta * price for price in PRICES]
        parent = load_catalogued(stores.relational, study.base.name, device)
        folder = stores.settings.home / GROUP / study.key / "frontier"
        rows = _frontier(study, parent, settings, sorted(betas), folder)
        made.into(PolicyEvaluation, {"model": study.key, "asset": "frontier"}).write(rows)
    picture = draw(rows, study.key, stores.settings.home / FRONTIERS / f"{study.key}.svg")
    kls = [float(str(row["kl"])) for row in rows if row["split"] == "report"]
    falls = kls == sorted(kls, reverse=True)
    check = dg.AssetCheckResult(check_name=_CHECK, passed=falls, severity=dg.AssetCheckSeverity.WARN)
    points = dg.MetadataValue.md(frontier_markdown(rows))
    return made.result({"picture": dg.MetadataValue.url(picture.as_uri()), "points": points}, [check])


def _frontier(
    study: Study, parent: "LoadedModel", settings: "TuningConfiguration", betas: list[float], folder: Path
) -> list[dict[str, object]]:
    from tracebank_models.language_model.tuning import frontier

    with step_bar(f"frontier of {study.key}", settings.steps * len(betas)) as on_step:
        tuned = frontier(parent, tuning_task(study, str(parent.model.device)), settings, betas, folder, on_step)
        return [
            row for own, done in tuned for row in evaluation_rows(done.evaluations, study, own, "frontier", done.chosen)
        ]
