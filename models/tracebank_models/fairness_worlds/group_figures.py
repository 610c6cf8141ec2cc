"""What a period's decisions did to each group: rates, utility and change, counted over people in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .score_tables import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

GAPS: Final = ("selection_gap", "opportunity_gap", "odds_gap", "score_gap", "repayment_gap")
"""Largest less smallest over groups; of odds the larger gap of true and of false positives."""


@dataclass(frozen=True)
class Decided:
    """People who were decided about in one period, and what came of it."""

    groups: Ints
    accepted: Bools
    qualified: Bools
    """Whether a person repays, or is eligible, or is truly positive; also of those not accepted, which nobody sees."""
    scores: Floats
    """Before the decision."""
    change: Floats
    """Of the score, by the decision."""
    chance: Floats
    """True probability of being qualified."""
    utility: Floats
    """Of who decides."""
    burden: Floats
    """What a person paid to look better."""


def group_figures(decided: Decided, count: int) -> dict[str, Floats]:
    """Figures by name, (groups,) each; NaN where nobody is whom a rate is of.

    Args:
        decided: The period.
        count: Of groups.
    """

    def total(values: Floats | Bools) -> Floats:
        return np.bincount(decided.groups, values, count).astype(np.float64)

    accepted, good = decided.accepted, decided.qualified
    people, positives, chosen = total(np.ones(len(good))), total(good), total(accepted)
    hits = total(good & accepted)
    return {
        "people": people,
        "accepted": chosen,
        "qualified": positives,
        "accepted_qualified": hits,
        "selection_rate": _rate(chosen, people),
        "true_positive_rate": _rate(hits, positives),
        "false_positive_rate": _rate(chosen - hits, people - positives),
        "positive_predictive_value": _rate(hits, chosen),
        "mean_score": _rate(total(decided.scores), people),
        "score_change": _rate(total(decided.change), people),
        "repayment": _rate(total(decided.chance), people),
        "utility": _rate(total(decided.utility), people),
        "burden": _rate(total(decided.burden * good), positives),
    }


def gaps(figures: dict[str, Floats]) -> dict[str, float]:
    """Gaps of `GAPS`; NaN where a group has no such rate."""
    spread = {name: float(np.ptp(values)) for name, values in figures.items()}
    return {
        "selection_gap": spread["selection_rate"],
        "opportunity_gap": spread["true_positive_rate"],
        "odds_gap": float(np.maximum(spread["true_positive_rate"], spread["false_positive_rate"])),
        "score_gap": spread["mean_score"],
        "repayment_gap": spread["repayment"],
    }


def _rate(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return found
