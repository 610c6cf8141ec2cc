"""Settings of a strategy: when it trades, how much, how its orders meet the book, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from tracebank_models.checked_settings import check_settings, require, settings_hash

Rule = Literal["one_run", "until_flip"]
Fill = Literal["weighted_mid", "mid", "touch", "walk"]
Orders = Literal["market", "limit_entry", "limit"]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Column = Annotated[int, msgspec.Meta(ge=0)]
Above0 = Annotated[float, msgspec.Meta(gt=0, le=1e15)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
Delay = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]

PAPER_SIZES: Final = ((0.15, 0.15), (0.125, 0.125), (0.1, 0.1), (0.075, 0.075), (0.05, 0.05), (0.0, 0.025))
"""Of 2302.13850: what the mean signal is above, and the quantity then (BTC)."""
LARGEST_FEE: Final = 0.01
"""Above it a fee was meant in percent or basis points."""
SHORTEST_MS: Final = 1e-6
"""Of delays: times are in nanoseconds."""


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """One strategy; there is at most one position.

    A decision is made every `horizon` ticks, from the first row of each segment on, unless an order is under way. When
    flat, all signals above (below) 0 open a long (short) position. An open one is closed at a later decision point, and
    another is opened at the one after that at the earliest. What the book could not take of a closing order is closed
    at the decision points that follow.

    Raises:
        ValueError: A field is out of range; the line names it, its value and what is allowed.
    """

    rule: Rule = "one_run"
    """one_run: closed at the next decision point, whatever the signals say; until_flip: once all have changed sign."""
    horizon: Positive = 25
    """Ticks from one decision point to the next."""
    signals: tuple[Column, ...] = ()
    """Columns that have to agree; none: all."""
    sizing: Literal["fixed", "table"] = "fixed"
    quantity: Above0 = 0.1
    """Of an order, base currency, where it is fixed."""
    sizes: tuple[tuple[NotNegative, Above0], ...] = PAPER_SIZES
    """By table: the first whose bound the size of the mean signal is above gives the quantity, falling bounds to 0."""
    threshold: NotNegative = 0.0
    """Size of the mean signal below which no position is opened."""
    orders: Orders = "market"
    """market: taken when they reach the book. limit_entry: positions are opened by an order that rests, and closed by
    one that takes; limit: both rest (see `event_driven`)."""
    patience: Positive = 25
    """Rows after its arrival on which a resting order may be filled; then it is cancelled, or taken if it closes."""
    fill: Fill = "touch"
    """Price of what takes. walk: of every level as far as it holds; what the levels do not hold is not filled."""
    delay: Delay = 2.0
    """From a decision to the book: to the row so many ticks on, or to the first row so many milliseconds on."""
    delay_unit: Literal["ticks", "ms"] = "ticks"
    """Milliseconds are of the ticks' clock."""
    allow_no_delay: bool = False
    """Whether orders may be filled on the row that they are decided on, which nobody can."""
    taker_fee: float = 0.0
    """Share of the notional, each side: 4 basis points are 0.0004."""
    maker_fee: float = 0.0
    """Of resting orders; below 0 it is a rebate."""
    position_limit: Above0 = 1.0
    """Largest position, base currency; orders are cut to it."""
    start_notional: Above0 = 40_000.0
    """Equity at the start, quote currency."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_settings(self)
        fraction = "a share of the notional of at most 0.01 either way (a basis point is 0.0001, a percent 0.01)"
        for name in ("taker_fee", "maker_fee"):
            require(self, name, fraction, abs(getattr(self, name)) <= LARGEST_FEE)
        some = self.delay >= SHORTEST_MS or (self.delay == 0 and self.allow_no_delay)
        require(self, "delay", "above 0 (a nanosecond at least), or 0 with allow_no_delay", some)
        whole = self.delay_unit == "ms" or self.delay == int(self.delay)
        require(self, "delay", "whole ticks; a part of one in milliseconds", whole)
        require(self, "signals", "each column once", len(set(self.signals)) == len(self.signals))
        bounds = [bound for bound, _ in self.sizes]
        falling = bounds == sorted(set(bounds), reverse=True) and bounds[-1:] == [0]
        require(self, "sizes", "(bound, quantity) by falling bounds, the last 0", falling)

    @property
    def hash(self) -> str:
        """SHA-256 of every setting, hex."""
        return settings_hash(self)


PAPER: Final[Mapping[str, StrategySettings]] = {
    "one_run": StrategySettings(fill="weighted_mid", taker_fee=2e-6),
    "sized": StrategySettings(fill="weighted_mid", taker_fee=2e-6, sizing="table", threshold=0.1),
    "until_flip": StrategySettings(rule="until_flip", delay=1.0),
}
"""Strategies of 2302.13850, whose fee stands for slippage: sides and sizes as its code has them."""


def centred(horizons: Sequence[int], centre: int, count: int) -> tuple[int, ...]:
    """Columns of the `count` horizons around one: the signals of the paper's strategies.

    Args:
        horizons: Of the signals' columns, rising.
        centre: Of them.
        count: Odd.

    Raises:
        ValueError: There are not as many on both sides.
    """
    reach, at = count // 2, list(horizons).index(centre) if centre in horizons else -1
    if count % 2 == 0 or at < reach or at + reach >= len(horizons):
        raise ValueError(
            f"count: {count} signals around horizon {centre} are not allowed; allowed: an odd number with as many"
            f" horizons on both sides among {', '.join(map(str, horizons))}"
        )
    return tuple(range(at - reach, at + reach + 1))
