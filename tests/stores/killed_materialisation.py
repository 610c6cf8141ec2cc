"""A process that materialises and is killed while it does, before or after a step: run by `test_ledger`.

Usage: killed_materialisation.py JSON, a list of {"settings", "relational", "step", "when", "after"}: each child makes
version 1 whole, and is killed at the `after`th time of the step while it makes version 2.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from tracebank.ledger import Ledger, data_version
from tracebank.metering import metered
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank.writing import ModelRows, SeriesRows, Writing, content_of
from tracebank_schemas.ingest import Instrument
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.market import BARS

DAY = date(2024, 8, 8)
ROWS = {1: 40, 2: 60}
"""Rows of each version."""


def bars(version: int, symbol: str) -> pl.DataFrame:
    """Bars of one symbol, all of one version."""
    minute = pl.int_range(ROWS[version], dtype=pl.Int64, eager=True)
    start = pl.lit(datetime(2024, 8, 8, tzinfo=UTC)).cast(pl.Datetime("ns", "UTC"))
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), pl.lit(float(version)))
    return pl.select(
        (start + pl.duration(minutes=minute)).alias("ts"), venue=pl.lit("v"), symbol=pl.lit(symbol), **numbers,
        trades=pl.lit(1), mean_spread=pl.lit(None), interval_s=pl.lit(60),
    ).select(pl.col(name).cast(kind) for name, kind in BARS.polars_schema.items())  # fmt: skip


def instrument(version: int) -> dict[str, Any]:
    """A relational row of one version."""
    unit = {"price_unit": "USD", "qty_unit": "BTC", "price_tick": float(version), "qty_step": None}
    return {"venue": "v", "symbol": "A", "kind": "spot", **unit, "first_ts": None, "last_ts": None}


def make(settings: Settings, version: int, *, relational: bool = False) -> None:
    """Materialise a version: bars of two symbols, and where it is asked for an instrument."""
    store, series = open_relational(settings), open_series(settings)
    with metered() as meter, Writing(store, series) as writing:
        for symbol in ("A", "B"):
            writing.into(BARS, {"day": DAY, "symbol": symbol}).write(bars(version, symbol))
        if relational:
            writing.into(Instrument, {"venue": "v"}).write([instrument(version)])
        content = content_of(writing.parts)
        entry = Materialization(
            run_id=f"run {version}", asset_key="market/bars", partition="all", code_version="code",
            rows=2 * ROWS[version],
            data_version=data_version("code", {}, {}, content), input_versions={}, bytes=0, device="cpu",
            started_at=meter.started_at, content=content,
        )  # fmt: skip
        writing.commit(Ledger(store, series), entry, meter)
    store.close()


_STEPS: dict[str, tuple[type, str]] = {
    "intend": (Ledger, "intend"),
    "commit": (SeriesRows, "__exit__"),
    "rows": (ModelRows, "commit"),
    "settle": (Ledger, "settle"),
}


def _die_at(step: str, when: str, after: int) -> None:
    """As a power cut would have it: no clean-up runs."""
    owner, name = _STEPS[step]
    plain, done = getattr(owner, name), 0

    def watched(*arguments: Any) -> Any:
        nonlocal done
        done += 1
        if when == "before" and done == after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*arguments)
        if when == "after" and done == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, watched)


def main() -> int:
    """Run the scenarios of the argument; 0 when each ended by SIGKILL."""
    for scenario in json.loads(sys.argv[1]):
        child = os.fork()
        if child == 0:
            try:
                settings = Settings.load(**scenario["settings"])
                make(settings, 1, relational=scenario["relational"])
                _die_at(scenario["step"], scenario["when"], scenario["after"])
                make(settings, 2, relational=scenario["relational"])
            except BaseException:
                traceback.print_exc()
            os._exit(4)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.stderr.write(f"{scenario} ended with {status}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
