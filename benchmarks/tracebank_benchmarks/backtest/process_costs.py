"""What only a fresh process tells: the first call where nothing is compiled yet, and by how much memory it grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tracebank_models.backtest.run import Engine, backtest
from tracebank_models.backtest.settings import StrategySettings

from .made_up import made_up_signals, made_up_ticks

_ANEW = Path("/proc/self/clear_refs")
_FIRST = 100_000
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Freed memory goes back at once, so that what grows is seen."""


class ProcessCosts(NamedTuple):
    """Of one engine in a process of its own."""

    rows: int
    """Of the first call."""
    first_cpu_seconds: float
    trades: int
    grown: int | None
    """Most bytes that a later call added; None where the system does not tell."""
    columns: int
    """Bytes of the columns that call read."""


def process_costs(engine: Engine, rows: int) -> ProcessCosts:
    """Call an engine on 100,000 rows and then on all."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"from tracebank_benchmarks.backtest.process_costs import tell; tell({engine!r}, {rows})"
        environment = os.environ | {"NUMBA_CACHE_DIR": folder} | _GIVE_BACK
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return ProcessCosts(*json.loads(done.stdout.splitlines()[-1]))


def tell(engine: Engine, rows: int) -> None:
    """Print the costs of this process."""
    first, few = min(rows, _FIRST), made_up_signals(min(rows, _FIRST))
    ticks, start = made_up_ticks(first), time.process_time()
    trades = backtest(ticks, few, StrategySettings(), engine).trades.height
    taken = time.process_time() - start
    ticks, signals = made_up_ticks(rows), made_up_signals(rows)
    columns = (ticks.times, ticks.bid_price, ticks.bid_qty, ticks.ask_price, ticks.ask_qty, ticks.segment, signals)
    grown = _grown_by(lambda: backtest(ticks, signals, StrategySettings(), engine))
    print(json.dumps([first, taken, trades, grown, sum(one.nbytes for one in columns)]))  # noqa: T201


def _grown_by(work: Callable[[], object]) -> int | None:
    if not _ANEW.exists():
        return None
    _ANEW.write_text("5")  # the high-water mark begins anew
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(name))
    return int(line.split()[1]) * 1024
