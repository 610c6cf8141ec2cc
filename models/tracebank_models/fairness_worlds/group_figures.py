"""What a period's decisions did to each group: rates, utility and change, counted over people in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracebank_models.fairness_mitigation.metrics import group_metrics

from .score_tables import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

GAPS: Final = ("selection_gap", "opportunity_gap", "odds_gap", "score_gap", "repayment_gap")
"""Largest less smallest over groups; of odds the larger gap of true and of false positives."""


_RATES: Final = (
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "positive_predictive_value",
    "mean_score",
    "utility",
)


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
    rates = group_metrics(accepted, good, decided.groups, count, decided.scores, decided.utility)
    positives = total(good)
    with np.errstate(invalid="ignore"):  # a group without people, or without qualified ones, has no mean
        change, chance = total(decided.change) / rates.people, total(decided.chance) / rates.people
        burden = total(decided.burden * good) / positives
    return {
        "people": rates.people,
        "accepted": total(accepted),
        "qualified": positives,
        "accepted_qualified": total(good & accepted),
        **{name: getattr(rates, name) for name in _RATES},
        "score_change": change,
        "repayment": chance,
        "burden": burden,
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
