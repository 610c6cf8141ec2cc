"""An index of social stress out of gaps between groups: this project's operationalisation, not the paper's.

"Fairness in AI and its long-term implications on society" (https://arxiv.org/abs/2304.09826) argues that gaps which
deepen are a stressor, and gives no formula. This one borrows the mean field of Epstein's civil violence (2002).
None of its parameters is calibrated: see `sensitivity`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated, Final

import msgspec
import numpy as np
import polars as pl

from tracebank_models.checked_settings import check_settings

from .score_tables import Floats

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
_ROUNDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StressSettings:
    """Parameters of the index; none is calibrated."""

    half_life: Positive = 10.0
    """Periods after which what happened weighs half."""
    hardship_weight: Share = 0.5
    unfairness_weight: Share = 0.5
    legitimacy: Share = 0.8
    """Of who decides, where there never was a gap."""
    erosion: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    """How fast gaps take legitimacy away."""
    deterrence: Annotated[float, msgspec.Meta(ge=0)] = 2.3
    order: Share = 0.04
    """Share of the population that keeps order."""
    threshold: Share = 0.1
    """Net grievance from which one takes part in unrest."""
    feedback: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Share of the scale of scores that everyone loses in a period in which all take part; 0 for an index alone."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.hardship_weight + self.unfairness_weight > 1:
            raise ValueError(
                f"StressSettings.unfairness_weight: {self.unfairness_weight} is not allowed;"
                f" allowed: at most 1 together with hardship_weight, {self.hardship_weight}"
            )


UNCALIBRATED: Final = StressSettings()
"""What is taken where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Stress:
    """The index of one period."""

    hardship: Floats
    unfairness: Floats
    grievance: Floats
    """Of each group, (groups,)."""
    legitimacy: float
    unrest: float
    """Share of people who take part."""
    stress: float
    """Mean grievance over people, from 0 to 1."""


class StressIndex:
    """The index over periods: it remembers acceptance among the qualified, and gaps."""

    def __init__(self, weights: Floats, settings: StressSettings) -> None:
        self._weights, self._settings = weights, settings
        self._rate = 1 - 0.5 ** (1 / settings.half_life)
        self._accepted: Floats | None = None
        self._gap = 0.0

    def after(self, opportunity: Floats, gap: float) -> Stress:
        """Take in one period.

        Args:
            opportunity: Share of the qualified that was accepted, (groups,); NaN where nobody was qualified.
            gap: Largest gap between groups.
        """
        before = np.nan_to_num(opportunity, nan=1.0) if self._accepted is None else self._accepted
        now = np.where(np.isfinite(opportunity), opportunity, before)
        self._accepted = before + self._rate * (now - before)
        self._gap += self._rate * ((gap if np.isfinite(gap) else self._gap) - self._gap)
        return stress_of(1 - self._accepted, np.max(now) - now, self._gap, self._weights, self._settings)


def stress_of(hardship: Floats, unfairness: Floats, gap: float, weights: Floats, settings: StressSettings) -> Stress:
    """The index; it falls in none of hardship, unfairness and gap.

    Args:
        hardship: 1 - remembered acceptance among the qualified, (groups,).
        unfairness: By how much that of the best group is above the own, (groups,).
        gap: Remembered largest gap.
        weights: Share of each group in the population.
        settings: Parameters.
    """
    legitimacy = settings.legitimacy * float(np.exp(-settings.erosion * gap))
    felt = settings.hardship_weight * hardship + settings.unfairness_weight * unfairness
    grievance = felt * (1 - legitimacy)
    return Stress(
        hardship, unfairness, grievance, legitimacy, unrest(grievance, weights, settings), float(weights @ grievance)
    )


def unrest(grievance: Floats, weights: Floats, settings: StressSettings) -> float:
    """Share of people who take part: least fixed point of Epstein's mean field, from calm up.

    One takes part whose grievance less risk aversion (even from 0 to 1) times the chance of arrest is above the
    threshold; the more take part, the smaller that chance.
    """
    active, net = 0.0, grievance - settings.threshold
    for _ in range(_ROUNDS):
        arrest = 1 - np.exp(-settings.deterrence * settings.order / max(active, 1e-9))
        willing = np.clip(net / arrest, 0.0, 1.0) if arrest > 0 else (net > 0).astype(np.float64)
        found = float(weights @ np.where(net > 0, willing, 0.0))
        if abs(found - active) < 1e-12:
            break
        active = found
    return active


def sensitivity(
    opportunity: Floats, gap: Floats, weights: Floats, settings: StressSettings, by: float = 0.5
) -> pl.DataFrame:
    """How far the last stress and unrest move when one parameter is lowered or raised by a share of itself.

    Args:
        opportunity: Acceptance among the qualified, (periods, groups).
        gap: Largest gap, (periods,).
        weights: Of groups.
        settings: Around which parameters move.
        by: Share of a parameter.

    Returns:
        One row a parameter and end: `parameter`, `value`, `stress`, `unrest`, and both at the settings themselves.
    """
    base = _last(opportunity, gap, weights, settings)
    rows = []
    for name in (field.name for field in fields(settings) if field.name != "feedback"):
        for factor in (1 - by, 1 + by):
            value = getattr(settings, name) * factor
            if name != "half_life" and name not in ("erosion", "deterrence"):
                value = min(value, 1.0)
            other = {"hardship_weight": "unfairness_weight", "unfairness_weight": "hardship_weight"}.get(name)
            rest = {other: min(getattr(settings, other), 1 - value)} if other else {}
            found = _last(opportunity, gap, weights, replace(settings, **{name: value, **rest}))
            rows.append((name, value, found.stress, found.unrest, base.stress, base.unrest))
    columns = ["parameter", "value", "stress", "unrest", "base_stress", "base_unrest"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _last(opportunity: Floats, gap: Floats, weights: Floats, settings: StressSettings) -> Stress:
    index = StressIndex(weights, settings)
    return [index.after(one, float(apart)) for one, apart in zip(opportunity, gap, strict=True)][-1]
