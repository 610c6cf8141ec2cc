"""Does a probe know rewards, or words? The same probe measured on words that it was not fitted on.

A split by triple leaves nearly every test word in the training part too, in another sentence: a probe that has learned
each word's own feature by heart does well there. Here words themselves are held out: whatever the probe says of them
comes from features that they share with others. Targets are as in `probe`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import polars as pl
import torch
from torch import Tensor

from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.linear_probes import fit_ridge, random_probe
from tracebank_models.reward_probe.probe import RewardProbe, TripleCodes
from tracebank_models.reward_probe.rank_correlation import kendall_tau
from tracebank_models.reward_probe.reconstruction import reconstruct_rewards, reconstruction_metrics

FEWEST_WORDS: Final = 10
"""With fewer unseen words no tau is given: ten words already put its standard error at 0.25."""


def held_out_words(triples: Sequence[ContrastiveTriple], *, seed: int, share: float = 0.2) -> frozenset[str]:
    """Words that a probe is not to be fitted on: a share of the positive ones and of the negative ones.

    Raises:
        ValueError: The share would leave none, or nothing else, on a side.
    """
    chance = random.Random(f"held out {seed}")
    found: set[str] = set()
    for side in ("positive", "negative"):
        words = sorted({getattr(triple, side) for triple in triples})
        count = round(len(words) * share)
        if not 0 < count < len(words):
            raise ValueError(
                f"share: {share:g} of {len(words)} {side} words is not allowed: one that leaves some on both sides"
            )
        found |= set(chance.sample(words, count))
    return frozenset(found)


def fit_unseen_words(
    triples: Sequence[ContrastiveTriple],
    codes: Mapping[str, Tensor],
    lexicon: Mapping[str, float],
    held_out: frozenset[str],
    *,
    seed: int = 42,
    alpha: float = 1.0,
    random_probes: int = 20,
    emitted: Mapping[str, int] | None = None,
) -> list[RewardProbe]:
    """Fit the probe on all words but some, and measure it on those; beside it probes of chance.

    Args:
        triples: The triples.
        codes: As `fit_reward_probes` takes them.
        lexicon: Valence of words.
        held_out: Words to test on; a triple may have one of them and one that is trained on.
        seed: Number of the ridge probe; the probes of chance take it and those after it.
        alpha: Penalty of the ridge.
        random_probes: How many probes of chance there are for each representation.
        emitted: How often the model emits each word.

    Returns:
        For each representation the ridge probe, then those of chance.

    Raises:
        ValueError: See the functions that are called.
    """
    words = [triple.positive for triple in triples] + [triple.negative for triple in triples]
    tested = torch.tensor([word in held_out for word in words])
    test_words = [word for word in words if word in held_out]
    found = []
    for representation, rows in codes.items():
        parts = TripleCodes.of(rows)
        stacked, targets = torch.cat([parts.positive, parts.negative]), torch.cat(parts.targets())
        probes = [("ridge", seed, fit_ridge(stacked[~tested], targets[~tested], alpha=alpha))]
        probes += [("random", seed + at, random_probe(rows.shape[1], seed=seed + at)) for at in range(random_probes)]
        for kind, number, probe in probes:
            rewards = _reconstructed(test_words, probe.predict(stacked[tested]), lexicon)
            metrics = reconstruction_metrics(rewards, emitted)
            found.append(RewardProbe(kind, representation, number, probe, rewards, metrics))
    return found


def _reconstructed(words: Sequence[str], predictions: Tensor, lexicon: Mapping[str, float]) -> pl.DataFrame:
    """As `reconstruct_rewards`; a probe that says the same of nearly all words gives each a reward of 0.

    That is no rare accident here: it is what a probe does that knows words by heart and nothing else.
    """
    low, high = torch.quantile(predictions, torch.tensor([0.1, 0.9], dtype=predictions.dtype)).tolist()
    if high > low:
        return reconstruct_rewards(words, predictions, lexicon)
    counts = pl.Series("word", words).value_counts(sort=True).sort("word")
    return counts.select(
        "word",
        pl.lit(0.0).alias("reconstructed"),
        pl.col("word").replace_strict(dict(lexicon), return_dtype=pl.Float64).alias("lexicon"),
        pl.col("count").cast(pl.Int64),
        pl.lit(False).alias("recovered"),
        pl.lit(False).alias("bad"),
    )


def unseen_words_metric(rewards: pl.DataFrame, trained_on: Iterable[str]) -> pl.DataFrame:
    """Tau over those words of a split by triple that happen to be in no training triple.

    Args:
        rewards: What `reconstruct_rewards` gives.
        trained_on: Words of the training triples.

    Returns:
        One row as of `reconstruction_metrics`, metric `kendall_tau_unseen_words`; value and p-value are null where
        there are fewer than `FEWEST_WORDS`.
    """
    unseen = rewards.filter(~pl.col("word").is_in(list(trained_on)))
    value: float | None = None
    p_value: float | None = None
    if unseen.height >= FEWEST_WORDS:
        found = kendall_tau(unseen["reconstructed"].to_torch(), unseen["lexicon"].to_torch())
        value, p_value = found.tau, found.p_value
    columns = {"metric": pl.String, "value": pl.Float64, "p_value": pl.Float64, "count": pl.Int64}
    row = ("kendall_tau_unseen_words", value, p_value, unseen.height)
    return pl.DataFrame([row], schema=columns, orient="row").fill_nan(None)
