"""Ablation of the features that a probe has found to push the reward up: choosing them, and what the model then writes.

How features are held at zero, and the controls, are `ablation`'s. The paper puts the reconstruction in the place of the
output, whose error then acts too, and may outweigh a few features. So each ablation also runs with the error kept: the
output loses what the features wrote and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl
from torch import Tensor

from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.activity import feature_activity
from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.reward_probe.ablation import AblationResult, Reward, ablate
from tracebank_models.reward_probe.reward_features import (
    control_features,
    features_to_ablate,
    rank_reward_features,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


ERROR_KEPT: Final = {"features": "features_error_kept", "random_features": "random_error_kept"}
"""Names of the conditions in which the error of the reconstruction is added again."""


@dataclass(frozen=True, slots=True)
class AblationSettings:
    """How much is ablated and written."""

    share: float
    """Share of all features, over all sites."""
    new_tokens: int = 20
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the random features: a run each."""


@dataclass(frozen=True, slots=True)
class RewardAblation:
    """What was ablated and what came of it."""

    chosen: pl.DataFrame
    """The ablated features: columns of `rank_reward_features`, those that push most first."""
    summary: pl.DataFrame
    """Columns condition, seed, features, prompts, mean_reward, difference and standard_error; seed is 0 where there
    is none. Conditions are those of `ablation` and of `ERROR_KEPT`."""
    texts: pl.DataFrame
    """Columns condition, seed, prompt, prompt_text, text and reward."""


def ablate_reward_features(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    coders: Mapping[str, SparseCoder],
    weights: pl.DataFrame,
    corpus: TokenCorpus,
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    settings: AblationSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> RewardAblation:
    """Hold the features at zero that push the reward up most, and measure the reward of what is written greedily.

    All sites that have a dictionary are reconstructed in every condition but `none`, also those of which no feature
    is ablated: conditions then differ in features alone. Random features are drawn from the most
    active others, see `control_features`.

    Args:
        model: The tuned model.
        tokenizer: Its tokenizer.
        coders: Its dictionary of each site.
        weights: Of the reward probe: columns site, feature and weight.
        corpus: What the activity of features is measured on.
        prompts: Token ids.
        reward: Of the new texts.
        settings: How much.
        progress: Told how many runs are done, and how many there are.

    Raises:
        ValueError: The share is not above 0 and at most 0.5; see also the functions that are called.
    """
    if not 0 < settings.share <= 0.5:
        raise ValueError(f"share: {settings.share} is not allowed: more than 0 and at most 0.5")
    activity = feature_activity(model, corpus, coders)
    ranking = rank_reward_features(weights, activity)
    chosen = features_to_ablate(ranking, activity, max(1, round(settings.share * activity.height)))
    keeping = {site: _KeepingError(coder) for site, coder in coders.items()}
    among = control_features(activity, chosen)
    results = [
        ablate(
            model, tokenizer, prompts, readers, chosen, reward, new_tokens=settings.new_tokens, seeds=settings.seeds,
            among=among, progress=_in_all(progress, part),
        )
        for part, readers in enumerate((coders, keeping))
    ]  # fmt: skip
    result = _joined(*results)
    rows = [(site, feature) for site, features in chosen.items() for feature in features.tolist()]
    pairs = pl.DataFrame(rows, schema={"site": pl.String, "feature": pl.Int32}, orient="row")
    kept = ranking.join(pairs, on=["site", "feature"], how="semi", maintain_order="left")
    return RewardAblation(kept, _summary(result), _texts(tokenizer, prompts, result))


class _KeepingError:
    """A dictionary whose reconstruction is exact while no code is changed: the error is added again.

    An ablation decodes what it has just encoded, so the error is that of the same tokens.
    """

    def __init__(self, coder: SparseCoder) -> None:
        self.coder = coder
        self.error: Tensor | None = None

    def encode(self, activations: Tensor, /) -> Tensor:
        codes = self.coder.encode(activations)
        self.error = activations - self.coder.decode(codes)
        return codes

    def decode(self, codes: Tensor, /) -> Tensor:
        restored = self.coder.decode(codes)
        return restored if self.error is None else restored + self.error


def _in_all(progress: Callable[[int, int], None] | None, part: int) -> Callable[[int, int], None] | None:
    """Progress of one of two equal parts as that of both."""
    if progress is None:
        return None
    return lambda done, count: progress(part * count + done, 2 * count)


def _joined(plain: AblationResult, kept: AblationResult) -> AblationResult:
    """Without the second part's untouched model and reconstruction, which are the first part's untouched model."""
    renamed = pl.col("condition").replace_strict(ERROR_KEPT, default=None)
    frames = [
        pl.concat([first, second.with_columns(renamed).drop_nulls("condition")])
        for first, second in ((plain.generations, kept.generations), (plain.summary, kept.summary))
    ]
    return AblationResult(*frames)


def _summary(result: AblationResult) -> pl.DataFrame:
    columns = "features", "prompts", "mean_reward", "difference", "standard_error"
    return result.summary.rename({"count": "prompts"}).select("condition", pl.col("seed").fill_null(0), *columns)


def _texts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Sequence[int]], result: AblationResult
) -> pl.DataFrame:
    given = pl.DataFrame(
        {"prompt": range(len(prompts)), "prompt_text": tokenizer.batch_decode([list(ids) for ids in prompts])},
        schema={"prompt": pl.Int64, "prompt_text": pl.String},
    )
    joined = result.generations.join(given, on="prompt", maintain_order="left")
    return joined.select("condition", pl.col("seed").fill_null(0), "prompt", "prompt_text", "text", "reward")
