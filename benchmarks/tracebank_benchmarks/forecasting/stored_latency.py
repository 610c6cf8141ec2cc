"""From a tick to its stored forecast: a recording at its own pace through `tracebank forecast follow`, store by store.

Run it with `python -m tracebank_benchmarks.forecasting.stored_latency`. A line is due as long after the first as it
was received; its forecast counts as stored once the store has said so. What a busy machine takes is its load's, which
stands beside. The bar: 20 ms for 99 % of ticks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import typer

_PROGRAM: Final = (sys.executable, "-m", "tracebank")
_MODEL: Final = "SELECT model FROM relational.forecast_models WHERE name = '{}' ORDER BY trained_at DESC LIMIT 1"


def main(
    symbol: Annotated[str, typer.Argument(help="Of the recordings.")] = "SYNBTC",
    learned: Annotated[Path | None, typer.Option(help="Recording that a model is trained on; else synthetic.")] = None,
    followed: Annotated[Path | None, typer.Option(help="Recording that it follows; else what it learned from.")] = None,
    home: Annotated[
        list[Path] | None, typer.Option(help="Folder for a home, such as /dev/shm; may stand again.")
    ] = None,
    series: Annotated[str, typer.Option(help="URL of the series store; empty: embedded in each home.")] = "",
    model: Annotated[str, typer.Option(help="Architecture.")] = "hfformer",
    minutes: Annotated[float, typer.Option(min=0.1, help="That are followed.")] = 2.0,
) -> None:
    """Tell what half of all ticks and 99 % take until their forecast is stored."""
    for folder in home or [Path(tempfile.gettempdir())]:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            environment = {"TRACEBANK_HOME": place, "DAGSTER_HOME": f"{place}/dagster", "OMP_NUM_THREADS": "1"}
            if series:
                environment["TRACEBANK_SERIES_URL"] = series
            source = learned or _synthetic(Path(place) / "recordings")
            _done(environment, "db", "upgrade")
            _done(environment, "ingest", str(source))
            _done(environment, "forecast", "train", symbol, "--models", model, "--epochs", "1", "--train-share", "1")
            key = _done(environment, "sql", "--format", "csv", _MODEL.format(model)).split()[-1].strip('"')
            recording = followed or _of(source, symbol)
            told = _done(
                environment, "forecast", "follow", key, "--replay", str(recording), "--paced", "--minutes", str(minutes)
            )
            store = series.partition(":")[0] or "embedded"
            load = f"load {os.getloadavg()[0]:.1f} of {os.cpu_count()}"
            _say(f"{folder}, {store}, {model}, {load}: {' '.join(told.split())}")


def _synthetic(folder: Path) -> Path:
    from tracebank_models.market.synthetic_exchange import FeedDefects, SyntheticMarket, write_day

    write_day(SyntheticMarket(day=date(2024, 8, 8), seed=0, duration_s=600, defects=FeedDefects()), folder)
    return folder


def _of(source: Path, symbol: str) -> Path:
    return source if source.is_file() else min(path for path in source.rglob("*") if symbol in path.name)


def _done(environment: dict[str, str], *words: str) -> str:
    ran = subprocess.run(
        [*_PROGRAM, *words], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"tracebank {' '.join(words)}: {ran.stderr.strip()[-500:]}")
    return ran.stdout


def _say(what: str) -> None:
    print(what)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
