"""Scores of runs that differ in their seed, on one task or more: how good, how sure, and which of two is lower.

Agarwal et al. 2021 (`rliable`): the mean of the middle half of all scores, which few lucky or lost runs do not move;
intervals by drawing seeds again within each task; how likely a run of one is below a run of another. Scores of several
tasks are to be on one scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .clustered import LEAST_CLUSTERS, Interval

Scores = Mapping[str, ArrayLike]
"""Scores by task, one a seed; tasks may have different numbers of seeds."""
_CUT: Final = 0.25


def interquartile_mean(scores: Scores, draws: int = 2_000, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Mean of the middle half of all scores, with the percentile interval of its stratified bootstrap.

    Args:
        scores: By task.
        draws: Bootstrap samples.
        seed: Of the drawing.
        confidence: Of the interval.

    Returns:
        The mean; `clusters` are the seeds of the task that has fewest. No interval below `LEAST_CLUSTERS`.

    Raises:
        ValueError: There is no task, one has no score, a score is not finite, or `confidence` is no share.
    """
    checked = _checked(scores, "scores", confidence)
    mean = float(stats.trim_mean(np.concatenate(list(checked.values())), _CUT))
    chance = np.random.default_rng(seed)
    found = [_drawn(of_task, draws, chance) for of_task in checked.values()]
    means: NDArray[np.float64] = np.asarray(stats.trim_mean(np.concatenate(found, axis=1), _CUT, axis=1))
    return _interval(mean, means, confidence, checked)


def probability_below(
    first: Scores, second: Scores, draws: int = 2_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """How likely a run of the first scores lower than one of the second on a task; ties count half.

    Args:
        first: By task.
        second: Of the same tasks.
        draws: Bootstrap samples; seeds of both are drawn again.
        seed: Of the drawing.
        confidence: Of the interval.

    Returns:
        The mean over tasks; see `interquartile_mean`.

    Raises:
        ValueError: As `interquartile_mean`, or the tasks are not the same.
    """
    one, two = _checked(first, "first", confidence), _checked(second, "second", confidence)
    if one.keys() != two.keys():
        raise ValueError(f"second: tasks {', '.join(two)} are not allowed; allowed: those of first, {', '.join(one)}")
    chance = np.random.default_rng(seed)
    mean = float(np.mean([_below(one[task][None], two[task][None]) for task in one]))
    found = [_below(*(_drawn(of[task], draws, chance) for of in (one, two))) for task in one]
    return _interval(mean, np.mean(found, axis=0), confidence, one, two)


def _checked(scores: Scores, name: str, confidence: float) -> dict[str, NDArray[np.float64]]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence} is not allowed; allowed: between 0 and 1")
    if not scores:
        raise ValueError(f"{name}: no task is not allowed; allowed: one or more")
    checked = {task: np.asarray(of_task, np.float64) for task, of_task in scores.items()}
    for task, of_task in checked.items():
        if of_task.ndim != 1 or not len(of_task) or not np.isfinite(of_task).all():
            raise ValueError(f"{name}: {of_task.tolist()} of task {task!r} is not allowed; allowed: finite numbers")
    return checked


def _drawn(scores: NDArray[np.float64], draws: int, chance: np.random.Generator) -> NDArray[np.float64]:
    return scores[chance.integers(len(scores), size=(draws, len(scores)))]


def _below(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of pairs in which the first is lower, `[draws]` of `[draws, seeds]` each."""
    shares: NDArray[np.float64] = (np.sign(second[:, None, :] - first[:, :, None]) / 2 + 0.5).mean(axis=(1, 2))
    return shares


def _interval(
    mean: float, drawn: NDArray[np.float64], confidence: float, *scores: Mapping[str, NDArray[np.float64]]
) -> Interval:
    seeds = min(len(of_task) for of in scores for of_task in of.values())
    error = float(drawn.std(ddof=1)) if seeds > 1 else None
    if seeds < LEAST_CLUSTERS:
        return Interval(mean, None, None, error, seeds)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, float(low), float(high), error, seeds)
