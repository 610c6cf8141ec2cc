"""The reward probe of 2310.08164 with its controls: ridge on codes of the target word, chance, raw activations.

The target of a positive word is the distance of its codes from those of the neutral word, and minus that distance of a
negative word: the lexicon is not trained on. The split is by triple, so that no neutral code is on both sides of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.linear_probes import LinearProbe, fit_logistic, fit_ridge, random_probe
from tracebank_models.reward_probe.reconstruction import reconstruct_rewards, reconstruction_metrics


@dataclass(frozen=True, slots=True)
class TripleCodes:
    """Codes at the target word of triples; the rows of the three belong together."""

    positive: Tensor
    """Shape (triples, features)."""
    negative: Tensor
    neutral: Tensor

    @classmethod
    def of(cls, codes: Tensor) -> TripleCodes:
        """Take apart the codes of `triple_texts`, shape (3 x triples, features)."""
        if len(codes) % 3:
            raise ValueError(f"codes: {len(codes)} rows are not allowed: three a triple")
        positive, negative, neutral = codes.reshape(-1, 3, codes.shape[1]).unbind(1)
        return cls(positive, negative, neutral)

    def targets(self) -> tuple[Tensor, Tensor]:
        """What the probe is to predict for the positive and for the negative words, each of shape (triples,)."""
        neutral = self.neutral.double()
        return (self.positive.double() - neutral).norm(dim=1), -(self.negative.double() - neutral).norm(dim=1)


def triple_texts(triples: Sequence[ContrastiveTriple]) -> list[str]:
    """Texts of triples, three each: positive, negative, neutral."""
    return [text for triple in triples for text in triple.texts]


@dataclass(frozen=True, slots=True)
class RewardProbe:
    """A probe, and what came of it on the triples that it had not seen."""

    kind: str
    """`ridge`, or `random` for a control."""
    representation: str
    """What it reads: `sparse_codes` or `raw_activations`."""
    seed: int
    probe: LinearProbe
    rewards: pl.DataFrame
    """See `reconstruct_rewards`."""
    metrics: pl.DataFrame
    """See `reconstruction_metrics`."""


def split_triples(count: int, *, seed: int = 42, test_share: float = 0.2) -> tuple[Tensor, Tensor]:
    """Numbers of the triples to train on and of those to test on.

    Raises:
        ValueError: One of the two would be empty.
    """
    tested = round(count * test_share)
    if not 0 < tested < count:
        raise ValueError(f"triples: {count} with {test_share:g} to test: both parts need at least one")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[tested:].sort().values, order[:tested].sort().values


def fit_reward_probes(
    triples: Sequence[ContrastiveTriple],
    codes: Mapping[str, Tensor],
    lexicon: Mapping[str, float],
    *,
    seed: int = 42,
    alpha: float = 1.0,
    random_probes: int = 20,
    emitted: Mapping[str, int] | None = None,
) -> list[RewardProbe]:
    """Fit the probe on each representation, and beside it probes of chance on the same test words.

    Args:
        triples: The triples.
        codes: By representation (`sparse_codes`, `raw_activations`), the codes of `triple_texts(triples)`, shape
            (3 x triples, features), at the last token.
        lexicon: Valence of words; it is compared with and gives the range, and is not trained on.
        seed: Of the split; the probes of chance take it and those after it.
        alpha: Penalty of the ridge.
        random_probes: How many probes of chance there are for each representation.
        emitted: How often the tuned model emits each word.

    Returns:
        For each representation the ridge probe, then those of chance.

    Raises:
        ValueError: Codes do not fit the triples, or see the functions that are called.
    """
    train, test = split_triples(len(triples), seed=seed)
    words = [triples[number].positive for number in test.tolist()]
    words += [triples[number].negative for number in test.tolist()]
    found: list[RewardProbe] = []
    for representation, rows in codes.items():
        if len(rows) != 3 * len(triples):
            raise ValueError(f"codes: {representation} has {len(rows)} rows: allowed are {3 * len(triples)}")
        parts = TripleCodes.of(rows)
        positive, negative = parts.targets()
        seen = torch.cat([parts.positive[train], parts.negative[train]])
        unseen = torch.cat([parts.positive[test], parts.negative[test]])
        ridge = fit_ridge(seen, torch.cat([positive[train], negative[train]]), alpha=alpha)
        probes = [("ridge", seed, ridge)]
        probes += [("random", seed + at, random_probe(rows.shape[1], seed=seed + at)) for at in range(random_probes)]
        for kind, number, probe in probes:
            rewards = reconstruct_rewards(words, probe.predict(unseen), lexicon)
            metrics = reconstruction_metrics(rewards, emitted)
            found.append(RewardProbe(kind, representation, number, probe, rewards, metrics))
    return found


def probe_metrics(probes: Sequence[RewardProbe]) -> pl.DataFrame:
    """Metrics of all probes: columns kind, representation, seed, metric, value, p_value and count."""
    return pl.concat(
        probe.metrics.select(
            pl.lit(probe.kind).alias("kind"),
            pl.lit(probe.representation).alias("representation"),
            pl.lit(probe.seed, pl.Int64).alias("seed"),
            pl.all(),
        )
        for probe in probes
    )


def probe_weights(probe: LinearProbe, features: Mapping[str, int]) -> pl.DataFrame:
    """Weights of a probe by site and feature: columns site, feature, weight and rank (1 has the largest magnitude).

    Args:
        probe: The probe.
        features: How many features each site has, in the order in which their codes stood side by side.

    Raises:
        ValueError: The features are more or fewer than the weights.
    """
    if sum(features.values()) != len(probe.weights):
        raise ValueError(f"features: {sum(features.values())} are not allowed: {len(probe.weights)}, as the probe has")
    sites = pl.concat([pl.repeat(site, count, eager=True) for site, count in features.items()])
    numbers = pl.concat([pl.int_range(count, dtype=pl.Int32, eager=True) for count in features.values()])
    frame = pl.DataFrame({"site": sites, "feature": numbers, "weight": probe.weights.numpy()})
    return frame.with_columns(pl.col("weight").abs().rank("ordinal", descending=True).cast(pl.Int32).alias("rank"))


def fit_preference_probe(
    chosen: Tensor, rejected: Tensor, *, seed: int = 42, c: float = 1.0, test_share: float = 0.2
) -> tuple[LinearProbe, pl.DataFrame]:
    """Logistic probe that tells chosen from rejected answers by their mean codes; the split is by pair.

    Codes are scaled to a standard deviation of 1 over the training rows before they are fitted, and the weights are
    given back for codes as they are: the penalty would otherwise keep any weight of a small-scaled code near 0.

    Args:
        chosen: Mean codes of the chosen answers, shape (pairs, features).
        rejected: Those of the rejected ones, same shape.
        seed: Of the split.
        c: See `fit_logistic`.
        test_share: Share of the pairs to test on.

    Returns:
        The probe, and a frame with the columns split (`train` or `test`), accuracy and count.

    Raises:
        ValueError: The shapes differ, or see `fit_logistic`.
    """
    if chosen.shape != rejected.shape or chosen.ndim != 2:
        raise ValueError(
            f"codes: {tuple(chosen.shape)} and {tuple(rejected.shape)}: allowed are two equal (pairs, features)"
        )
    train, test = split_triples(len(chosen), seed=seed, test_share=test_share)
    sides = {name: torch.cat([chosen[rows], rejected[rows]]) for name, rows in (("train", train), ("test", test))}
    labels = {name: (torch.arange(len(codes)) < len(codes) // 2) for name, codes in sides.items()}
    spread = sides["train"].double().std(0)
    spread = torch.where(spread > 0, spread, 1.0)
    scaled = fit_logistic(sides["train"].double() / spread, labels["train"], c=c)
    probe = LinearProbe(scaled.weights / spread, scaled.intercept)
    rows = [
        (name, float(((probe.predict(codes) > 0) == labels[name]).double().mean()), len(codes))
        for name, codes in sides.items()
    ]
    return probe, pl.DataFrame(
        rows, schema={"split": pl.String, "accuracy": pl.Float64, "count": pl.Int64}, orient="row"
    )
