"""Can preferred answers be told from others by their mean codes? scikit-learn's logistic regression, by prompt.

Answers of one prompt are held out together. The figure that counts is the share of pairs whose preferred answer scores
higher: it asks for nothing but the order within a pair. Beside it stand what needs no model: the number of words of an
answer, and the sum of its words' valences, which is what made it the preferred one where the reward is a lexicon's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tracebank_models.language_model.lexicon import word_tokens
from tracebank_models.reward_probe.agreement import FEWEST, FOLDS, Floats, Measured

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tracebank_models.language_model.direct_preference import PreferencePair

METRICS: Final = ("pair_accuracy", "accuracy")
"""Share of pairs in the right order, and of answers on the right side of even odds."""
_STRENGTHS: Final = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1]}
_INNER_FOLDS: Final = 3


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of answers as texts."""

    texts: tuple[str, ...]
    """Prompt and answer: first with every preferred answer, then, in the same order, with every other one.

    The prompt is part of the text, as in 2310.08164: it is the same on both sides and tells nothing.
    """
    answers: tuple[str, ...]
    """The same without the prompts."""
    prompts: npt.NDArray[np.int64]
    """Which prompt each pair is of; equal ones have one number."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[PreferencePair]) -> Pairs:
        """Write pairs out."""
        prompts = [pair.prompt for pair in pairs] * 2
        answers = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        whole = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
        numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
        texts, alone = (
            tuple(map(str, tokenizer.batch_decode(ids, skip_special_tokens=True)))
            for ids in (whole, [list(answer) for answer in answers])
        )
        return cls(texts, alone, np.array([numbers[pair.prompt] for pair in pairs], np.int64))

    def controls(self, lexicon: Mapping[str, float]) -> dict[str, Floats]:
        """Scores of answers that need no model: `length` and `lexicon`."""
        words = [word_tokens(answer) for answer in self.answers]
        valences = [math.fsum(lexicon.get(word, 0.0) for word in one) for one in words]
        return {"length": np.array([len(one) for one in words], np.float64), "lexicon": np.array(valences)}


def told(scores: Floats, prompts: npt.NDArray[np.int64], *, seed: int, draws: int, middle: float = 0.0) -> Measured:
    """How well scores tell answers apart.

    Args:
        scores: First of every preferred answer, then of every other one, shape (2 x pairs,).
        prompts: Which prompt each pair is of; with fewer than `FEWEST` prompts nothing is said.
        seed: Of the draws of prompts.
        draws: How many.
        middle: A score above it calls an answer preferred.
    """
    chosen, rejected = scores.reshape(2, -1)
    ordered = (np.sign(chosen - rejected) + 1) / 2
    sided = ((chosen > middle).astype(float) + (rejected <= middle)) / 2
    numbers, counts = int(prompts.max()) + 1, (len(prompts), len(scores))
    sums = np.stack([np.bincount(prompts, weights, numbers) for weights in (np.ones(len(prompts)), ordered, sided)], 1)
    if np.count_nonzero(sums[:, 0]) < FEWEST:
        return Measured(METRICS, np.full(2, math.nan), counts, np.full((draws, 2), math.nan))
    chance = np.random.default_rng([seed, 4])
    drawn = chance.multinomial(numbers, np.full(numbers, 1 / numbers), size=draws) @ sums
    return Measured(METRICS, sums.sum(0)[1:] / len(prompts), counts, drawn[:, 1:] / drawn[:, :1])


def held_out_preferences(codes: Floats, prompts: npt.NDArray[np.int64], *, seed: int) -> tuple[Floats, Floats]:
    """Log odds of answers by probes that saw no answer to their prompt, and the weights of the probe of all answers.

    Args:
        codes: First of every preferred answer, then of every other one, shape (2 x pairs, features).
        prompts: Which prompt each pair is of, shape (pairs,).
        seed: Of the folds.

    Returns:
        Shapes (2 x pairs,) and (features,), the weights per unit of code. Odds are even where there are fewer than
        `FEWEST` prompts.

    Raises:
        ValueError: There are more or fewer rows than answers.
    """
    from sklearn.model_selection import GroupKFold

    if len(codes) != 2 * len(prompts):
        raise ValueError(f"codes: {len(codes)} rows are not allowed: {2 * len(prompts)}, two a pair")
    groups, scores = np.tile(prompts, 2), np.zeros(len(codes))
    labels = np.arange(len(codes)) < len(prompts)
    if len(np.unique(prompts)) < FEWEST:
        return scores, np.zeros(codes.shape[1])
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(codes, labels, groups):
        scores[test] = _fitted(codes[train], labels[train], groups[train]).decision_function(codes[test])
    scaler, logistic = _fitted(codes, labels, groups).best_estimator_
    return scores, np.asarray(logistic.coef_[0] / scaler.scale_, np.float64)


def _fitted(codes: Floats, labels: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    search = GridSearchCV(probe, _STRENGTHS, cv=GroupKFold(_INNER_FOLDS), scoring="neg_log_loss")
    return search.fit(codes, labels, groups=groups)
