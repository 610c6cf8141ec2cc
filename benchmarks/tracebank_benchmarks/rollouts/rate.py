"""How many CartPole steps a second become rows and reach the store, and what a step takes there, beside Minari.

Four ways, in turn in one run, at a random policy: environments that only step; the same with every step in frames of
columns; these frames written through the store's `replace`, which is atomic; and Minari's format hdf5, by its own
recorder around one environment where it can be imported (extra `minari[create]`), and by our export. The store is the
embedded one in a folder of its own; what it writes with is another process, so that seconds are of the clock. Run it
with `python -m tracebank_benchmarks.rollouts.rate`. The bars: 1,000,000 steps a second in frames, stepping included,
and at most 60 bytes of a step in the store. Minari's recorder was measured at 3,397 steps/s and 500 to 700 bytes.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import gymnasium
import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank.stores.series_store import SeriesStore
from tracebank_models.reinforcement_learning.classic_control import CartPole
from tracebank_models.rollouts.minari_datasets import export
from tracebank_models.rollouts.recording import Policy, rollout_frames
from tracebank_schemas.reinforcement_learning import ROLLOUT_STEPS

FRAMES, STORED, RECORDER, EXPORT = "frames", "frames, stored", "Minari, recorder", "Minari, export"
FASTEST: Final = 1_000_000
"""Steps a second in frames."""
SMALLEST: Final = 60
"""Bytes of a stored step."""
_FEW: Final = 6_400
"""Steps for Minari, whose time is a few seconds."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One way."""

    way: str
    steps: int
    seconds: float
    """Of the clock; median of the rounds."""
    steps_per_second: float
    bytes_per_step: float | None
    """On disk, where it is written."""


def _policy() -> Policy:
    chance = np.random.default_rng(0)
    return lambda seen: chance.integers(0, 2, len(seen))


def _stepped(environments: int, steps: int) -> None:
    many, policy = CartPole(environments), _policy()
    seen, _ = many.reset(seed=0)
    for _ in range(steps):
        seen = many.step(policy(seen))[0]


def _frames(environments: int, steps: int) -> Iterator[pl.DataFrame]:
    return rollout_frames(CartPole(environments), _policy(), steps, run="rate", seed=0)


def _drained(environments: int, steps: int) -> None:
    for _ in _frames(environments, steps):
        pass


def _recorded(steps: int) -> None:
    """By Minari's own recorder, one environment."""
    recorder: Any = importlib.import_module("minari").DataCollector(gymnasium.make("CartPole-v1"), data_format="hdf5")
    chance = np.random.default_rng(0)
    recorder.reset(seed=0)
    for _ in range(steps):
        _, _, terminated, truncated, _ = recorder.step(int(chance.integers(2)))
        if terminated or truncated:
            recorder.reset()
    recorder.create_dataset("rate/recorder-v0", author="tracebank", author_email="", description="")


def _exported(rows: pl.DataFrame, name: str) -> None:
    export(rows, name, CartPole.observation, CartPole.action)


def _on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(store: SeriesStore, datasets: Path, environments: int, steps: int, rounds: int) -> list[Rate]:
    """Every way in turn, `rounds` times, after a round of few steps that compiles and does not count.

    Args:
        store: Empty.
        datasets: Where Minari writes.
        environments: How many step together.
        steps: Of each environment.
        rounds: Times.
    """
    store.create(ROLLOUT_STEPS)
    ours: dict[str, Callable[[int], object]] = {
        "steps alone": lambda count: _stepped(environments, count),
        FRAMES: lambda count: _drained(environments, count),
        STORED: lambda count: store.replace(ROLLOUT_STEPS, {"run": "rate"}, _frames(environments, count)),
    }
    for work in ours.values():
        work(2)
    seconds: dict[str, list[float]] = {way: [] for way in ours}
    for _ in range(rounds):
        for way, work in ours.items():
            seconds[way].append(_timed(lambda work=work: work(steps)))  # type: ignore[misc]
    total = environments * steps
    size = store.size(ROLLOUT_STEPS).bytes / total
    rates = [_rate(way, total, some, size if way == STORED else None) for way, some in seconds.items()]
    return [*rates, *_minari(datasets, rounds)]


def _minari(datasets: Path, rounds: int) -> Iterator[Rate]:
    if importlib.util.find_spec("minari") is None:
        return
    warnings.simplefilter("ignore")  # of what a dataset might say of itself
    os.environ["MINARI_DATASETS_PATH"] = str(datasets)
    few = pl.concat(_frames(8, _FEW // 8))
    seconds = [_timed(lambda number=number: _exported(few, f"rate/export{number}-v0")) for number in range(rounds)]  # type: ignore[misc]
    yield _rate(EXPORT, _FEW, seconds, _on_disk(datasets) / rounds / _FEW)
    if importlib.util.find_spec("jax") is not None:
        before = _on_disk(datasets)
        seconds = [_timed(lambda: _recorded(_FEW))]
        yield _rate(RECORDER, _FEW, seconds, (_on_disk(datasets) - before) / _FEW)


def _rate(way: str, steps: int, seconds: list[float], size: float | None) -> Rate:
    middle = statistics.median(seconds)
    return Rate(way, steps, middle, steps / middle, size)


def table(rates: Sequence[Rate]) -> Table:
    """The rates, for a terminal."""
    shown = Table("way", "steps", "seconds", "steps/s", "bytes/step", box=None)
    for rate in rates:
        size = "" if rate.bytes_per_step is None else f"{rate.bytes_per_step:.1f}"
        shown.add_row(rate.way, f"{rate.steps:,}", f"{rate.seconds:.2f}", f"{rate.steps_per_second:,.0f}", size)
    return shown


def misses(rates: Sequence[Rate]) -> list[str]:
    """Which bars are missed."""
    found = {rate.way: rate for rate in rates}
    slow, size = found[FRAMES].steps_per_second, found[STORED].bytes_per_step or 0.0
    return [f"{slow:,.0f} < {FASTEST:,} steps/s in frames"] * (slow < FASTEST) + [
        f"{size:.1f} > {SMALLEST} bytes of a step"
    ] * (size > SMALLEST)


def main(
    environments: Annotated[int, typer.Option(min=1, help="How many step together.")] = 1024,
    steps: Annotated[int, typer.Option(min=1, help="Of each environment.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, help="Times each way is measured.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how rollouts are recorded."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        store = open_series(Settings.load(home=home, relational_url=f"sqlite:///{folder}/relational.db", owner_idle=2))
        rates = measure(store, Path(folder, "datasets"), environments, steps, rounds)
    if as_json:
        print(json.dumps([asdict(rate) for rate in rates]))  # noqa: T201
    else:
        Console().print(table(rates))
    if missed := misses(rates):
        raise SystemExit("\n".join(missed))


if __name__ == "__main__":
    typer.run(main)
