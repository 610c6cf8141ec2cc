"""A world run over periods: burn-in, fit, decide, see, fit again; every period and a panel of people are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from tracebank_models.fairness_mitigation.intervals import gap_interval
from tracebank_models.fairness_mitigation.metrics import gini_between
from tracebank_models.fairness_mitigation.protocol import Decider, Mitigation

from .group_figures import GAPS, gaps
from .population import UNKNOWN, PopulationWorld
from .retraining import Memory, Retraining, Seen
from .score_tables import Floats
from .stress import UNCALIBRATED, StressIndex, StressSettings

Progress = Callable[[int], None]
PANEL: Final = 100
"""People who are followed."""
PERIOD_COLUMNS: Final = ("cumulative_opportunity_gap", "legitimacy", "unrest", "stress")
"""Of a period as a whole, beside `GAPS`."""


@dataclass(frozen=True)
class FairnessRun:
    """What a run left."""

    periods: pl.DataFrame
    """One row a period and group: its figures, and those of the period as a whole, the same in each of its rows."""
    panel: pl.DataFrame
    """One row a period and followed person."""
    summary: dict[str, float]
    """Mean and last of what is of the whole, and the mean utility, after the burn-in; ends of the interval of the last
    equalised-odds gap, over people, where there is one."""


def run_world(
    world: PopulationWorld,
    mitigation: Mitigation,
    retraining: Retraining,
    seed: int,
    periods: int,
    *,
    stress: StressSettings = UNCALIBRATED,
    panel: int = PANEL,
    progress: Progress | None = None,
) -> FairnessRun:
    """Run a world; worlds of one seed hold the same people with the same luck.

    Args:
        world: Of people; it is begun again.
        mitigation: How rules are fitted.
        retraining: When, and to what.
        seed: Of people, luck, and what is remembered.
        periods: How many.
        stress: Parameters of the index; its feedback lowers scores.
        panel: People who are followed, at most all.
        progress: Told of every period.

    Raises:
        ValueError: There are no more periods than those of the burn-in, or a rule gives no probability.
    """
    if periods <= retraining.burn_in:
        raise ValueError(f"periods: {periods} is not allowed; allowed: more than the burn-in, {retraining.burn_in}")
    observation, _ = world.reset(seed=seed)
    random = np.random.default_rng([seed, 1])
    memory, decider = Memory(retraining, np.random.default_rng([seed, 2])), None
    book = _Book(world, stress, min(panel, world.people))
    for period in range(periods):
        if retraining.due(period):
            decider = memory.fitted(mitigation, decider)
        if decider is not None:
            observation = world.publish(_rule(decider, random))
        probability = _chances(decider, observation, random)
        if retraining.explores:
            probability = probability + retraining.explored * (1 - probability)
        shown = observation
        observation, _, _, _, info = world.step(probability.astype(np.float32))
        memory.keep(_seen(shown, info, world, retraining, probability))
        unrest = book.note(period, info)
        if stress.feedback > 0:
            observation = world.shock(stress.feedback, unrest)
        if progress:
            progress(1)
    return book.run(retraining.burn_in)


def _rule(decider: Decider, random: np.random.Generator) -> Callable[[Floats, Any], Floats]:
    return lambda features, groups: decider.accept(features, groups, random)


def _chances(decider: Decider | None, observation: dict[str, Any], random: np.random.Generator) -> Floats:
    if decider is None:
        return np.ones(len(observation["groups"]))
    return np.asarray(decider.accept(observation["features"].astype(np.float64), observation["groups"], random))


def _seen(
    shown: dict[str, Any], info: dict[str, Any], world: PopulationWorld, retraining: Retraining, chance: Floats
) -> Seen:
    """What of a period may be learnt from: true labels of everyone where a schedule asks for all, else those seen."""
    labels = world.last.qualified if retraining.labels == "all" else info["labels"]
    known = np.where(labels == UNKNOWN, np.nan, labels)
    weighed = retraining.labels == "inverse_propensity"
    weights = 1 / np.maximum(chance, 1e-3) if weighed else np.ones(len(labels))
    return Seen(shown["features"].astype(np.float64), known, shown["groups"], weights)


class _Book:
    """Rows of a run as they come."""

    def __init__(self, world: PopulationWorld, stress: StressSettings, panel: int) -> None:
        self._world, self._panel = world, panel
        self._index = StressIndex(world.weights, stress)
        self._hits = np.zeros((2, len(world.weights)))
        self._rows: list[pl.DataFrame] = []
        self._people: list[pl.DataFrame] = []

    def note(self, period: int, info: dict[str, Any]) -> float:
        """Keep a period; the share of people in unrest."""
        figures = info["figures"]
        found = gaps(figures)
        stress = self._index.after(figures["true_positive_rate"], found["odds_gap"])
        self._hits += figures["accepted_qualified"], figures["qualified"]
        aggregate = self._hits[0] / np.maximum(self._hits[1], 1)
        whole = {
            **found,
            "cumulative_opportunity_gap": float(np.ptp(aggregate)),
            **{name: getattr(stress, name) for name in ("legitimacy", "unrest", "stress")},
        }
        felt = {name: getattr(stress, name) for name in ("hardship", "unfairness", "grievance")}
        columns = {**figures, "cumulative_true_positive_rate": aggregate, **felt}
        self._rows.append(
            pl.DataFrame({"period": period, "group": list(self._world.group_names), **columns})
            .with_columns(pl.lit(value, pl.Float64).alias(name) for name, value in whole.items())
            .with_columns(pl.col("people", "accepted", "qualified", "accepted_qualified").cast(pl.Int64))
        )
        self._people.append(self._followed(period))
        return stress.unrest

    def _followed(self, period: int) -> pl.DataFrame:
        last, some = self._world.last, slice(0, self._panel)
        return pl.DataFrame(
            {
                "period": np.full(self._panel, period),
                "person": np.arange(self._panel),
                "group": [self._world.group_names[number] for number in last.groups[some]],
                "score": last.scores[some],
                "score_change": last.change[some],
                "accepted": last.accepted[some],
                "qualified": last.qualified[some],
            }
        )

    def run(self, burn_in: int) -> FairnessRun:
        """All of it."""
        rows = pl.concat(self._rows).with_columns(pl.selectors.float().fill_nan(None))
        return FairnessRun(rows, pl.concat(self._people), summary_of(rows, burn_in) | self._sure_of_odds())

    def _sure_of_odds(self) -> dict[str, float]:
        """Ends of the interval of the last period's equalised-odds gap, over people; NaN where there is none."""
        last = self._world.last
        found = gap_interval("equalised_odds", last.accepted, last.qualified, last.groups)
        ends = {"last_odds_gap_low": found.low, "last_odds_gap_high": found.high}
        return {name: math.nan if end is None else end for name, end in ends.items()}


def summary_of(rows: pl.DataFrame, burn_in: int) -> dict[str, float]:
    """Mean and last of what is of a whole period, mean utility per person, and Gini's index of groups' mean true
    chances in the last period, after the burn-in; NaN where one is not defined."""
    after = rows.filter(pl.col("period") >= burn_in).sort("period")
    total = pl.col("people").sum()
    worth = (pl.col("utility").fill_null(0) * pl.col("people")).sum()
    last = after.filter(pl.col("period") == pl.col("period").max())
    means, shares = (last[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for name in ("repayment", "people"))
    found = {
        "utility": after.select(worth / total).item(),
        "last_repayment_gini": float(gini_between(means, shares / shares.sum())),
    }
    for name in (*GAPS, *PERIOD_COLUMNS):
        values = after.group_by("period", maintain_order=True).agg(pl.col(name).first())[name].drop_nulls()
        found[f"mean_{name}"] = float(values.mean()) if len(values) else math.nan  # type: ignore[arg-type]
        found[f"last_{name}"] = float(values[-1]) if len(values) else math.nan
    return found
