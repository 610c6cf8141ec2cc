"""What a forecaster sees of every tick: the paper's 38 columns (2302.13850), and today's set.

Every value of a row is made of that row and rows before it in the same unbroken stretch. A change since a row that
lies before the stretch is 0: the first row has no flow and no return.

Columns, by name; `k` is a level from 0, `m` a number of ticks:

* `bid_price_k`, `ask_price_k`, `weighted_mid`: less the first mid of the stretch, in units of the price. A window's
  z-score takes any constant off; float32 would round 60,000.01 to a 256th.
* `bid_qty_k`, `ask_qty_k`: quantity.
* `lag_return_m`: log-return of the weighted mid over one tick, `m` ticks ago, in basis points as the targets. (The
  paper has `m` = the horizon; within a window of 100 ticks that is a row of the window anyway.)
* `micro_price`: micro-price less mid; `spread`: ask less bid; `return_m`: change of the mid over `m` ticks. All three
  as logarithms in units of 1e-8: one tick of the dearest price is far above the 0.01 added to a window's deviation.
* `imbalance_k`: (bid - ask) / (bid + ask) of a level's quantities, in [-1, 1].
* `flow_k`: order-flow imbalance of Cont, Kukanov and Stoikov (1011.6402) at a level, over the sum of the four
  quantities that it is made of, in [-1, 1].

A window's z-score takes away where zero is and how large one is. Of an imbalance or a flow these are the message, and
both are of known scale: `keeps_its_scale` names them, for `Windows` to leave them as they are. (Of a planted signal
that stands for 30 ticks, z-scores within 100 ticks keep three fifths of the R² that the imbalance itself has.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .ticks import Ticks

UNIT: Final = 1e8
"""Steps in which returns, spread and micro-price are counted, per unit of the logarithm."""

_SIDES = ("ask_price", "ask_qty", "bid_price", "bid_qty")
FEATURE_SETS: Final[dict[str, tuple[str, ...]]] = {
    "paper": (*(f"{side}_{level}" for side in _SIDES for level in range(9)), "weighted_mid", "lag_return_1"),
    "book": (
        *(f"{what}_{level}" for what in ("imbalance", "flow") for level in range(10)),
        "micro_price",
        "spread",
        *(f"return_{ticks}" for ticks in (1, 3, 10, 30)),
    ),
}
"""Names of sets of columns: the paper's (its levels 1-9 are 0-8 here), and what is used today."""


def keeps_its_scale(name: str) -> bool:
    """Whether a column is bounded by one about a zero that means something, so that a z-score would only lose."""
    return name.startswith(("imbalance_", "flow_"))


def feature_matrix(ticks: Ticks, names: Sequence[str]) -> NDArray[np.float32]:
    """Columns of every tick.

    Args:
        ticks: n rows.
        names: d names of columns, as in this module's description.

    Returns:
        `[n, d]`.

    Raises:
        ValueError: A name is unknown, or of a level that the ticks have not.
    """
    makers = [_maker(name, ticks.bid_price.shape[1]) for name in names]
    out = np.empty((len(ticks), len(names)), np.float32)
    book = _Book(ticks, ticks.price("mid"), ticks.price("weighted_mid"), _stretch_starts(ticks.segment))
    for column, (make, number) in enumerate(makers):
        out[:, column] = make(book, number)
    return out


def _stretch_starts(segment: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of every row, the first row of its stretch, `[n]`."""
    first = np.flatnonzero(np.diff(segment, prepend=segment[:1] - 1))
    return np.repeat(first, np.diff(first, append=len(segment)))


@dataclass(frozen=True, slots=True)
class _Book:
    """What columns are made of."""

    ticks: Ticks
    mid: NDArray[np.float64]
    weighted_mid: NDArray[np.float64]
    starts: NDArray[np.int64]

    def before(self, ticks: int) -> NDArray[np.int64]:
        """The row so many ticks before each, or the stretch's first."""
        return np.maximum(np.arange(len(self.starts)) - ticks, self.starts)


_Make = Callable[[_Book, int], NDArray[np.float64]]


def _quantity(side: str) -> _Make:
    return lambda book, level: np.asarray(getattr(book.ticks, side)[:, level])


def _price(side: str) -> _Make:
    return lambda book, level: getattr(book.ticks, side)[:, level] - book.mid[book.starts]


def _weighted_mid(book: _Book, _: int) -> NDArray[np.float64]:
    return book.weighted_mid - book.mid[book.starts]


def _lag_return(book: _Book, lag: int) -> NDArray[np.float64]:
    return 1e4 * np.log(book.weighted_mid[book.before(lag)] / book.weighted_mid[book.before(lag + 1)])


def _micro_price(book: _Book, _: int) -> NDArray[np.float64]:
    return UNIT * np.log(book.ticks.price("micro_price") / book.mid)


def _spread(book: _Book, _: int) -> NDArray[np.float64]:
    return UNIT * np.log(book.ticks.ask_price[:, 0] / book.ticks.bid_price[:, 0])


def _return(book: _Book, lag: int) -> NDArray[np.float64]:
    return UNIT * np.log(book.mid / book.mid[book.before(lag)])


def _imbalance(book: _Book, level: int) -> NDArray[np.float64]:
    bids, asks = book.ticks.bid_qty[:, level], book.ticks.ask_qty[:, level]
    return (bids - asks) / (bids + asks)


def _flow(book: _Book, level: int) -> NDArray[np.float64]:
    before, ticks = book.before(1), book.ticks
    flow, total = np.zeros(len(ticks)), np.zeros(len(ticks))
    for sign, prices, quantities in ((1, ticks.bid_price, ticks.bid_qty), (-1, ticks.ask_price, ticks.ask_qty)):
        price, quantity = prices[:, level], quantities[:, level]
        nearer = sign * (price - price[before])
        flow += sign * (np.where(nearer >= 0, quantity, 0) - np.where(nearer <= 0, quantity[before], 0))
        total += quantity + quantity[before]
    return flow / total


_SINGLE: Final[dict[str, _Make]] = {"weighted_mid": _weighted_mid, "micro_price": _micro_price, "spread": _spread}
_LAGGED: Final[dict[str, _Make]] = {"lag_return": _lag_return, "return": _return}
_LEVELLED: Final[dict[str, _Make]] = {
    "ask_price": _price("ask_price"),
    "ask_qty": _quantity("ask_qty"),
    "bid_price": _price("bid_price"),
    "bid_qty": _quantity("bid_qty"),
    "imbalance": _imbalance,
    "flow": _flow,
}


def _maker(name: str, levels: int) -> tuple[_Make, int]:
    """How a column is made, and its level or lag.

    Raises:
        ValueError: There is no such column.
    """
    if name in _SINGLE:
        return _SINGLE[name], 0
    if match := re.fullmatch(r"([a-z_]+)_(\d{1,5})", name):
        kind, number = match[1], int(match[2])
        if kind in _LAGGED:
            return _LAGGED[kind], number
        if kind in _LEVELLED and number < levels:
            return _LEVELLED[kind], number
        if kind in _LEVELLED:
            raise ValueError(f"features: {name!r} is of a level that the ticks have not; allowed: 0 to {levels - 1}")
    known = ", ".join((*_SINGLE, *(f"{kind}_N" for kind in (*_LEVELLED, *_LAGGED))))
    raise ValueError(f"features: {name!r} is not known; allowed: {known}")
