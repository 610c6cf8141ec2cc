"""Percentiles of latencies, and only those that the number of samples can bear."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
"""By name; a name with `_` has it for the point."""


def percentiles(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Percentiles and the largest of latencies, s.

    A percentile above the median is left out where fewer samples than one in a hundred (p99) or so can tell it: it
    would be the largest one under another name. The estimator is Hyndman and Fan's eighth, free of bias in the median
    whatever the distribution.
    """
    if not seconds.size:
        return {}
    kept = {name: q for name, q in QUANTILES.items() if name == "p50" or seconds.size * (1 - q) >= 1 - 1e-9}
    found = np.quantile(seconds, list(kept.values()), method="median_unbiased")
    return {**dict(zip(kept, map(float, found), strict=True)), "max": float(seconds.max())}
