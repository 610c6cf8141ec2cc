"""A line of many points as one of few that looks the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def thinned(ys: ArrayLike, most: int = 500) -> NDArray[np.intp]:
    """Which points of a line to keep: the first, the last, and of equal stretches the least and the largest each.

    So no peak and no gap of a whole stretch is lost, which means and every k-th point lose.

    Args:
        ys: `[n]`, in the order of x; NaN where there is no value.
        most: points that are kept.

    Returns:
        Their places, rising: all where there are no more than `most`.

    Raises:
        ValueError: fewer than 4 points may be kept.
    """
    values = np.asarray(ys, np.float64)
    if most < 4:
        raise ValueError(f"most: {most} is not allowed; allowed: 4 and more")
    if len(values) <= most:
        return np.arange(len(values))
    starts = np.linspace(0, len(values), (most - 2) // 2 + 1).astype(np.intp)[:-1]
    stretch = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(values)))
    kept = [[0, len(values) - 1]]
    for sign in (1.0, -1.0):
        # By stretch, then by value; NaN is last, so that a stretch gives one only where it has nothing else.
        order = np.lexsort((sign * values, stretch))
        kept.append(order[starts].tolist())
    return np.unique(np.concatenate(kept)).astype(np.intp)
