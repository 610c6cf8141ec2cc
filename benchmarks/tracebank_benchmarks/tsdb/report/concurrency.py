"""Figures of the workloads with several clients, by point, as plots and tables take them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from tracebank_benchmarks.tsdb.concurrency.steps import CONNECTIONS, OPEN_PERCENT
from tracebank_benchmarks.tsdb.report.figures import Figures, shown_seconds

_POINT: Final = re.compile(r"b(\d+)_w(\d+)_r(\d+|max)")
_TAILS: Final = ("p99", "p95", "max")


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """One rate of the open loop."""

    offered: float
    """Requests a second."""
    p50: float
    tail: float
    """p99; where there are too few requests for it p95, or the largest."""


def open_point(found: dict[str, float], percent: int) -> OpenPoint | None:
    """A rate of the open loop, if it was measured and answered."""
    most = found.get(f"closed_{found.get('open_connections', 0):.0f}_qps")
    tail = next((found[key] for name in _TAILS if (key := f"open_{percent}_{name}") in found), None)
    if most is None or tail is None:
        return None
    return OpenPoint(most * percent / 100, found[f"open_{percent}_p50"], tail)


def query_rows(figures: Figures) -> list[tuple[str, ...]]:
    """Rows of the table of concurrent queries: who, how, rate, percentiles, errors, and the clients' own share."""
    rows = []
    for entry, found in figures.measures("Q1").items():
        connections = f"{found.get('open_connections', 0):.0f}"
        points = [(f"closed_{one}", f"closed, {one}") for one in CONNECTIONS]
        points += [(f"open_{one}", f"open, {one} %, {connections}") for one in OPEN_PERCENT]
        for point, name in points:
            if f"{point}_seconds" in found:
                rows.append((entry, name, *_query_cells(found, point)))
    return rows


def _query_cells(found: dict[str, float], point: str) -> tuple[str, ...]:
    latencies = (shown_seconds(found.get(f"{point}_{name}")) for name in ("p50", "p95", "p99", "p99_9", "max"))
    limit = found.get(f"{point}_client_limit_qps")
    qps = found.get(f"{point}_qps", 0.0)
    return (f"{qps:,.0f}", *latencies, f"{found[f'{point}_error_ratio']:.2%}",
            shown_seconds(found.get(f"{point}_harness_seconds")), f"{qps / limit:.1%}" if limit else "")  # fmt: skip


def ingest_points(figures: Figures) -> list[str]:
    """Points of sustained ingest that any entry has, in their order."""
    found = (name.removesuffix("_batches") for one in figures.measures("W2").values() for name in one)
    return [name for name in dict.fromkeys(found) if _POINT.fullmatch(name)]


def point_name(point: str) -> str:
    """A point in words."""
    found = _POINT.fullmatch(point)
    assert found is not None, point
    batch, writers, rate = found.groups()
    offered = "as fast as it goes" if rate == "max" else f"{int(rate):,} rows/s"
    return f"{offered}, batches of {int(batch):,}, {writers} writer{'' if writers == '1' else 's'}"


def ingest_curve(figures: Figures, entry: str, point: str) -> tuple[list[float], list[float]]:
    """Ends of intervals, s, and rows a second acknowledged in each."""
    kept = [one for one in figures.record.samples
            if one.workload == "W2" and one.kind == point and f"{one.engine}/{one.lane}" == entry]  # fmt: skip
    return list(accumulate(one.seconds for one in kept)), [one.rows / one.seconds for one in kept]


def ingest_rows(figures: Figures) -> list[tuple[str, ...]]:
    """Rows of the table of sustained ingest, point by point."""
    rows = []
    for point in ingest_points(figures):
        for entry, found in figures.measures("W2").items():
            if f"{point}_seconds" in found:
                rows.append((point_name(point), entry, *_ingest_cells(found, point)))
    return rows


def _ingest_cells(found: dict[str, float], point: str) -> tuple[str, ...]:
    lost = found.get(f"{point}_lost_rows")
    rate, backlog = found.get(f"{point}_rows_per_second", 0.0), found[f"{point}_backlog_rows"]
    times = (shown_seconds(found.get(f"{point}_{name}")) for name in ("ack_p50", "ack_p95", "ack_p99", "ack_max"))
    visible = shown_seconds(found.get(f"{point}_visible_p50"))
    harness = shown_seconds(found.get(f"{point}_harness_seconds"))
    return (f"{rate:,.0f}", *times, f"{backlog:,.0f}", visible, "" if lost is None else f"{lost:.0f}",
            f"{found[f'{point}_error_ratio']:.2%}", harness)  # fmt: skip


def mixed_rows(figures: Figures) -> list[tuple[str, ...]]:
    """Rows of the table of ingest under queries: each side alone and with the other."""
    rows = []
    for entry, found in figures.measures("W4").items():
        for label in (name.removesuffix("_seconds") for name in found if name.endswith("_seconds")):
            if match := re.fullmatch(r"readers_(\d+)_ingest_(\d+)", label):
                readers, rate = match.groups()
                what = f"{readers} readers, {int(rate):,} rows/s"
                rows.append((entry, what, *_both(found, f"readers_{readers}_alone", f"{label}_queries", ""),
                             *_both(found, f"ingest_{rate}_alone", f"{label}_ingest", "ack_")))  # fmt: skip
    return rows


def _both(found: dict[str, float], alone: str, together: str, prefix: str) -> list[str]:
    cells = []
    for name in ("p50", "p95", "max"):
        before, after = (found.get(f"{point}_{prefix}{name}") for point in (alone, together))
        cells.append(f"{shown_seconds(before)} → {shown_seconds(after)}" if before and after else "")
    return cells
