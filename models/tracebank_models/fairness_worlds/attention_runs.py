"""The attention world run over periods, with what was discovered and missed at each site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from .allocators import RateEstimates, allocated
from .attention import AttentionWorld
from .group_figures import GAPS, Ints
from .retraining import Retraining
from .runs import FairnessRun, Progress, summary_of
from .score_tables import Floats
from .stress import UNCALIBRATED, StressIndex, StressSettings

STEPS: Final = 5
"""Of inspection in one period of the rows: rates of single steps are of few incidents."""


@dataclass(frozen=True)
class Inspected:
    """What every step gave, (steps, runs, sites) each."""

    placed: Ints
    discovered: Floats
    incidents: Ints
    rates: Floats
    """True, before the step."""


def inspect(
    world: AttentionWorld, allocator: str, retraining: Retraining, seed: int, steps: int, *, permuted: bool = False
) -> Inspected:
    """Run all runs of a world.

    Args:
        world: Of sites; it is begun again.
        allocator: One of `ALLOCATORS`.
        retraining: `all` sees what was missed too; `window` remembers 100 steps, all else every step; `exploration`
            places units evenly by lot in a share of steps.
        seed: Of incidents.
        steps: How many.
        permuted: Whether a fair allocator takes other sites' rates for a site's.

    Raises:
        ValueError: The allocator is not known, or weights by inverse propensity are asked for.
    """
    if retraining.labels == "inverse_propensity":
        raise ValueError("retraining: 'inverse_propensity' is not allowed in attention; allowed: all other schedules")
    world.reset(seed=seed)
    random = np.random.default_rng([seed, 1])
    runs, sites = world.rates.shape
    window = 100 if retraining.labels == "window" else steps
    estimates = RateEstimates(runs, sites, world.units, window)
    order = np.roll(np.arange(sites), 1) if permuted else None
    known, kept = estimates.rates, []
    for step in range(steps):
        lot = step < retraining.burn_in * STEPS
        lot = lot or (retraining.labels == "exploration" and random.random() < retraining.explored)
        if step % STEPS == 0 and retraining.due(step // STEPS):
            known = estimates.rates
        placed = allocated("uniform" if lot else allocator, known, world.units, random, order=order)
        before = world.rates
        discovered, _, _, _, info = world.step(placed)
        kept.append((placed, discovered, info["incidents"], before))
        full = retraining.labels == "all"
        # Who sees everything sees counts that no number of units cuts off.
        estimates.saw(*((info["incidents"] + 1, info["incidents"] * 1.0) if full else (placed, discovered)))
    return Inspected(*(np.stack(column) for column in zip(*kept, strict=True)))


def run_attention(
    world: AttentionWorld,
    allocator: str,
    retraining: Retraining,
    seed: int,
    periods: int,
    *,
    stress: StressSettings = UNCALIBRATED,
    permuted: bool = False,
    progress: Progress | None = None,
) -> FairnessRun:
    """Run a world of one run, and give its rows as those of worlds of people: a person is an incident.

    Args:
        world: Of one run; it is begun again.
        allocator: One of `ALLOCATORS`.
        retraining: See `inspect`.
        seed: Of incidents.
        periods: Of `STEPS` steps each.
        stress: Parameters of the index; feedback is not allowed, as sites have no score to lose.
        permuted: See `inspect`.
        progress: Told of the periods at the end.

    Raises:
        ValueError: See `inspect`; or feedback is asked for, or periods are no more than those of the burn-in.
    """
    if stress.feedback > 0:
        raise ValueError(f"feedback: {stress.feedback} is not allowed in attention; allowed: 0")
    if periods <= retraining.burn_in:
        raise ValueError(f"periods: {periods} is not allowed; allowed: more than the burn-in, {retraining.burn_in}")
    found = inspect(world, allocator, retraining, seed, periods * STEPS, permuted=permuted)
    sums = {
        name: getattr(found, name)[:, 0].reshape(periods, STEPS, -1).sum(1)
        for name in ("placed", "discovered", "incidents", "rates")
    }
    index, weights = StressIndex(np.full(len(world.first), 1 / len(world.first)), stress), world.group_names
    rows = [_rows(period, sums, index, weights) for period in range(periods)]
    frame = pl.concat(rows).with_columns(pl.selectors.float().fill_nan(None))
    if progress:
        progress(periods)
    return FairnessRun(frame, pl.DataFrame(), summary_of(frame, retraining.burn_in))


def _rows(period: int, sums: dict[str, Any], index: StressIndex, sites: tuple[str, ...]) -> pl.DataFrame:
    found, there = sums["discovered"][period], sums["incidents"][period]
    share = np.divide(found, there, out=np.full(len(found), np.nan), where=there > 0)
    past = sums["discovered"][: period + 1].sum(0) / np.maximum(sums["incidents"][: period + 1].sum(0), 1)
    apart = float(np.nanmax(share) - np.nanmin(share)) if np.isfinite(share).any() else np.nan
    stress = index.after(share, apart)
    rates = sums["rates"][period] / STEPS
    whole = {
        **dict.fromkeys(GAPS, np.nan),
        "opportunity_gap": apart,
        "score_gap": float(np.ptp(rates)),
        "cumulative_opportunity_gap": float(np.ptp(past)),
        **{name: getattr(stress, name) for name in ("legitimacy", "unrest", "stress")},
    }
    counts = {"people": there, "accepted": found, "qualified": there, "accepted_qualified": found}
    nothing = np.full(len(found), np.nan)
    figures = {
        "selection_rate": nothing,
        "true_positive_rate": share,
        **dict.fromkeys(("false_positive_rate", "positive_predictive_value"), nothing),
        "mean_score": rates,
        "score_change": nothing,
        "repayment": nothing,
        "utility": share,
        "burden": nothing,
        "cumulative_true_positive_rate": past,
        **{name: getattr(stress, name) for name in ("hardship", "unfairness", "grievance")},
    }
    return (
        pl.DataFrame({"period": period, "group": list(sites), **counts, **figures})
        .with_columns(pl.lit(value, pl.Float64).alias(name) for name, value in whole.items())
        .with_columns(pl.col(*counts).cast(pl.Int64))
    )
