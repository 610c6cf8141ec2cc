"""G1: how times grow with rows, over runs at several scales in one environment."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from tracebank_benchmarks.tsdb.results import Record
from tracebank_benchmarks.tsdb.statistics import growth

WORKLOAD: Final = "G1"
_RIGHT: Final = ("verified", "partial")


def settle_slopes(record: Record, others: Sequence[Record]) -> None:
    """Fill in G1 of every engine and lane: the slope of log time over log rows of each read, and of the bulk load.

    Args:
        record: a run, settled.
        others: runs of other scales in the same environment.
    """
    for one in record.results:
        if one["workload"] == WORKLOAD and one["status"] != "error":
            one |= _settled(record, others, one["engine"], one["lane"])


def _settled(record: Record, others: Sequence[Record], engine: str, lane: str) -> dict[str, Any]:
    if not record.plan.scale:
        return {"status": "unsupported", "reason": "the data are of no scale, so there are none of others beside them"}
    oldest_first = sorted((*others, record), key=lambda one: one.started_at)
    by_scale = {one.plan.scale: (_rows(one), times) for one in oldest_first if (times := _times(one, engine, lane))}
    slopes: dict[str, float] = {}
    for name in _times(record, engine, lane):
        points = [(rows, times[name]) for rows, times in by_scale.values() if name in times]
        slope = growth([rows for rows, _ in points], [seconds for _, seconds in points])
        if slope is not None:
            slopes[f"{name}_slope"] = slope
    if not slopes:
        scale = f"{record.plan.scale:g}"
        why = f"only scale {scale} has been measured in this environment; measure another and run this one again"
        return {"status": "unsupported", "reason": why, "measures": {}}
    reason = f"over scales {', '.join(f'{scale:g}' for scale in sorted(by_scale))}"
    return {"status": "verified", "reason": reason, "measures": slopes | {"median_slope": median(slopes.values())}}


def _rows(record: Record) -> int:
    return sum(record.data_rows.values())


def _times(record: Record, engine: str, lane: str) -> dict[str, float]:
    """Medians of right answers, by workload."""
    return {
        str(one["workload"]): float(one["median_seconds"])
        for one in record.results
        if (one["engine"], one["lane"]) == (engine, lane)
        and one["status"] in _RIGHT
        and one["median_seconds"]
        and one["workload"] != WORKLOAD
    }
