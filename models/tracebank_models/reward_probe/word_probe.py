"""Does a model know how much a word is rewarded? A probe of words' valences, measured on words that it never met.

A word is one row: the mean of its codes over its places. The probe is scikit-learn's ridge on standardised codes, its
strength chosen inside the training words; folds are of words, and every word is predicted by probes that never saw it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from torch import Tensor

from tracebank_models.reward_probe.agreement import FOLDS, METRICS, WIDENING, Floats, Measured, WordDraws
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple

_ALPHAS: Final = np.logspace(0, 6, 13)
"""Strengths to choose from: of a code of standard deviation 1, from hardly any to nearly all."""


@dataclass(frozen=True, slots=True)
class WordProbeSettings:
    """How much is done to be sure."""

    seed: int = 0
    """Of folds, draws, permutations and random probes."""
    repeats: int = 5
    """Of the folds, each with others; a word's score is the mean over them."""
    draws: int = 2_000
    """Of words, for the intervals."""
    controls: int = 200
    """Probes of shuffled valences, and random probes; without any there is neither these nor a p-value."""


@dataclass(frozen=True, slots=True)
class WordCodes:
    """Words with their valence, and what a model's codes are of them."""

    words: tuple[str, ...]
    valences: Floats
    places: npt.NDArray[np.int64]
    """How many texts each word ends."""
    codes: Floats
    """Mean over these, shape (words, features)."""

    @classmethod
    def of(cls, triples: Sequence[ContrastiveTriple], codes: Tensor, lexicon: Mapping[str, float]) -> WordCodes:
        """Words of triples, the neutral ones left out.

        Args:
            triples: The triples.
            codes: Of `triple_texts(triples)` at the last token, shape (3 x triples, features).
            lexicon: Valence of each word.

        Raises:
            ValueError: There are more or fewer rows than texts, or the lexicon does not know a word.
        """
        if len(codes) != 3 * len(triples):
            raise ValueError(f"codes: {len(codes)} rows are not allowed: {3 * len(triples)}, three a triple")
        ends = [word for triple in triples for word in (triple.positive, triple.negative)]
        words, place, counts = np.unique(np.array(ends), return_inverse=True, return_counts=True)
        unknown = next((word for word in words if word not in lexicon), None)
        if unknown is not None:
            raise ValueError(f"words: {str(unknown)!r} is not allowed: one of the lexicon's")
        rows = codes.double().cpu().numpy().reshape(len(triples), 3, -1)[:, :2].reshape(len(ends), -1)
        sums = np.zeros((len(words), rows.shape[1]))
        np.add.at(sums, place, rows)
        valences = np.array([lexicon[word] for word in words], np.float64)
        return cls(tuple(words.tolist()), valences, counts, sums / counts[:, None])


@dataclass(frozen=True, slots=True)
class ProbedWords:
    """What came of it on one representation of one model."""

    read: WordCodes
    draws: WordDraws
    """Of the words; those of one seed are the same for every model."""
    scores: Floats
    """Each word's, by probes that it was held out of: in units of valence, less the mean of the training words."""
    within: Floats
    """The same by probes of valence less the mean of the word's sign: what is known beyond the sign."""
    weights: Floats
    """Of the probe of all words, in valence per unit of code, shape (features,)."""
    measured: Measured
    """The metrics of the scores."""
    shuffled: Floats
    """Metrics of probes of valences that were shuffled among the words of a sign, shape (controls, metrics)."""
    random: Floats
    """Metrics of random probes, shape (controls, metrics)."""

    def figures(self) -> dict[str, pl.DataFrame]:
        """Rows of the trained probe, `ridge`, and of its controls where there are any: `shuffled` and `random`."""
        found = {"ridge": self.measured.figures(self.shuffled)}
        if len(self.shuffled):
            found |= {"shuffled": self.draws.over(self.shuffled), "random": self.draws.over(self.random)}
        return found

    def rewards(self) -> pl.DataFrame:
        """Each word's score beside its valence: columns word, reconstructed, lexicon and count (its places)."""
        columns = self.read.words, self.scores, self.read.valences, self.read.places
        return pl.DataFrame(dict(zip(("word", "reconstructed", "lexicon", "count"), columns, strict=True)))


