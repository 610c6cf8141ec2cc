"""Lending to one applicant after another with the true chances known, as google/ml-fairness-gym runs it.

The population is a mass at each of seven clusters; a loan moves a hundredth of its group up or down. Many runs go
side by side. People of the other lending worlds are drawn once and followed instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tracebank_models.fairness_mitigation.oracle import Table, best_policy

from .group_figures import Ints
from .score_tables import CLUSTERS, Floats

AGENTS: Final = ("maximum_utility", "equal_opportunity")
BREAK_EVEN: Final = 0.5
_MOVED: Final = 0.01


@dataclass(frozen=True)
class Lent:
    """What a run ends with, (runs, groups) each but profit, (runs,)."""

    loans: Ints
    repayment: Floats
    """Mean chance of repayment at the end."""
    score: Floats
    """Mean cluster at the end, from 0."""
    true_positive: Floats
    """Share of all good applicants of the run that was accepted."""
    profit: Floats


def lend(agent: str, runs: int, steps: int = 20_000, seed: int = 0) -> Lent:
    """Lend at an interest of 1: a loan that is repaid brings what a default costs.

    Args:
        agent: One of `AGENTS`; both know the true chances and the present distribution.
        runs: Side by side.
        steps: Applicants of each.
        seed: Of all.

    Raises:
        ValueError: The agent is not known.
    """
    if agent not in AGENTS:
        raise ValueError(f"agent: {agent!r} is not allowed; allowed: {', '.join(AGENTS)}")
    chances = CLUSTERS.repayment[0]
    random, every, top = np.random.default_rng(seed), np.arange(runs), len(chances) - 1
    masses = np.tile(CLUSTERS.shares, (runs, 1, 1))
    loans, good, hit = (np.zeros((runs, 2)) for _ in range(3))
    profit, best = np.zeros(runs), (chances >= BREAK_EVEN).astype(np.float64)
    rule, known = np.tile(best, (runs, 2, 1)), np.broadcast_to(chances, masses.shape)
    for _ in range(steps):
        if agent == "equal_opportunity":
            rule = best_policy(Table(CLUSTERS.weights, masses, known), "equal_opportunity", BREAK_EVEN, order="score")
        draws = random.random((4, runs))
        group = (draws[0] < 0.5).astype(np.int64)
        mass = masses[every, group]
        cluster = np.minimum((draws[1][:, None] >= np.cumsum(mass, axis=1)).sum(1), top)
        accepted = draws[2] < rule[every, group, cluster]
        repays = draws[3] < chances[cluster]
        good[every, group] += repays
        hit[every, group] += repays & accepted
        loans[every, group] += accepted
        profit += np.where(accepted, np.where(repays, 1.0, -1.0), 0.0)
        to = np.clip(cluster + np.where(repays, 1, -1), 0, top)
        moved = np.minimum(_MOVED, mass[every, cluster]) * accepted
        masses[every, group, cluster] -= moved
        masses[every, group, to] += moved
    return Lent(loans.astype(np.int64), masses @ chances, masses @ np.arange(top + 1.0), hit / good, profit)
