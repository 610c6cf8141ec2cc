"""The probe of 2310.08164 as the paper has it: split by triple, strength 1, distances as targets, tau of all words.

The target of a positive word is the distance of its codes from those of the neutral word, and minus that distance of a
negative word. Most test words stand in the training part too, and the sign alone orders them well: what a model knows
of rewards is `word_probe`'s to say, and this is here so that the paper's numbers have their like.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tracebank_models.reward_probe.agreement import FIGURES, Floats
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple

SPLIT_SEED: Final = 42
"""Of the split (2310.08164); a random probe's number is added to it."""
_TEST_SHARE: Final = 0.2
_REWARDS: Final = {"word": pl.String, "reconstructed": pl.Float64, "lexicon": pl.Float64, "count": pl.Int64}


@dataclass(frozen=True, slots=True)
class Replication:
    """A probe's rewards of the test words, and how they agree with the lexicon; none where it says one thing of all."""

    kind: str
    """`ridge`, or `random` for a control."""
    number: int
    """Of the random probe; 0 for the trained one."""
    rewards: pl.DataFrame
    """See `reconstruct_rewards`."""
    figures: pl.DataFrame
    """See `reconstruction_figures`."""


def split_triples(count: int) -> tuple[Tensor, Tensor]:
    """Numbers of the triples to train on and of those to test on; of one triple all words are on one side.

    Raises:
        ValueError: One of the two would be empty.
    """
    tested = round(count * _TEST_SHARE)
    if not 0 < tested < count:
        raise ValueError(f"triples: {count} with {_TEST_SHARE:g} to test: both parts need at least one")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
    return order[tested:].sort().values, order[:tested].sort().values


def replicate(
    triples: Sequence[ContrastiveTriple],
    codes: Tensor,
    lexicon: Mapping[str, float],
    *,
    random_probes: int,
    emitted: Mapping[str, int] | None = None,
) -> list[Replication]:
    """Fit the paper's probe, and beside it probes of chance on the same test words.

    Args:
        triples: The triples.
        codes: Of `triple_texts(triples)` at the last token, shape (3 x triples, features).
        lexicon: Valence of words; it is compared with and gives the range, and is not trained on.
        random_probes: How many probes of chance there are.
        emitted: How often the model emits each word.

    Returns:
        The trained probe, then those of chance.

    Raises:
        ValueError: There are too few triples, or see `reconstruct_rewards`.
    """
    from sklearn.linear_model import Ridge

    train, test = split_triples(len(triples))
    rows = codes.double().reshape(len(triples), 3, -1)
    sides = torch.cat([rows[:, 0], rows[:, 1]])
    distances = (rows[:, :2] - rows[:, 2:]).norm(dim=2)
    targets = torch.cat([distances[:, 0], -distances[:, 1]])
    seen, unseen = (torch.cat([part, part + len(triples)]) for part in (train, test))
    words = [t.positive for t in triples] + [t.negative for t in triples]
    ridge = Ridge(alpha=1.0, solver="cholesky").fit(sides[seen].numpy(), targets[seen].numpy())
    x, tested = sides[unseen], [words[row] for row in unseen.tolist()]
    predicted = [("ridge", 0, torch.from_numpy(ridge.predict(x.numpy())))]
    predicted += [("random", at, _by_chance(x, SPLIT_SEED + at)) for at in range(random_probes)]
    found = ((kind, number, reconstruct_rewards(tested, values, lexicon)) for kind, number, values in predicted)
    return [Replication(kind, at, rewards, reconstruction_figures(rewards, emitted)) for kind, at, rewards in found]


def _by_chance(codes: Tensor, seed: int) -> Tensor:
    """What a new layer says: weights and intercept uniform within 1 / sqrt(features)."""
    features = codes.shape[1]
    chance = torch.Generator().manual_seed(seed)
    drawn = (torch.rand(features + 1, generator=chance, dtype=torch.float64) * 2 - 1) / features**0.5
    said: Tensor = codes @ drawn[:features] + drawn[features]
    return said


def reconstruct_rewards(words: Sequence[str], predictions: Tensor, lexicon: Mapping[str, float]) -> pl.DataFrame:
    """One value a word: predictions with their 10th and 90th percentiles put on the lexicon's range, clamped, averaged.

    Args:
        words: The target word of each prediction, each in the lexicon.
        predictions: Shape (words,).
        lexicon: Valence of words.

    Returns:
        Columns word, reconstructed, lexicon and count, by word; no rows where the percentiles are equal, as where all
        features are silent: such predictions have no place on the range.

    Raises:
        ValueError: A word is not in the lexicon.
    """
    unknown = next((word for word in words if word not in lexicon), None)
    if unknown is not None:
        raise ValueError(f"words: {unknown!r} is not allowed: one of the lexicon's")
    low, high = torch.quantile(predictions.double(), torch.tensor([0.1, 0.9], dtype=torch.float64)).tolist()
    if not high > low:
        return pl.DataFrame(schema=_REWARDS)
    bottom, top = min(lexicon.values()), max(lexicon.values())
    scaled = (bottom + (predictions.double() - low) / (high - low) * (top - bottom)).clamp(bottom, top)
    frame = pl.DataFrame({"word": list(words), "reconstructed": scaled.numpy(), "lexicon": [lexicon[w] for w in words]})
    means = frame.group_by("word").agg(
        pl.col("reconstructed").mean(), pl.col("lexicon").first(), pl.len().cast(pl.Int64).alias("count")
    )
    return means.sort("word")


def reconstruction_figures(rewards: pl.DataFrame, emitted: Mapping[str, int] | None = None) -> pl.DataFrame:
    """How rewards agree with the lexicon: Kendall's tau on values, signs, and error against frequency.

    Args:
        rewards: What `reconstruct_rewards` gives.
        emitted: How often the tuned model emits each word, where it is known.

    Returns:
        Rows with the columns of `FIGURES`: kendall_tau, kendall_tau_negative, sign_share, recovered and bad (words of
        a valence of 2 or more whose reward is that too, and is below 0), and with `emitted` error_frequency_tau (of
        the absolute error and the frequency).
    """
    value, truth = (rewards[name].to_numpy() for name in ("reconstructed", "lexicon"))
    negative, strong = truth < 0, truth >= 2
    right = float((np.sign(value) == np.sign(truth)).mean()) if len(truth) else math.nan
    rows = [
        ("kendall_tau", *_tau(value, truth), len(truth)),
        ("kendall_tau_negative", *_tau(value[negative], truth[negative]), int(negative.sum())),
        ("sign_share", right, math.nan, len(truth)),
        *(
            (name, float(some.sum()) if len(truth) else math.nan, math.nan, int(strong.sum()))
            for name, some in (("recovered", strong & (value >= 2)), ("bad", strong & (value < 0)))
        ),
    ]
    if emitted is not None:
        often = np.array([float(emitted.get(word, 0)) for word in rewards["word"]])
        rows.append(("error_frequency_tau", *_tau(np.abs(value - truth), often), len(truth)))
    metric, values, p_values, counts = zip(*rows, strict=True)
    none = [None] * len(rows)
    return pl.DataFrame(
        dict(zip(FIGURES, (metric, values, none, none, p_values, counts), strict=True)), FIGURES
    ).fill_nan(None)


def _tau(first: Floats, second: Floats) -> tuple[float, float]:
    from scipy.stats import kendalltau

    if len(first) < 2:
        return math.nan, math.nan
    found = kendalltau(first, second)
    return float(found.statistic), float(found.pvalue)