def probe_words(read: WordCodes, settings: WordProbeSettings) -> ProbedWords:
    """Fit the probe, measure it on held-out words, and its controls beside it.

    Shuffled valences keep their sign: what such a probe still has, the sign gives.
    """
    draws = WordDraws(read.valences, seed=settings.seed, draws=settings.draws)
    targets = np.column_stack([read.valences, *_shuffled(draws, settings)])
    zeros = np.zeros_like(targets)
    scores, within = held_out_scores(read.codes, targets, settings) if draws.enough else (zeros, zeros)
    shuffled = [draws.values(*one) for one in zip(scores.T[1:], within.T[1:], targets.T[1:], strict=True)]
    random = [draws.values(one) for one in _random_scores(read, settings).T]
    return ProbedWords(
        read, draws, scores[:, 0], within[:, 0], _weights(read),
        draws.measured(scores[:, 0], within[:, 0], widening=WIDENING),
        np.reshape(shuffled, (-1, len(METRICS))), np.reshape(random, (-1, len(METRICS))),
    )  # fmt: skip


def held_out_scores(codes: Floats, targets: Floats, settings: WordProbeSettings) -> tuple[Floats, Floats]:
    """Scores of each word for each target, by probes of the other folds, as the mean over repeats.

    The training words' mean is left out: it is high where the held-out words are low, and would order words backwards
    where there is nothing to know. A probe of valence spends itself on the sign, whose noise then hides the order
    within a sign; that order is asked of a second one, of valence less the mean of the training words of that sign.

    Args:
        codes: Shape (words, features).
        targets: Valences, shape (words, targets), all of the sign that the first has: folds have as many of each.
        settings: How many repeats, and their seed.

    Returns:
        Scores of valence, and those of what is beyond the sign, each of shape (words, targets).
    """
    from sklearn.model_selection import RepeatedStratifiedKFold

    positive, count = targets[:, 0] > 0, targets.shape[1]
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=settings.repeats, random_state=settings.seed)
    scores = np.zeros((len(codes), 2 * count))
    for train, test in folds.split(codes, positive):
        both = np.hstack([targets[train], _less_sign(targets[train], positive[train])])
        probe = ridge_probe().fit(codes[train], both)
        scores[test] += probe.predict(codes[test]) - probe[-1].intercept_
    return scores[:, :count] / settings.repeats, scores[:, count:] / settings.repeats


def _less_sign(targets: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    means = np.where(positive[:, None], targets[positive].mean(0), targets[~positive].mean(0))
    return np.asarray(targets - means, np.float64)


def ridge_probe() -> Any:
    """scikit-learn's pipeline; the strength of each target is chosen by leaving out one training word at a time."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(_ALPHAS, alpha_per_target=True))


def _weights(read: WordCodes) -> Floats:
    scaler, ridge = ridge_probe().fit(read.codes, read.valences)
    return np.asarray(ridge.coef_ / scaler.scale_, np.float64)


def _shuffled(draws: WordDraws, settings: WordProbeSettings) -> list[Floats]:
    chance = np.random.default_rng([settings.seed, 2])
    found = []
    for _ in range(settings.controls):
        valences = draws.valences.copy()
        for rows in draws.signs:
            valences[rows] = chance.permutation(valences[rows])
        found.append(valences)
    return found


def _random_scores(read: WordCodes, settings: WordProbeSettings) -> Floats:
    from sklearn.preprocessing import StandardScaler

    weights = np.random.default_rng([settings.seed, 3]).normal(size=(read.codes.shape[1], settings.controls))
    return np.asarray(StandardScaler().fit_transform(read.codes) @ weights, np.float64)
