"""Whether a gap deepens: its slope over periods, and the logarithm of its end over its beginning, over seeds."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl

from tracebank_models.sample_statistics.clustered import LEAST_CLUSTERS, clustered_mean

from .score_tables import Floats

STATISTICS: Final = ("mean", "first", "last", "slope", "log_ratio")
"""Of a gap over periods; `slope` is of least squares, per period, and `first` and `last` are means of ten periods."""
EDGE: Final = 10


def statistics_of(values: Floats) -> dict[str, float]:
    """Statistics of one run's gap; NaN where it is not defined, as of a logarithm of 0.

    Args:
        values: One a period, in order.
    """
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return dict.fromkeys(STATISTICS, math.nan)
    numbers = values[known]
    first, last = float(numbers[:EDGE].mean()), float(numbers[-EDGE:].mean())
    centred = known - known.mean()
    slope = float(centred @ numbers / (centred @ centred)) if len(known) > 1 else math.nan
    ratio = math.log(last / first) if first > 0 and last > 0 else math.nan
    return {"mean": float(numbers.mean()), "first": first, "last": last, "slope": slope, "log_ratio": ratio}


def over_seeds(runs: pl.DataFrame, by: list[str], measures: list[str]) -> pl.DataFrame:
    """Statistics of measures over seeds, with 95 % intervals; of fewer than five seeds there is none, and a reason.

    Args:
        runs: One row a period of a run: `seed`, `period`, `by`, and the measures.
        by: What runs of several seeds share.
        measures: Columns.

    Returns:
        `by`, `measure`, `statistic`, `value`, `low`, `high`, `seeds`, `undefined` (seeds left out), `reason`.
    """
    rows = []
    for key, part in runs.sort("seed", "period").group_by(by, maintain_order=True):
        each = [run for _, run in part.group_by("seed", maintain_order=True)]
        for measure in measures:
            found = [statistics_of(run[measure].cast(pl.Float64).fill_null(math.nan).to_numpy()) for run in each]
            for name in STATISTICS:
                told = _over([one[name] for one in found])
                rows.append({**dict(zip(by, key, strict=True)), "measure": measure, "statistic": name, **told})
    return pl.DataFrame(rows, infer_schema_length=None)


def _over(values: list[float]) -> dict[str, float | int | str | None]:
    known = [value for value in values if math.isfinite(value)]
    counts = {"seeds": len(known), "undefined": len(values) - len(known)}
    if not known:
        return {"value": None, "low": None, "high": None, **counts, "reason": "not defined for any seed"}
    found = clustered_mean(known, np.arange(len(known)))
    few = f"{len(known)} seeds; an interval takes {LEAST_CLUSTERS}" if found.low is None else None
    return {"value": found.mean, "low": found.low, "high": found.high, **counts, "reason": few}
