"""Lots as a table of trades: times, prices, fees, and what each earned."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.order_book_features.ticks import Ticks

from .lots import DECIDED
from .settings import StrategySettings

TIME: Final = pl.Datetime("ns", "UTC")
_ROWS: Final = ("decided", "opened", "close_decided", "closed")


def trade_rows(ticks: Ticks, lots: NDArray[np.void], settings: StrategySettings) -> pl.DataFrame:
    """A row for each lot.

    Returns:
        `number`, `position` (lots of one position share it), `side` (long, short), `qty` (base currency), `signal`
        (mean, when it was decided), `decided_ts`, `opened_ts`, `close_decided_ts`, `closed_ts` and the same as `_row`,
        `open_price`, `close_price`, `open_is_maker`, `close_is_maker`, `fees`, `pnl_gross`, `pnl_net` (quote currency),
        `bps_gross`, `bps_net` (of the notional at which it was opened), `notional` (of both sides) and `reason`:
        the rule's name, or segment_end.
    """
    opened, closed = lots["qty"] * lots["open_price"], lots["qty"] * lots["close_price"]
    gross = lots["side"] * lots["qty"] * (lots["close_price"] - lots["open_price"])
    fees = opened * fee_of(lots["open_is_maker"], settings) + closed * fee_of(lots["close_is_maker"], settings)
    times = {f"{name}_ts": pl.Series(ticks.times[lots[name]]).cast(TIME) for name in _ROWS}
    return pl.DataFrame(
        {
            "number": np.arange(len(lots)),
            "position": lots["position"],
            "side": _words(lots["side"] > 0, "long", "short"),
            "qty": lots["qty"],
            "signal": lots["signal"],
            **times,
            **{f"{name}_row": lots[name] for name in _ROWS},
            **{name: lots[name] for name in ("open_price", "close_price", "open_is_maker", "close_is_maker")},
            "fees": fees,
            "pnl_gross": gross,
            "pnl_net": gross - fees,
            "bps_gross": 1e4 * gross / opened,
            "bps_net": 1e4 * (gross - fees) / opened,
            "notional": opened + closed,
            "reason": _words(lots["reason"] == DECIDED, settings.rule, "segment_end"),
        }
    )


def _words(so: NDArray[np.bool_], word: str, other: str) -> pl.Series:
    return pl.select(pl.when(pl.Series(so)).then(pl.lit(word)).otherwise(pl.lit(other))).to_series()


def fee_of(is_maker: NDArray[np.bool_], settings: StrategySettings) -> NDArray[np.float64]:
    """Fee of fills, share of the notional."""
    return np.where(is_maker, settings.maker_fee, settings.taker_fee)
