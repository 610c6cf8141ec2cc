"""Populations as tables: what share of a group has each score, and how many of those repay.

What is shipped are eleven bins of 50 points, by group, of TransRisk scores (Federal Reserve report of 2007; as used by
Liu et al. 2018, https://arxiv.org/abs/1803.04383). The 198 percentiles that they were summed from are read from files.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TOLERANCE: Final = 1e-3
"""By which shares of four printed digits may miss one."""


@dataclass(frozen=True)
class ScoreTable:
    """Groups, each with a share of its people at each score, and the probability that one of them repays."""

    groups: tuple[str, ...]
    weights: Floats
    """Share of each group in the population, (groups,)."""
    scores: Floats
    """Ascending, (scores,)."""
    shares: Floats
    """Of each group's people, (groups, scores)."""
    repayment: Floats
    """Probability, (groups, scores)."""

    def __post_init__(self) -> None:
        shape = (len(self.groups), len(self.scores))
        for name in ("shares", "repayment"):
            found = getattr(self, name)
            if found.shape != shape:
                raise ValueError(f"{name}: shape {found.shape} is not allowed; allowed: groups and scores, {shape}")
            _refuse_outside(name, found, self.groups)
        if self.weights.shape != shape[:1]:
            raise ValueError(f"weights: shape {self.weights.shape} is not allowed; allowed: one for each of {shape[0]}")
        if np.any(np.diff(self.scores) <= 0):
            raise ValueError("scores: not ascending; allowed: each one above the one before")
        _refuse_sum("weights", float(self.weights.sum()))
        for group, row in zip(self.groups, self.shares, strict=True):
            _refuse_sum(f"shares of {group}", float(row.sum()))


def _refuse_outside(name: str, values: Floats, groups: Sequence[str]) -> None:
    bad = np.argwhere(~((values >= 0) & (values <= 1)))
    if len(bad):
        group, score = bad[0]
        raise ValueError(f"{name} of {groups[group]}: {values[group, score]} is not allowed; allowed: from 0 to 1")


def _refuse_sum(name: str, total: float) -> None:
    if not abs(total - 1) <= _TOLERANCE:
        raise ValueError(f"{name}: a sum of {total:g} is not allowed; allowed: 1, within {_TOLERANCE}")


def _shipped() -> ScoreTable:
    white = [.0180, .0348, .0366, .0562, .0671, .0915, .1217, .1356, .1711, .1926, .0748]  # fmt: skip
    black = [.0789, .1383, .1161, .1407, .1553, .1127, .0988, .0641, .0498, .0350, .0103]  # fmt: skip
    white_repay = [.0288, .0671, .1207, .1980, .3536, .6460, .8336, .9319, .9703, .9846, .9891]  # fmt: skip
    black_repay = [.0135, .0413, .0791, .1139, .2103, .4975, .7227, .8610, .9192, .9545, .9765]  # fmt: skip
    shares = np.array([black, white])
    return ScoreTable(
        ("Black", "White"),
        np.array([18_274, 133_165]) / (18_274 + 133_165),
        np.arange(300.0, 801.0, 50.0),
        shares / shares.sum(1, keepdims=True),
        np.array([black_repay, white_repay]),
    )


FICO: Final = _shipped()
"""The two groups that the paper compares, in eleven bins named by their lower ends."""

CLUSTERS: Final = ScoreTable(
    ("first", "second"),
    np.array([0.5, 0.5]),
    np.arange(7.0),
    np.array([[0, 0.1, 0.1, 0.2, 0.3, 0.3, 0], [0.1, 0.1, 0.2, 0.3, 0.3, 0, 0]]),
    np.tile([0.1, 0.2, 0.45, 0.6, 0.65, 0.7, 0.7], (2, 1)),
)
"""Seven clusters of credit, as in google/ml-fairness-gym."""

_BINS: Final = (2.1, 4.2, 5.4, 6.5, 7.9, 9.6, 12.0, 13.8, 17.0, 15.8, 5.7)
"""Per cent of all people in each 50 points from 300 on: what puts a percentile on the scale of scores."""
_COLUMNS: Final = {"Black": "Black", "White": "Non- Hispanic white"}


def read_percentiles(folder: Path) -> ScoreTable:
    """The table of 198 percentiles, out of `transrisk_*.csv` and `totals.csv`.

    Args:
        folder: Where the three files are.

    Raises:
        ValueError: A file lacks a column.
        OSError: A file is not there.
    """
    cumulative = _read(folder / "transrisk_cdf_by_race_ssa.csv")
    defaults = _read(folder / "transrisk_performance_by_race_ssa.csv")
    totals = _read(folder / "totals.csv", key="Kind")
    counts = np.array([totals[group][0] for group in _COLUMNS])
    shares = np.diff(np.stack([cumulative[group] for group in _COLUMNS]) / 100, prepend=0.0)
    percent = cumulative["Score"]
    ends = np.concatenate([[0.0], np.cumsum(_BINS)])
    return ScoreTable(
        tuple(_COLUMNS),
        counts / counts.sum(),
        np.interp(percent, ends / ends[-1] * 100, np.arange(300.0, 851.0, 50.0)),
        shares / shares.sum(1, keepdims=True),
        1 - np.stack([defaults[group] for group in _COLUMNS]) / 100,
    )


def _read(path: Path, key: str = "Score") -> dict[str, Floats]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = _COLUMNS if key != "Score" else {**_COLUMNS, "Score": "Score"}
    if missing := [column for column in wanted.values() if not rows or column not in rows[0]]:
        raise ValueError(f"{path.name}: column {missing[0]!r} is missing; allowed: {', '.join(wanted.values())}")
    return {name: np.array([float(row[column]) for row in rows]) for name, column in wanted.items()}
