"""Lines of gaps over the periods of worlds: means over seeds, with intervals from five seeds on."""

from collections.abc import Iterable, Iterator
from typing import Final

import polars as pl
from sqlalchemy import select

from tracebank.resources import Stores
from tracebank_assets.explorer.curve_sources import Drawn, Partition, rows_of
from tracebank_models.fairness_worlds.names import NOTHING
from tracebank_schemas.fairness import FAIRNESS_PERIODS, FairnessRun

MEASURES: Final = ("opportunity_gap", "selection_gap", "score_gap", "stress")
_FACTORS: Final = ("mitigation", "groups", "labels", "every", "feedback")
_LEAST: Final = 5
"""Seeds below which there is no interval."""


def gaps(stores: Stores, partitions: Iterable[Partition]) -> Iterator[Drawn]:
    """Gaps of one world over periods, a line for each mitigation and schedule of fitting.

    Args:
        stores: where rows are.
        partitions: of `series.fairness_periods`, of one world; seeds are taken together.
    """
    parts = list(partitions)
    world = str(parts[0]["world"])
    with stores.relational.reading() as session:
        told = session.execute(select(FairnessRun.run, FairnessRun.feedback).where(FairnessRun.world == world)).all()
    feedback = pl.DataFrame([tuple(row) for row in told], {"run": pl.String, "feedback": pl.Float64}, orient="row")
    columns = ["run", "seed", *_FACTORS[:-1], "period", *MEASURES]
    periods = pl.concat(
        # Gaps are of a period as a whole, the same in the row of each of its groups.
        rows_of(stores, FAIRNESS_PERIODS, part, columns).unique(["run", "period"], keep="first", maintain_order=True)
        for part in parts
    ).join(feedback, on="run")
    for (groups, labels, fed), same in periods.group_by("groups", "labels", "feedback", maintain_order=True):
        how = f"groups {groups}, labels {labels}, feedback {fed:g}"
        ordered = same.sort(~pl.col("mitigation").is_in(NOTHING), "mitigation", "every")
        for (mitigation, every), line in ordered.group_by("mitigation", "every", maintain_order=True):
            name = f"{mitigation}, fitted {f'every {every}' if every else 'once'}"
            for measure in MEASURES:
                yield _over_seeds(line, measure, f"{world}/{measure}/{groups}/{labels}/{fed:g}", name, how)


def _over_seeds(line: pl.DataFrame, measure: str, run: str, name: str, how: str) -> Drawn:
    import numpy as np
    from scipy import stats

    value, known = pl.col(measure), pl.col(measure).count()
    by_period = line.group_by("period").agg(
        value.mean().alias("mean"), (value.std() / known.sqrt()).alias("error"), known.alias("known")
    )
    by_period = by_period.sort("period")
    seeds = line["seed"].n_unique()
    band = None
    if seeds >= _LEAST:
        freedom = by_period["known"].cast(pl.Float64).clip(2) - 1
        half = pl.Series(np.asarray(stats.t.ppf(0.975, freedom.to_numpy()))) * by_period["error"]
        half = half.set(by_period["known"] < _LEAST, None)
        band = by_period["mean"] - half, by_period["mean"] + half
    about = f"{how}; mean over {seeds} seed{'s' * (seeds > 1)}"
    about += "" if band else f": no interval below {_LEAST}"
    return Drawn(run, name, by_period["period"], by_period["mean"], line.height, "period", told=about, band=band)
