"""Training curves as rows of `series.training_curves`, whatever is trained; and the bar of a training."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import polars as pl

from tracebank.progress import advancing, track
from tracebank_schemas.language_model import TRAINING_CURVES


def long_curve(curve: pl.DataFrame, *, run: str, method: str, name: str | None = None, seed: int = 0) -> pl.DataFrame:
    """A row for each step and metric, in the columns of `training_curves`.

    Args:
        curve: a row for each step, with a column `step`; a curve of several dictionaries has `dictionary` and `seed`.
        run: partition of the table.
        method: pretraining, ppo, dpo or sparse_autoencoder.
        name: what was trained, where the curve has no column `dictionary`.
        seed: its seed, where the curve has no column `seed`.
    """
    here = {"dictionary": name or run, "seed": seed}
    curve = curve.with_columns(pl.lit(value).alias(column) for column, value in here.items() if column not in curve)
    index = ["dictionary", "seed", "step"]
    values = curve.with_columns(pl.exclude(index).cast(pl.Float64))
    long = (
        values.unpivot(index=index, variable_name="metric", value_name="value").drop_nulls("value").drop_nans("value")
    )
    constant = {"run": run, "method": method, "ts": datetime.now(UTC)}
    found = long.rename({"dictionary": "name"}).with_columns(
        pl.lit(value).alias(key) for key, value in constant.items()
    )
    return found.select(pl.col(column).cast(kind) for column, kind in TRAINING_CURVES.polars_schema.items())


@contextmanager
def step_bar(what: str, steps: int) -> Iterator[Callable[[Mapping[str, float | int]], None]]:
    """A bar over the steps of a training, those that it resumed after included."""
    with track(what, steps) as advance:
        tell = advancing(advance)
        yield lambda row: tell(int(row["step"]), steps)
