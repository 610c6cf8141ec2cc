"""Are our fills those of hftbacktest? Every price, the balance and the fees of thousands of orders, for equality.

Run it with `python -m tracebank_benchmarks.backtest.fills_check`, where hftbacktest can be imported (see `rate`). What
is open when the rows end is closed by us, and not by it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import polars as pl
import typer

from tracebank_models.backtest.run import ENGINES, backtest
from tracebank_models.backtest.settings import StrategySettings

from .hftbacktest_peer import NAME, events_of, peer_fills
from .made_up import made_up_signals, made_up_ticks

SETTINGS: Final = StrategySettings(taker_fee=4e-4)
CLOSE: Final = 1e-6
"""Most that prices, balance and fees may differ, quote currency."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One engine beside the peer."""

    engine: str
    fills: int
    """Of the peer."""
    ours: int
    price: float
    """Largest difference."""
    balance: float
    fees: float
    """Difference."""

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return self.fills == self.ours > 0 and max(self.price, self.balance, self.fees) < CLOSE


def compare_fills(rows: int, seed: int = 0) -> list[Compared]:
    """Trade on the same rows with both engines and the peer."""
    ticks, signals = made_up_ticks(rows, seed=seed), made_up_signals(rows, seed=seed + 1)
    theirs = peer_fills(ticks, events_of(ticks), signals, SETTINGS)
    found = list[Compared]()
    for engine in ENGINES:
        trades = backtest(ticks, signals, SETTINGS, engine).trades.filter(pl.col("reason") != "segment_end")
        prices = trades.select("open_price", "close_price").to_numpy().ravel()
        count, few = len(theirs.prices), min(len(theirs.prices), len(prices))
        price = float(np.abs(prices[:few] - theirs.prices[:few]).max(initial=0))
        balance, fees = abs(trades["pnl_gross"].sum() - theirs.balance), abs(trades["fees"].sum() - theirs.fee)
        found.append(Compared(engine, count, len(prices), price, balance, fees))
    return found


def main(rows: Annotated[int, typer.Option(min=1_000, help="Rows of the book.")] = 200_000) -> None:
    """Hold fills against hftbacktest's."""
    if not importlib.util.find_spec(NAME):
        raise SystemExit(f"{NAME}: not installed; tracebank_benchmarks.backtest.rate says how to run beside it")
    found = compare_fills(rows)
    for one in found:
        apart = f"largest difference of a price {one.price:g}, balance {one.balance:g}, fees {one.fees:g}"
        typer.echo(f"{one.engine}: {one.ours:,} fills, {one.fills:,} of {NAME}; {apart}")
    if not all(one.is_equal for one in found):
        raise SystemExit("fills differ")


if __name__ == "__main__":
    typer.run(main)
