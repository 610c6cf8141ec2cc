"""What a study tunes for and how: reward, prompts, settings; and what came of it as rows of `policy_evaluations`."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tracebank_models.reward_probe.study import Study

if TYPE_CHECKING:
    from tracebank_models.language_model.policy_evaluation import PolicyEvaluation
    from tracebank_models.language_model.tuning import TuningConfiguration, TuningTask


def tuning_task(study: Study, device: str) -> "TuningTask":
    """Reward and texts of a study.

    Args:
        study: what for.
        device: where a reward that is a model computes.

    Raises:
        ValueError: a file that the study names is not right.
    """
    from tracebank_models.language_model.tuning import TuningTask
    from tracebank_models.reward_probe.study_report import wanted_documents

    wanted, data = wanted_documents(study), study.data
    return TuningTask(
        data.reward_function(device),
        data.documents("tuning", wanted["tuning"]),
        data.documents("evaluation", wanted["evaluation"]),
        data.pairs("tuning") if study.method == "dpo" else None,
    )


def tuning_configuration(study: Study, asked: Mapping[str, object]) -> "TuningConfiguration":
    """The settings of a study's method, with what a run wants otherwise; None takes the study's.

    Raises:
        ValueError: a setting is not allowed.
    """
    from tracebank_models.language_model.tuning import at_beta

    changed = dict(asked)
    beta = changed.pop("beta", None)
    settings: TuningConfiguration = study.effort.dpo if study.method == "dpo" else study.effort.ppo
    given = {name: value for name, value in changed.items() if value is not None}
    settings = dataclasses.replace(settings, **given)  # type: ignore[arg-type]
    return settings if beta is None else at_beta(settings, float(beta))  # type: ignore[arg-type]


def evaluation_rows(
    evaluations: "Iterable[PolicyEvaluation]", study: Study, settings: "TuningConfiguration", asset: str, chosen: int
) -> list[dict[str, object]]:
    """Rows of `policy_evaluations`.

    Args:
        evaluations: of one tuning.
        study: that it belongs to.
        settings: of the tuning.
        asset: `tuned` or `frontier`.
        chosen: step of the checkpoint that was kept.
    """
    beta = 0.0 if study.tuned else settings.beta
    common = {
        "model": study.key,
        "study": study.name,
        "asset": asset,
        "method": study.method,
        "beta": beta,
        "seed": settings.seed,
    }
    return [{**common, **dataclasses.asdict(one), "chosen": one.step == chosen} for one in evaluations]
