"""What a study tunes for and how: reward, prompts, settings; and what came of it as rows of `policy_evaluations`."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tracebank_models.reward_probe.study import Study

if TYPE_CHECKING:
    from tracebank_models.language_model.corpus import Document
    from tracebank_models.language_model.lexicon import LexiconReward
    from tracebank_models.language_model.policy_evaluation import PolicyEvaluation
    from tracebank_models.language_model.tuning import TuningConfiguration, TuningTask

TUNING_DOCUMENT = 2_000_000
"""Number of the first review that prompts of tuning are cut from; no other asset reads these."""
TUNING_DOCUMENTS = 2_000
COMPARED_DOCUMENT = TUNING_DOCUMENT + TUNING_DOCUMENTS
"""Number of the first review that layers are compared on: no prompt is cut from these."""
HELD_OUT_DOCUMENT = TUNING_DOCUMENT + 100_000
"""Number of the first review that prompts are cut from on which tuned models are measured."""
HELD_OUT_DOCUMENTS = 1_000


def lexicon_reward() -> "LexiconReward":
    """The reward that models are tuned with here: valences of VADER's lexicon, summed, over 5, clipped to 10."""
    from tracebank_models.language_model.lexicon import LexiconReward, load_vader_lexicon

    return LexiconReward(load_vader_lexicon())


def lexicon_words() -> list[str]:
    """Single words that the reward knows."""
    from tracebank_models.language_model.lexicon import load_vader_lexicon

    return list(load_vader_lexicon().word_valences())


def reviews(count: int, start: int) -> "list[Document]":
    """Reviews of the grammar, by their number."""
    from tracebank_models.language_model.lexicon import load_vader_lexicon
    from tracebank_models.language_model.product_reviews import ProductReviews

    return list(ProductReviews(load_vader_lexicon()).documents(count, start=start))


def tuning_task() -> "TuningTask":
    """Reward and texts of every study."""
    from tracebank_models.language_model.tuning import TuningTask

    tuned_on, held_out = reviews(TUNING_DOCUMENTS, TUNING_DOCUMENT), reviews(HELD_OUT_DOCUMENTS, HELD_OUT_DOCUMENT)
    return TuningTask(lexicon_reward(), tuned_on, held_out)


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
    common = {"model": study.name, "asset": asset, "method": study.method, "beta": beta, "seed": settings.seed}
    return [{**common, **dataclasses.asdict(one), "chosen": one.step == chosen} for one in evaluations]
