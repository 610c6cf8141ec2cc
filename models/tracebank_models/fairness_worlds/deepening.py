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


def by_run(periods: pl.DataFrame, by: list[str], measures: list[str]) -> pl.DataFrame:
    """Statistics of measures over the periods of each run.

    Args:
        periods: One row a period of a run: `seed`, `period`, `by`, and the measures.
        by: What runs of several seeds share.
        measures: Columns.

    Returns:
        `by`, `seed`, `measure`, `statistic`, `value`, null where it is not defined.
    """
    keys, rows = [*by, "seed"], []
    for key, run in periods.sort("period").group_by(keys, maintain_order=True):
        named = dict(zip(keys, key, strict=True))
        for measure in measures:
            found = statistics_of(run[measure].cast(pl.Float64).fill_null(math.nan).to_numpy())
            rows += [{**named, "measure": measure, "statistic": name, "value": found[name]} for name in STATISTICS]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("value").fill_nan(None))


def over_seeds(runs: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Means over seeds with 95 % intervals; of fewer than five seeds there is none, and a reason.

    Args:
        runs: As `by_run` gives them.
        by: What runs of several seeds share, beside measure and statistic.

    Returns:
        `by`, `measure`, `statistic`, `value`, `low`, `high`, `p_value` (that the mean is 0), `seeds`, `undefined`
        (seeds left out), `reason`.
    """
    keys = [*by, "measure", "statistic"]
    rows = [
        {**dict(zip(keys, key, strict=True)), **_over(part["value"])}
        for key, part in runs.sort("seed").group_by(keys, maintain_order=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _over(values: pl.Series) -> dict[str, float | int | str | None]:
    known = values.drop_nulls()
    counts = {"seeds": len(known), "undefined": values.null_count()}
    if known.is_empty():
        none = dict.fromkeys(("value", "low", "high", "p_value"))
        return {**none, **counts, "reason": "not defined for any seed"}
    found = clustered_mean(known, np.arange(len(known)))
    few = f"{len(known)} seeds; an interval takes {LEAST_CLUSTERS}" if found.low is None else None
    ends = {"value": found.mean, "low": found.low, "high": found.high, "p_value": found.p_value()}
    return {**ends, **counts, "reason": few}
