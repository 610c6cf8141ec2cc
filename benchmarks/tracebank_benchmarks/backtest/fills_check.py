"""Are our fills and earnings those of hftbacktest and vectorbt?

Of hftbacktest every price, the balance and the fees of thousands of orders are held for equality, of orders that take
and of such that rest to open a position. vectorbt is told our fills at the mid, and its earnings are compared. Run it
with `python -m tracebank_benchmarks.backtest.fills_check`, where one of them can be imported (see `rate`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import Annotated, Final

import numpy as np
import typer

from tracebank_models.backtest.run import ENGINES, Engine, backtest
from tracebank_models.backtest.settings import StrategySettings

from .hftbacktest_peer import NAME as HFTBACKTEST
from .hftbacktest_peer import events_of, peer_fills
from .made_up import made_up_signals, made_up_ticks
from .vectorbt_peer import NAME as VECTORBT
from .vectorbt_peer import profit_of

SETTINGS: Final = StrategySettings(taker_fee=4e-4)
RESTING: Final = replace(SETTINGS, orders="limit_entry", patience=10, maker_fee=-1e-4)
CLOSE: Final = 1e-6
"""Most that prices, balance and fees may differ, quote currency."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One engine beside the peer."""

    orders: str
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


def compare_fills(rows: int, settings: StrategySettings) -> list[Compared]:
    """Trade on the same rows with the engines that can and the peer."""
    ticks, signals = made_up_ticks(rows), made_up_signals(rows)
    signals[-4 * settings.horizon :] = np.nan  # what is open when the rows end is closed by us alone
    theirs = peer_fills(ticks, events_of(ticks), signals, settings)
    found = list[Compared]()
    engines: tuple[Engine, ...] = tuple(ENGINES) if settings.orders == "market" else ("event_driven",)
    for engine in engines:
        trades = backtest(ticks, signals, settings, engine).trades
        prices = trades.select("open_price", "close_price").to_numpy().ravel()
        count, few = len(theirs.prices), min(len(theirs.prices), len(prices))
        price = float(np.abs(prices[:few] - theirs.prices[:few]).max(initial=0))
        gross, paid = (float(trades[name].to_numpy().sum()) for name in ("pnl_gross", "fees"))
        balance, fees = abs(gross - theirs.balance), abs(paid - theirs.fee)
        found.append(Compared(settings.orders, engine, count, len(prices), price, balance, fees))
    return found


def profit_apart(rows: int) -> tuple[int, float]:
    """How many trades vectorbt was told, and by how much its earnings differ from ours."""
    ticks = made_up_ticks(rows)
    result = backtest(ticks, made_up_signals(rows), replace(SETTINGS, fill="mid"))
    return result.trades.height, abs(profit_of(ticks, result) - result.summary.pnl_net)


def main(rows: Annotated[int, typer.Option(min=1_000, help="Rows of the book.")] = 200_000) -> None:
    """Hold fills and earnings against those of others."""
    here = [name for name in (HFTBACKTEST, VECTORBT) if importlib.util.find_spec(name)]
    good = bool(here)
    told = (SETTINGS, RESTING) if HFTBACKTEST in here else ()
    for one in (one for settings in told for one in compare_fills(rows, settings)):
        apart = f"largest difference of a price {one.price:.1g}, balance {one.balance:.1g}, fees {one.fees:.1g}"
        typer.echo(f"{one.orders}, {one.engine}: {one.ours:,} fills, {one.fills:,} of {HFTBACKTEST}; {apart}")
        good &= one.is_equal
    if VECTORBT in here:
        trades, apart_by = profit_apart(rows)
        typer.echo(f"{VECTORBT}: {trades:,} trades; earnings differ by {apart_by:.1g}")
        good &= apart_by < CLOSE
    for name in {HFTBACKTEST, VECTORBT} - set(here):
        typer.echo(f"{name}: not installed; tracebank_benchmarks.backtest.rate says how to run beside it")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
