"""Modes compared over seeds: a row for each run, and of these what each mode does beside one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from tracebank_models.sample_statistics.seeds import interquartile_mean, probability_below

from .run import Run

METRICS: Final = (
    "episode_return",
    "episode_cost",
    "violated_episodes",
    "goals",
    "training_violations",
    "violations_per_1000",
    "training_cost",
    "steps_to_threshold",
    "return_area",
)
"""What is compared of runs."""


def run_rows(runs: Iterable[Run]) -> pl.DataFrame:
    """A row for each run.

    Returns:
        `hash`, `environment`, `mode` (label), `seed`; of evaluation the means `episode_return`, `episode_cost`,
        `violated_episodes` (share) and `goals` (null where there are none); of training `steps`,
        `training_violations`, `violations_per_1000`, `training_cost` (sums), `return_area` (mean return over
        steps), `is_solved`, `steps_to_threshold` and `seconds`, null where nothing is learned.

        A run is solved at the first update whose episodes have a mean return of the environment's threshold. Of one
        that never is, `steps_to_threshold` are all its steps, which is too few: read it beside `is_solved`.
    """
    return pl.DataFrame([_row(one) for one in runs], schema_overrides={"goals": pl.Float64})


def _row(one: Run) -> dict[str, Any]:
    settings, told = one.settings, one.evaluation
    return {
        "hash": settings.hash,
        "environment": settings.environment,
        "mode": settings.label,
        "seed": settings.seed,
        "episode_return": told["episode_return"].mean(),
        "episode_cost": told["cost"].mean(),
        "violated_episodes": (told["violations"] > 0).mean(),
        "goals": told["goals"].mean(),
        **_trained(one.curves, one.threshold),
        "seconds": one.seconds if one.curves.height else None,
    }


def _trained(curves: pl.DataFrame, threshold: float | None) -> dict[str, Any]:
    if not curves.height:
        names = ("steps", "training_violations", "violations_per_1000", "training_cost", "return_area")
        return dict.fromkeys((*names, "is_solved", "steps_to_threshold"))
    steps, violations = curves["step"].max(), int(curves["violations"].sum())
    reached = None if threshold is None else curves.filter(pl.col("episode_return") >= threshold)["step"].min()
    return {
        "steps": steps,
        "training_violations": violations,
        "violations_per_1000": 1000 * violations / steps,  # type: ignore[operator]
        "training_cost": float(curves["cost"].sum()),
        "return_area": curves["episode_return"].forward_fill().mean(),
        "is_solved": None if threshold is None else reached is not None,
        "steps_to_threshold": None if threshold is None else reached or steps,
    }


def compared(rows: pl.DataFrame, against: str = "reward", draws: int = 2_000) -> pl.DataFrame:
    """Modes over seeds, in each environment and, where there are several, over all.

    Args:
        rows: As of `run_rows`.
        against: The mode that others are held beside.
        draws: Of the bootstrap.

    Returns:
        A row for each environment (null: all of them), mode and metric of `METRICS` that its runs have: `seeds`,
        interquartile mean `iqm` with `low` and `high` (null below five seeds, and over several environments, whose
        scales differ), `below`, how likely a run of the mode is lower than one of `against` (of costs and violations:
        safer), with `below_low` and `below_high`.

    Raises:
        ValueError: No run is of the mode `against`, or a mode has a seed twice in an environment.
    """
    modes = rows["mode"].unique(maintain_order=True).to_list()
    if against not in modes:
        raise ValueError(f"against: {against!r} is not allowed; allowed: {', '.join(modes)}")
    twice = rows.filter(pl.struct("environment", "mode", "seed").is_duplicated())
    if twice.height:
        raise ValueError(f"rows: seed {twice['seed'][0]} of mode {twice['mode'][0]!r} is not allowed more than once")
    environments = rows["environment"].unique(maintain_order=True).to_list()
    found = []
    for among in [[name] for name in environments] + ([environments] if len(environments) > 1 else []):
        for metric in METRICS:
            base = _scores(rows, against, metric, among)
            for mode in modes:
                scores = _scores(rows, mode, metric, among)
                if len(scores) == len(among):
                    found.append({"mode": mode, "metric": metric, **_compared(scores, base, among, draws)})
    return pl.DataFrame(found, schema=_SCHEMA)


_SCHEMA: Final = {
    **dict.fromkeys(("environment", "mode", "metric"), pl.String),
    "seeds": pl.Int64,
    **dict.fromkeys(("iqm", "low", "high", "below", "below_low", "below_high"), pl.Float64),
}


def _scores(rows: pl.DataFrame, mode: str, metric: str, among: list[str]) -> dict[str, list[float]]:
    kept = rows.filter(pl.col("mode") == mode, pl.col("environment").is_in(among), pl.col(metric).is_not_null())
    parts = kept.select("environment", pl.col(metric).cast(pl.Float64)).group_by("environment", maintain_order=True)
    return {str(name): part[metric].to_list() for (name,), part in parts}


def _compared(
    scores: dict[str, list[float]], base: dict[str, list[float]], among: list[str], draws: int
) -> dict[str, Any]:
    row: dict[str, Any] = {"environment": None, "seeds": min(map(len, scores.values()))}
    if len(among) == 1:
        mean = interquartile_mean(scores, draws)
        row |= {"environment": among[0], "iqm": mean.mean, "low": mean.low, "high": mean.high}
    if base.keys() == scores.keys():
        below = probability_below(scores, base, draws)
        row |= {"below": below.mean, "below_low": below.low, "below_high": below.high}
    return row
