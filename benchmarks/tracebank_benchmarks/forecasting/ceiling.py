"""How much of a planted signal forecasters find: R² on the mid beside what can be reached, and beside nulls.

A market is simulated with a signal of known strength, forecasters learn from its first part and are judged on its
last. Beside them: what a forecast that knows the signal and its phase reaches in the whole market and, with a slope
fitted where models learn, on the rows judged; the same without the phase; the same models where the levels that carry
the signal are permuted over ticks; and, with `--r2 0`, a market without a signal. Models are trained for the price
that they are judged on: the weighted mid also moves with the quantities it is made of, and what a forecast says of that
is noise on the mid. Run it with `python -m tracebank_benchmarks.forecasting.ceiling`.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from tracebank_models.checked_settings import changed_settings
from tracebank_models.forecasting.scores import scores
from tracebank_models.forecasting.settings import ForecastSettings
from tracebank_models.forecasting.training import train
from tracebank_models.market.synthetic_exchange import SyntheticMarket, reachable
from tracebank_models.market.synthetic_exchange.frames import simulate
from tracebank_models.market.synthetic_exchange.instrument import Instrument
from tracebank_models.order_book_features.features import feature_matrix
from tracebank_models.order_book_features.permuted import outer_levels_permuted
from tracebank_models.order_book_features.reading import read_ticks
from tracebank_models.order_book_features.splits import Split, split_by_time
from tracebank_models.order_book_features.targets import targets
from tracebank_models.order_book_features.ticks import Price, Ticks

SYMBOL, VENUE = "SYNBTC", "synthetic_a"
HORIZONS: Final = (1, 3, 10, 20, 30)
SHOWN: Final = ("imbalance", "dlinear", "lstm", "hfformer", "mlplob", "tlob")
_SIGNAL: Final = tuple(f"imbalance_{level}" for level in range(5, 10))


@dataclass(frozen=True, slots=True)
class Found:
    """R² of one forecast, by seed and horizon."""

    what: str
    seed: int
    horizon: int
    r2: float
    standard_error: float | None
    cpu_s: float


def market_of(seed: int, hours: float, r2: float, horizon_s: int) -> SyntheticMarket:
    """A market of one symbol."""
    return SyntheticMarket(
        symbols=(Instrument(SYMBOL),),
        venues=(VENUE,),
        seed=seed,
        duration_s=int(hours * 3_600),
        signal_r2=r2 or None,
        signal_horizon_s=horizon_s,
        streams=("depth10",),
    )


def of_the_signal(ticks: Ticks, split: Split, price: Price, window_ticks: int = 0) -> list[float]:
    """R² of a regression on the mean of the outer levels' imbalance, fitted on the rows that train.

    Args:
        ticks: Of a whole market: none is left out.
        split: Which rows train, and which are judged.
        price: Whose returns.
        window_ticks: How long a signal stands: the phase is known, and what is foretold is the part still to come and
            within the horizon. 0: the phase is not known.
    """
    signal = feature_matrix(ticks, _SIGNAL).mean(1).astype(np.float64)
    wanted = targets(ticks, price, HORIZONS).astype(np.float64)
    found = []
    for column, horizon in enumerate(HORIZONS):
        seen, known = signal, ~np.isnan(wanted[:, column])
        if window_ticks:
            seen = signal * np.minimum(horizon, window_ticks - np.arange(len(ticks)) % window_ticks)
        fit, judged = (np.array(rows)[known[rows.start : rows.stop]] for rows in (split.train, split.test))
        slope = seen[fit] @ wanted[fit, column] / (seen[fit] @ seen[fit])
        left = wanted[judged, column] - slope * seen[judged]
        found.append(float(1 - (left @ left) / (wanted[judged, column] @ wanted[judged, column])))
    return found


def measure(
    seed: int, hours: float, r2: float, horizon_s: int, price: Price, models: list[str], changes: dict[str, Any]
) -> list[Found]:
    """Everything of one market."""
    market = market_of(seed, hours, r2, horizon_s)
    ticks = read_ticks(simulate(market, SYMBOL, VENUE).book)
    split = split_by_time(len(ticks), (0.7, 0.05, 0.25), 200)
    found = []
    if r2:
        best = reachable(market, SYMBOL, VENUE, HORIZONS)
        for name in ("reachable", "one_feature"):
            what = {"reachable": "reachable", "one_feature": "reachable, no phase"}[name]
            found += [Found(what, seed, h, v, None, 0) for h, v in zip(HORIZONS, best[name], strict=True)]
        per_window = horizon_s * 1_000 // market.snapshot_interval_ms
        beside = of_the_signal(ticks, split, price, per_window)
        found += [Found("signal and phase", seed, h, v, None, 0) for h, v in zip(HORIZONS, beside, strict=True)]
    beside = of_the_signal(ticks, split, price)
    found += [Found("one feature", seed, h, v, None, 0) for h, v in zip(HORIZONS, beside, strict=True)]
    blind = outer_levels_permuted(ticks, seed)
    for name in models:
        own = {"model": name, "features": "book", "horizons": HORIZONS, "price": price, "seed": seed, **changes}
        settings = changed_settings(ForecastSettings(), own, name)
        started = time.process_time()
        trained = train(settings, ticks, split, "cpu")
        seconds = time.process_time() - started
        for label, seen in ((name, ticks), (f"{name}, permuted", blind)):
            told = scores(trained.forecast(seen, split.test), ticks, prices=(price,), draws=200).filter(metric="r2")
            found += [
                Found(label, seed, row["horizon"], row["value"], row["standard_error"], seconds)
                for row in told.iter_rows(named=True)
            ]
    return found


def table(found: list[Found]) -> Table:
    """Means over seeds, for a terminal."""
    frame = pl.DataFrame(found)
    means = frame.group_by("what", "horizon", maintain_order=True).agg(pl.col("r2", "cpu_s").mean())
    shown = Table("R²", *(f"h={horizon}" for horizon in HORIZONS), "CPU s", box=None)
    for (what,), part in means.group_by("what", maintain_order=True):
        seconds = f"{part['cpu_s'][0]:.0f}" if part["cpu_s"][0] else ""
        shown.add_row(str(what), *(f"{value:.4f}" for value in part["r2"]), seconds)
    return shown


def main(
    hours: Annotated[float, typer.Option(min=0.05, max=24, help="Of the market.")] = 2.0,
    seeds: Annotated[int, typer.Option(min=1, help="Markets, each with its models.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Of the seeds.")] = 0,
    r2: Annotated[float, typer.Option(min=0, max=0.9, help="Of the planted signal; 0 plants none.")] = 0.3,
    horizon_s: Annotated[int, typer.Option(min=1, help="Seconds that a signal lasts.")] = 3,
    models: Annotated[str, typer.Option(help="With commas between.")] = ",".join(SHOWN),
    price: Annotated[Price, typer.Option(help="That is forecast and judged.")] = "mid",
    epochs: Annotated[int, typer.Option(min=1, help="Of training.")] = 4,
    windows: Annotated[int, typer.Option(min=64, help="Of an epoch.")] = 40_000,
    changes: Annotated[str, typer.Option(help="To the settings of every model, in JSON.")] = "{}",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what forecasters find of a planted signal."""
    plan = {"epochs": epochs, "windows_per_epoch": windows, "decay": 0.6, "validation_windows": 10_000}
    plan |= json.loads(changes)
    found: list[Found] = []
    for seed in range(first, first + seeds):
        found += measure(seed, hours, r2, horizon_s, price, [name for name in models.split(",") if name], plan)
    if as_json:
        print(json.dumps(pl.DataFrame(found).to_dicts()))  # noqa: T201
    else:
        Console().print(table(found))


if __name__ == "__main__":
    typer.run(main)
