"""How many rows of a book are traded on per CPU-second, beside vectorbt and hftbacktest where they are installed.

All in turn in one run, on one thread, on one made-up book of ten levels with five signals. Ours is `backtest` whole:
checks, trades, equity and figures included, at the touch, with fees. vectorbt gets the mid and the rows of our fills,
so that it decides nothing; hftbacktest gets every change of a level as an event (see `hftbacktest_peer`), of the first
rows alone. A row of ours is a whole book, which is some twenty of those events. Figures are those of a million rows
with a trade every six, by our `summarise` and vectorbt's `stats`. The first call of the event-driven engine is made by
a fresh process that compiles it. Memory is what a process grows by, over the columns that are read.

Run it with `python -m tracebank_benchmarks.backtest.rate`. Peers join if they can be imported; they ask for a NumPy of
their own, and so for an environment of their own: `pip install vectorbt` or `hftbacktest==2.4.4`, with msgspec, numba,
polars, rich, scipy and typer, and the folders `models` and `benchmarks` on PYTHONPATH. The bars: 15 M rows/s vectorised
and 8 M event-driven, 15 s for the first call, a second for the figures, twice the memory of the columns read.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from tracebank_models.backtest.decision_points import Signals
from tracebank_models.backtest.run import ENGINES, Engine, backtest
from tracebank_models.backtest.settings import StrategySettings
from tracebank_models.backtest.summary import summarise
from tracebank_models.order_book_features.ticks import Ticks

from .hftbacktest_peer import NAME as HFTBACKTEST
from .hftbacktest_peer import events_of, peer_fills
from .made_up import made_up_signals, made_up_ticks
from .process_costs import process_costs
from .vectorbt_peer import NAME as VECTORBT
from .vectorbt_peer import portfolio_of

SETTINGS: Final = StrategySettings(taker_fee=4e-4)
RATES: Final = {"vectorised": 15e6, "event_driven": 8e6}
"""Least rows a CPU-second."""
FIRST_CALL_S, FIGURES_S, MEMORY = 15.0, 1.0, 2.0
_PEER_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """One measurement."""

    way: str
    rows: int
    cpu_seconds: float
    """Median of the rounds."""
    rows_per_cpu_second: float
    trades: int
    memory: float | None = None
    """Most that a process grew by on all rows, over the bytes of the columns read."""
    note: str = ""


def measure(rows: int, rounds: int) -> list[Rate]:
    """Trade in every way in turn."""
    ticks, signals = made_up_ticks(rows), made_up_signals(rows)
    ways: dict[str, Callable[[], int]] = {engine: partial(_traded, ticks, signals, engine) for engine in ENGINES}
    sizes, notes = dict.fromkeys(ways, rows), dict.fromkeys(ways, "")
    for name, peer in _peers(ticks, signals):
        ways[name], sizes[name], notes[name] = peer
    found: dict[str, list[float]] = {name: [] for name in ways}
    trades = {name: work() for name, work in ways.items()}  # what is compiled at first is not measured
    for _ in range(rounds):
        for name, work in ways.items():
            found[name].append(_cpu_seconds(work))
    middle = {name: statistics.median(some) for name, some in found.items()}
    told = {name: (sizes[name], middle[name], sizes[name] / middle[name], trades[name]) for name in ways}
    return [Rate(name, *told[name], note=notes[name]) for name in ways]


def _traded(ticks: Ticks, signals: Signals, engine: Engine) -> int:
    return backtest(ticks, signals, SETTINGS, engine).trades.height


def _peers(ticks: Ticks, signals: Signals) -> Iterator[tuple[str, tuple[Callable[[], int], int, str]]]:
    if importlib.util.find_spec(VECTORBT):
        portfolio = portfolio_of(ticks, backtest(ticks, signals, SETTINGS))
        yield VECTORBT, (lambda: int(portfolio().orders.count()) // 2, len(ticks), "decides nothing")
    if importlib.util.find_spec(HFTBACKTEST):
        few, some = made_up_ticks(_PEER_ROWS), signals[:_PEER_ROWS]
        events = events_of(few)
        note = f"{len(events) / _PEER_ROWS:.0f} events a row"
        yield HFTBACKTEST, (lambda: len(peer_fills(few, events, some, SETTINGS).prices) // 2, _PEER_ROWS, note)


def measure_figures(rows: int, rounds: int) -> list[Rate]:
    """Sum up many trades, as vectorbt does."""
    ticks, signals = made_up_ticks(rows, levels=1), made_up_signals(rows, columns=1)
    result = backtest(ticks, signals, replace(SETTINGS, horizon=3))
    found: dict[str, list[float]] = {"figures": []}
    for _ in range(rounds):
        found["figures"].append(_cpu_seconds(partial(summarise, ticks, result.trades, result.equity, SETTINGS)))
        if importlib.util.find_spec(VECTORBT):
            portfolio = portfolio_of(ticks, result)()  # anew, for it remembers what it once worked out
            found.setdefault(f"figures, {VECTORBT}", []).append(_cpu_seconds(portfolio.stats))
    middle = {name: statistics.median(some) for name, some in found.items()}
    return [Rate(name, rows, taken, rows / taken, result.trades.height) for name, taken in middle.items()]


def measure_processes(rows: int) -> Iterator[Rate]:
    """First calls, and the memory of later ones."""
    for engine in ENGINES:
        one = process_costs(engine, rows)
        memory = None if one.grown is None else one.grown / one.columns
        speed = one.rows / one.first_cpu_seconds
        yield Rate(f"{engine}, first call", one.rows, one.first_cpu_seconds, speed, one.trades, memory)


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def table(rates: Sequence[Rate]) -> Table:
    """The rates, for a terminal."""
    shown = Table("way", "rows", "trades", "CPU s", "M rows/CPU s", "memory", "", box=None)
    for rate in rates:
        memory = "" if rate.memory is None else f"{rate.memory:.2f}"
        numbers = f"{rate.cpu_seconds:.3f}", f"{rate.rows_per_cpu_second / 1e6:.2f}", memory
        shown.add_row(rate.way, f"{rate.rows:,}", f"{rate.trades:,}", *numbers, rate.note)
    return shown


def misses(rates: Sequence[Rate]) -> list[str]:
    """What is slower than its bar, or takes more memory."""
    by_way = {rate.way: rate for rate in rates}
    slow = [
        f"{way}: {by_way[way].rows_per_cpu_second / 1e6:.1f} M rows/s < {bar / 1e6:.0f}"
        for way, bar in RATES.items()
        if by_way[way].rows_per_cpu_second < bar
    ]
    limits = {"event_driven, first call": FIRST_CALL_S, "figures": FIGURES_S}
    late = [
        f"{way}: {by_way[way].cpu_seconds:.1f} s > {bar:g}"
        for way, bar in limits.items()
        if by_way[way].cpu_seconds > bar
    ]
    large = [f"{rate.way}: {rate.memory:.1f} > {MEMORY:g} times" for rate in rates if (rate.memory or 0) > MEMORY]
    return slow + late + large


def main(
    rows: Annotated[int, typer.Option(min=1_000, help="Rows of the book.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Times each way is measured.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure both engines, beside their peers where they are."""
    rates = [*measure(rows, rounds), *measure_figures(rows, rounds), *measure_processes(rows)]
    missing = [name for name in (VECTORBT, HFTBACKTEST) if not importlib.util.find_spec(name)]
    if as_json:
        print(json.dumps([asdict(rate) for rate in rates]))  # noqa: T201
    else:
        Console().print(table(rates))
        for name in missing:
            Console().print(f"{name}: not installed; how to measure beside it stands at the head of this module")
    if missed := misses(rates):
        raise SystemExit("\n".join(missed))


if __name__ == "__main__":
    typer.run(main)
