"""How fast the synthetic exchange simulates and writes: a million trades and a million ten-level snapshots.

Run `python -m tracebank_benchmarks.market_rates.synthetic`. The bar is sixty seconds on two cores. Measures; the
exchange itself is in `tracebank_models.market.synthetic_exchange`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tracebank_models.market.synthetic_exchange import Instrument, Manifest, SyntheticMarket, write_day
from tracebank_models.market.synthetic_exchange.venue_session import VenueSession

_INSTRUMENTS = (Instrument("SYNBTC"), Instrument("SYNETH", tick_size="0.05", base_price="2600.00"))
_SNAPSHOT_MS = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """One timed step."""

    what: str
    seconds: float
    cpu_seconds: float
    trades: int = 0
    snapshots: int = 0
    quotes: int = 0
    bytes: int = 0


def million_market(trades: int, snapshots: int, *, quotes: bool) -> SyntheticMarket:
    """Two symbols on one venue that together make about that many trades and exactly that many snapshots.

    Args:
        trades: Trades in all; a market order makes 1.43 on average.
        snapshots: Ten-level snapshots in all, 100 ms apart.
        quotes: Whether every change of the best quotes is written too.
    """
    seconds = max(1, snapshots * _SNAPSHOT_MS // 1_000 // len(_INSTRUMENTS))
    return SyntheticMarket(
        symbols=_INSTRUMENTS,
        venues=("synthetic_a",),
        duration_s=seconds,
        market_order_rate=trades / len(_INSTRUMENTS) / seconds / 1.43,
        snapshot_interval_ms=_SNAPSHOT_MS,
        streams=("trade", "bookTicker", "depth10") if quotes else ("trade", "depth10"),
    )


def _simulate_only(market: SyntheticMarket) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    trades = snapshots = 0
    for instrument in market.symbols:
        for tape in VenueSession.of(market, instrument.symbol, market.venues[0]).tapes():
            trades, snapshots = trades + int(tape.sizes[0]), snapshots + int(tape.sizes[2])
    return Measured("simulate", time.perf_counter() - wall, time.process_time() - cpu, trades, snapshots)


def _write(market: SyntheticMarket, out: Path, what: str) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    manifest: Manifest = write_day(market, out)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = {name: sum(one.rows.get(name, 0) for one in manifest.files) for name in ("trade", "depth10", "bookTicker")}
    size = sum(one.bytes for one in manifest.files)
    return Measured(what, wall, cpu, rows["trade"], rows["depth10"], rows["bookTicker"], size)


def measure(trades: int, snapshots: int, out: Path) -> list[Measured]:
    """Time the simulation, and writing without and with quotes; compiling comes first and is timed on its own."""
    market = million_market(trades, snapshots, quotes=False)
    results = [_write(replace(market, duration_s=2), out, "first call (compile or load from cache)")]
    results.append(_simulate_only(market))
    results.append(_write(market, out, "simulate + write, trades and snapshots"))
    results.append(_write(million_market(trades, snapshots, quotes=True), out, "simulate + write, quotes too"))
    return results


def main(
    trades: Annotated[int, typer.Option(min=1_000, help="Trades to make, in all (about).")] = 1_020_000,
    snapshots: Annotated[int, typer.Option(min=1_000, max=1_728_000, help="Snapshots to make, in all.")] = 1_000_000,
    out: Annotated[Path | None, typer.Option(help="Keep the files here; by default they are removed.")] = None,
) -> None:
    """Simulate and write recorder files, and print seconds, CPU seconds and sizes."""
    folder = Path(tempfile.mkdtemp(prefix="synthetic_exchange_")) if out is None else out
    try:
        results = measure(trades, snapshots, folder)
    finally:
        if out is None:
            shutil.rmtree(folder)
    table = Table("step", "seconds", "CPU s", "trades", "snapshots", "quotes", "MB", title="Synthetic exchange")
    for one in results:
        counts = [f"{count:,}" for count in (one.trades, one.snapshots, one.quotes)]
        table.add_row(one.what, f"{one.seconds:.2f}", f"{one.cpu_seconds:.2f}", *counts, f"{one.bytes / 1e6:.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
