"""The paper's own table (arXiv:2301.12561), by the suite's workloads, to be shown beside ours.

Another machine, other versions, other data and schemas: it is there to compare orders of engines, not milliseconds.
The paper's full text was not to be had: the figures are those that other texts quote of it. `QUOTED` ones stand in
texts that quote the tables; `UNSURE` ones were matched to their workload by us or could not be checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUOTED: Final = "quoted"
UNSURE: Final = "unsure"
SYSTEMS: Final = ("kdb+ in memory", "kdb+ on disk", "InfluxDB", "TimescaleDB", "ClickHouse")


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One line of the paper's table."""

    workload: str
    """The suite's."""
    name: str
    milliseconds: tuple[float | None, ...]
    """In the order of `SYSTEMS`; None where no figure is known."""
    certainty: str


TABLE: Final = (
    PaperRow("R1", "T-V1, average volume per minute over a day", (57, 81, 93, 469, 272), QUOTED),
    PaperRow("R2", "T-VWAP, per minute over a day", (26, 75, 12_716, 334, 202), QUOTED),
    PaperRow("R3", "highest bid in a week", (None, 94, 146, 3_938, 962), UNSURE),
    PaperRow("R4", "O-S, bid/ask spread over a day", (1_352, 1_386, 623_732, 2_182, 14_056), QUOTED),
    PaperRow("R5", "national best bid and offer for a day", (None, 34, 191, None, 454), UNSURE),
    PaperRow("R6", "mid-quote returns, 5 min over a day", (64, 113, 99, 1_614, 401), QUOTED),
    PaperRow("R7", "volatility of execution prices, 5 min over a day", (41, 51, 2_009, 324, 190), QUOTED),
    PaperRow("R8", "C-VO1, volatility of mid-quote returns", (61, 96, 94, 1_591, 407), QUOTED),
    PaperRow("W1", "W, bulk write of one file", (None, 33_889, 324_854, 53_150, 765_000), QUOTED),
)
"""Milliseconds, means of ten executions, one client, a laptop of 2019 with 16 GB of memory."""

WORKLOADS: Final = tuple(row.workload for row in TABLE)
