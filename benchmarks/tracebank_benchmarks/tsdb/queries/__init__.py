"""Query texts: a file for each language, a section for each read; here they are only found.

A section begins with a comment of the read's id, and of the lane where it is for that one alone: `-- R17, paper`. What
stands above the first one holds for all, and begins each text. What was tried beside them stands in `tried/`, under a
title: `-- R17: running sums`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from tracebank_benchmarks.tsdb.workloads import Lane

_HEADING: Final = re.compile(r"^(?:--|//|/) (R\d+)(?:, (\w+))?$\n", re.MULTILINE)


def text(family: str, workload_id: str, lane: Lane | None = None) -> str | None:
    """Return the text of a workload in an engine family's language, or None where there is none.

    Args:
        family: Name of a file: clickhouse, duckdb, postgresql, timescaledb, influxql, flux, influxdb3, q.
        workload_id: Id of the workload, e.g. R1.
        lane: Prefer the lane's own text; without it, the one for any lane.
    """
    found = _sections(family)
    return found.get((workload_id, lane.value if lane else "")) or found.get((workload_id, ""))


@cache
def _sections(family: str) -> dict[tuple[str, str], str]:
    """Texts of a file by id and lane."""
    for entry in files(__package__).iterdir():
        if entry.name.rpartition(".")[0] == family:
            above, *parts = _HEADING.split(entry.read_text(encoding="utf-8"))
            return {
                (name, lane or ""): above.rstrip("\n") + "\n" * bool(above) + body.rstrip("\n") + "\n"
                for name, lane, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
            }
    return {}
