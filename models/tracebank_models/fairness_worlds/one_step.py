"""Three lending policies on a table of scores, exactly: who is accepted, and what one step does to their scores.

After Liu et al. 2018. Scores are clipped where they are realised: 75 points up from 800 are 50.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tracebank_models.fairness_mitigation.oracle import Table, best_policy

from .score_tables import Floats, ScoreTable

POLICIES: Final = ("maximum_utility", "demographic_parity", "equal_opportunity")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a loan is worth to who gives it, and what it does to a score, in points."""

    gain: float = 1.0
    loss: float = -4.0
    up: float = 75.0
    down: float = -150.0
    lowest: float = 300.0
    highest: float = 850.0

    @property
    def break_even(self) -> float:
        """Probability of repayment from which a loan pays."""
        return self.loss / (self.loss - self.gain)


CHEAP: Final = Terms()
"""Terms under which a default costs four times what a loan brings."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy does to each group, (groups,) each."""

    threshold: Floats
    selection: Floats
    true_positive: Floats
    change: Floats
    """Mean change of score over all people of the group, points."""
    utility: float
    """Of the lender, per applicant."""


def outcome(table: ScoreTable, policy: str, terms: Terms = CHEAP, step: float | None = None) -> Outcome:
    """Apply a policy for one step.

    Args:
        table: Who there is.
        policy: One of `POLICIES`.
        terms: Of loans.
        step: Search common rates among multiples of it; the published ones are of 0.001. None: among all.

    Raises:
        ValueError: The policy is not known.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy: {policy!r} is not allowed; allowed: {', '.join(POLICIES)}")
    known = Table(table.weights, table.shares, table.repayment)
    accepted = best_policy(known, policy, terms.break_even, "score", step)  # type: ignore[arg-type]
    good = table.shares * table.repayment
    each = terms.gain * table.repayment + terms.loss * (1 - table.repayment)
    return Outcome(
        _thresholds(table, accepted),
        (table.shares * accepted).sum(1),
        (good * accepted).sum(1) / good.sum(1),
        (table.shares * accepted * expected_change(table, terms)).sum(1),
        float(table.weights @ (table.shares * accepted * each).sum(1)),
    )


def expected_change(table: ScoreTable, terms: Terms) -> Floats:
    """Mean change of the score of one who is accepted, (groups, scores)."""
    up = np.minimum(table.scores + terms.up, terms.highest) - table.scores
    down = np.maximum(table.scores + terms.down, terms.lowest) - table.scores
    return table.repayment * up + (1 - table.repayment) * down


def _thresholds(table: ScoreTable, accepted: Floats) -> Floats:
    """Lowest score from which one is accepted, taken between neighbours where it is by lot."""
    found = []
    for row in accepted:
        first = int(np.argmax(row > 0)) if row.any() else len(row) - 1
        step = table.scores[min(first + 1, len(row) - 1)] - table.scores[first]
        found.append(table.scores[first] + (1 - row[first]) * step)
    return np.array(found)
