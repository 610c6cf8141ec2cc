"""Ablation of the features that a probe has found to push the reward up: choosing them, and what their absence does.

The effect is that on the expected valence of the next token, ranked among those of random features that are as active
(`ablation`, `matched_draws`). What the model writes then is an illustration (`ablation_texts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl
import torch
from torch import Tensor

from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.activity import feature_activity
from tracebank_models.features.held_at_zero import held
from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.language_model.lexicon import Lexicon
from tracebank_models.language_model.rewards import Reward
from tracebank_models.reward_probe.ablation import Condition, ExpectedValence, interval
from tracebank_models.reward_probe.ablation_texts import write_under
from tracebank_models.reward_probe.matched_draws import activation_mass, matched_draws, rank_p
from tracebank_models.reward_probe.next_valence import TokenValences
from tracebank_models.reward_probe.reward_features import features_to_ablate, rank_reward_features

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BASELINE: Final = {"features": "reconstruction", "features_error_kept": "none"}
"""What a condition would be if no feature were at zero."""
DRAWN: Final = {"features": "random_features", "features_error_kept": "random_error_kept"}
"""The same with random features."""


@dataclass(frozen=True, slots=True)
class AblationSettings:
    """How much is ablated and drawn."""

    share: float
    """Share of all features, over all sites."""
    draws: int = 200
    """Of random features."""
    seed: int = 0
    """Of the draws and the intervals."""
    new_tokens: int = 20
    """Of a continuation."""


@dataclass(frozen=True, slots=True)
class AblationTexts:
    """What is read; none of it is what the probe was fitted on."""

    choosing: TokenCorpus
    """Tells how active features are when they are chosen."""
    matching: TokenCorpus
    """Tells it when they are matched with random ones: other documents, so that what looked active by chance is not."""
    measured: list[list[int]]
    """Token ids of texts of one length, on which the effect is measured."""
    prompts: list[list[int]]
    """Token ids of what is continued, for illustration."""


@dataclass(frozen=True, slots=True)
class RewardAblation:
    """What was ablated and what came of it."""

    chosen: pl.DataFrame
    """The ablated features: columns of `rank_reward_features`, those that push most first."""
    effects: pl.DataFrame
    """Columns condition, draw, features, mass, texts, expected_valence, difference, effect, effect_low, effect_high,
    rank_p and two_sided_p; a row each for `none`, `reconstruction`, `features`, `features_error_kept`, and one a draw
    of `random_features` and `random_error_kept`."""
    texts: pl.DataFrame
    """Columns condition, draw, prompt, prompt_text, text and reward."""


def ablate_reward_features(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    coders: Mapping[str, SparseCoder],
    weights: pl.DataFrame,
    texts: AblationTexts,
    lexicon: Lexicon,
    reward: Reward,
    settings: AblationSettings,
    *,
    advance: Callable[[int], None] | None = None,
) -> RewardAblation:
    """Hold the features at zero that push the reward up most, and measure what the model then expects to say.

    Without the error kept, all sites that have a dictionary are reconstructed, also those of which no feature is
    ablated: conditions then differ in features alone. Features of all sites are at zero together, and so are those of
    a draw, which has as many of each site.

    Args:
        model: The tuned model.
        tokenizer: Its tokenizer.
        coders: Its dictionary of each site.
        weights: Of the reward probe: columns site, feature and weight.
        texts: What is read.
        lexicon: Valence of words.
        reward: Of continuations.
        settings: How much.
        advance: Told of work as it is done, `work` in all.

    Raises:
        ValueError: The share is not above 0 and at most 0.5, or there is no draw; see also the functions that are
            called.
    """
    if not 0 < settings.share <= 0.5:
        raise ValueError(f"share: {settings.share} is not allowed: more than 0 and at most 0.5")
    if settings.draws < 1:
        raise ValueError(f"draws: {settings.draws} is not allowed: 1 or more")
    activity = feature_activity(model, texts.choosing, coders)
    ranking = rank_reward_features(weights, activity)
    chosen = features_to_ablate(ranking, activity, max(1, round(settings.share * activity.height)))
    matching = feature_activity(model, texts.matching, coders)
    conditions = _conditions(chosen, matching, settings)
    measured = ExpectedValence(model, TokenValences.of(tokenizer, lexicon), coders, texts.measured)
    found = measured.of(conditions, advance)
    written = write_under(
        model, tokenizer, coders, _illustrated(conditions), texts.prompts, reward, settings.new_tokens
    )
    rows = [(site, feature) for site, features in chosen.items() for feature in features.tolist()]
    pairs = pl.DataFrame(rows, schema={"site": pl.String, "feature": pl.Int32}, orient="row")
    kept = ranking.join(pairs, on=["site", "feature"], how="semi", maintain_order="left")
    return RewardAblation(kept, _effects(found, conditions, matching, settings.seed), written)


def work(texts: int, draws: int) -> int:
    """What `advance` is told in all."""
    return texts * (2 + len(DRAWN) * (1 + draws))


def _conditions(
    chosen: Mapping[str, Tensor], activity: pl.DataFrame, settings: AblationSettings
) -> dict[str, Condition]:
    widths = {site: activity.filter(site=site).height for site in chosen}
    off = {site: held(features.tolist(), widths[site]) for site, features in chosen.items()}
    drawn = matched_draws(chosen, activity, draws=settings.draws, seed=settings.seed)
    found = {
        "none": Condition({}),
        "reconstruction": Condition({site: torch.zeros_like(one) for site, one in off.items()}),
    }
    for name, random in DRAWN.items():
        kept = BASELINE[name] == "none"
        found |= {name: Condition(off, kept), random: Condition(drawn, kept)}
    return found


def _illustrated(conditions: Mapping[str, Condition]) -> dict[str, Condition]:
    """All but random features in the reconstruction, and of those with the error kept the first draw."""
    return {name: condition.part(slice(0, 1)) for name, condition in conditions.items() if name != DRAWN["features"]}


def _effects(
    found: Mapping[str, Tensor], conditions: Mapping[str, Condition], activity: pl.DataFrame, seed: int
) -> pl.DataFrame:
    baselines = BASELINE | {random: BASELINE[name] for name, random in DRAWN.items()}
    frames = []
    for name, values in found.items():
        frame = _sizes(conditions[name], activity, len(values)).with_columns(
            pl.lit(name).alias("condition"),
            pl.lit(values.shape[1], pl.Int64).alias("texts"),
            pl.Series("expected_valence", values.mean(1).numpy()),
            pl.Series("difference", (values - found["none"]).mean(1).numpy()),
        )
        if name in baselines:
            effects = values - found[baselines[name]]
            frame = frame.with_columns(pl.Series("effect", effects.mean(1).numpy()))
        if name in BASELINE:
            low, high = interval(effects[0], seed=seed)
            drawn = (found[DRAWN[name]] - found[BASELINE[name]]).mean(1)
            rank, two_sided = rank_p(float(effects.mean()), drawn)
            frame = frame.with_columns(effect_low=low, effect_high=high, rank_p=rank, two_sided_p=two_sided)
        frames.append(frame)
    return pl.concat(frames, how="diagonal")


def _sizes(condition: Condition, activity: pl.DataFrame, choices: int) -> pl.DataFrame:
    """Columns draw, features and mass: how much each choice holds at zero."""
    features, mass = torch.zeros(choices, dtype=torch.int64), torch.zeros(choices, dtype=torch.float64)
    for site, off in condition.off.items():
        masses = activity.filter(site=site).sort("feature").select(activation_mass()).to_series().to_torch()
        features += off.sum(1)
        mass += off.double() @ masses
    return pl.DataFrame({"draw": range(choices), "features": features.numpy(), "mass": mass.numpy()})
