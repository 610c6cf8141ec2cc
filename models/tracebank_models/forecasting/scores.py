"""How good forecasts are, by price and horizon: with intervals that know of overlap, and beside what knows less.

A forecast is compared with the returns of every price, whichever it was trained for. The weighted mid moves by the
quantities that it is made of, without any trade: what a forecast gains there and not on the mid is mechanical, and the
linear control (`linear.Imbalance`) shows how much of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.order_book_features.targets import targets
from tracebank_models.order_book_features.ticks import PRICES, Price, Ticks
from tracebank_models.sample_statistics.moving_blocks import Drawn, MovingBlocks, independent_error

from .forecaster import Forecasts

_Floats = NDArray[np.float64]
_Ratio = tuple[_Floats, _Floats]

HORIZONS_OF_A_BLOCK: Final = 10
"""A block of the bootstrap is at least so many times the furthest horizon."""
_MOST_BLOCKS: Final = 1_000
"""More say no more of an interval, and cost as much more."""

SCORES: Final = {
    "price": pl.String,
    "horizon": pl.Int32,
    "metric": pl.String,
    "samples": pl.Int64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "standard_error": pl.Float64,
    "independent_error": pl.Float64,
    "blocks": pl.Int32,
    "null": pl.String,
    "null_value": pl.Float64,
    "control": pl.Float64,
    "over_control": pl.Float64,
    "over_control_low": pl.Float64,
    "over_control_high": pl.Float64,
}
"""Columns of `scores`."""


def scores(
    forecasts: Forecasts,
    ticks: Ticks,
    control: Forecasts | None = None,
    prices: Sequence[Price] = PRICES,
    train: range | None = None,
    draws: int = 1_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Score forecasts.

    Metrics, and the null that stands beside each (`null` says which, `null_value` its score on the same rows):

    * `r2`: share of the squared returns that the point forecast explains. Null: saying zero, 0.
    * `r2_mean`: the same beside the mean of the rows that trained. Null: saying that mean, 0.
    * `sign_accuracy`: of returns that are not 0, the share whose sign the point forecast has; no sign counts half.
      Null: the sign of the last return that was not 0.
    * `pinball`: mean pinball loss over the quantiles. Null: saying zero.
    * `coverage`: share of returns between the outermost quantiles. Null: the share that they name.

    Args:
        forecasts: Of k rows.
        ticks: What was forecast.
        control: The linear control's forecasts of the same ticks; its rows that are not forecast are left out.
        prices: What is compared with.
        train: Rows that trained, for `r2_mean`; left out if not given.
        draws: Bootstrap samples.
        seed: Of the drawing.

    Returns:
        A row for each price, horizon and metric, of the columns `SCORES`. Intervals are 95 %, by moving blocks
        (`blocks` of them; null below five); `standard_error` is theirs, `independent_error` what it would be if
        overlapping returns were independent. `over_control` is how much more than the control's score the value is.

    Raises:
        ValueError: A row lacks the control's forecast, the control is of other horizons, or a horizon is beyond the
            data.
    """
    blocks = MovingBlocks(len(forecasts.ends), block_length(forecasts), draws, seed)
    beside = _beside(forecasts, control) if control is not None else None
    parts = [_of_price(forecasts, beside, ticks, price, train, blocks) for price in prices]
    return pl.concat(parts)


def block_length(forecasts: Forecasts) -> int:
    """Rows of a block."""
    return max(HORIZONS_OF_A_BLOCK * max(forecasts.horizons), -(-len(forecasts.ends) // _MOST_BLOCKS))


def _beside(forecasts: Forecasts, control: Forecasts) -> Forecasts:
    """The control's forecasts at the same rows."""
    if control.horizons != forecasts.horizons:
        raise ValueError(f"control: horizons {control.horizons} are not allowed; allowed: {forecasts.horizons}")
    at = np.searchsorted(control.ends, forecasts.ends).clip(max=len(control.ends) - 1)
    if len(missing := np.flatnonzero(control.ends[at] != forecasts.ends)):
        raise ValueError(f"control: no forecast of row {forecasts.ends[missing[0]]:,}; allowed: one of every row")
    return Forecasts(forecasts.ends, control.values[at], control.horizons, control.quantiles)


def _of_price(
    forecasts: Forecasts,
    control: Forecasts | None,
    ticks: Ticks,
    price: Price,
    train: range | None,
    blocks: MovingBlocks,
) -> pl.DataFrame:
    every, signs = targets(ticks, price, forecasts.horizons), _last_signs(ticks, price)[forecasts.ends]
    rows = []
    for number, horizon in enumerate(forecasts.horizons):
        wanted = every[forecasts.ends, number].astype(np.float64)
        mean = float(np.nanmean(every[train.start : train.stop, number])) if train else None
        of_one = _Scored(forecasts, control, number, wanted, blocks)
        rows += [{"price": price, "horizon": horizon, **row} for row in of_one.rows(mean, signs)]
    return pl.DataFrame(rows, schema=SCORES)


class _Scored:
    """The scores of one horizon on one price."""

    def __init__(
        self, forecasts: Forecasts, control: Forecasts | None, number: int, wanted: _Floats, blocks: MovingBlocks
    ) -> None:
        self.quantiles, self.blocks = forecasts.quantiles, blocks
        self.known = ~np.isnan(wanted)
        self.wanted = np.where(self.known, wanted, 0.0)
        self.said = forecasts.values[:, number].astype(np.float64)
        self.control = control.values[:, number].astype(np.float64) if control is not None else None
        self.control_quantiles = control.quantiles if control is not None else ()

    def rows(self, mean: float | None, last_signs: _Floats) -> list[dict[str, object]]:
        """A row for each metric."""
        rows = [
            self._row("r2", lambda said: self._explained(said, 0.0), "zero", 0.0),
            self._row("sign_accuracy", self._right, "last return", _mean(*self._right(last_signs[:, None]))),
        ]
        if mean is not None:
            rows.append(self._row("r2_mean", lambda said: self._explained(said, mean), "train mean", 0.0))
        if self.quantiles:
            zero = _mean(*self._lost(np.zeros((1, len(self.quantiles)))))
            rows.append(self._row("pinball", self._lost, "zero", zero))
            rows.append(self._row("coverage", self._covered, "nominal", self.quantiles[-1] - self.quantiles[0]))
        return rows

    def _row(self, metric: str, of: Callable[[_Floats], _Ratio], null: str, null_value: float) -> dict[str, object]:
        over, under = of(self.said)
        drawn = self._drawn(metric, over, under)
        low, high = drawn.interval()
        row = {
            "metric": metric,
            "samples": int((under > 0).sum()),
            "value": drawn.value[0],
            "low": low[0],
            "high": high[0],
            "standard_error": drawn.draws.std(ddof=1) if np.isfinite(low[0]) else None,
            "independent_error": independent_error(over[:, None], under[:, None])[0],
            "blocks": drawn.blocks,
            "null": null,
            "null_value": null_value,
        }
        told = {name: _none(value) if isinstance(value, float) else value for name, value in row.items()}
        return told | (self._over_control(metric, of, drawn) if self._comparable(metric) else {})

    def _comparable(self, metric: str) -> bool:
        """Whether the control has what a metric asks for."""
        same = self.control_quantiles == self.quantiles
        return self.control is not None and (same or metric not in ("pinball", "coverage"))

    def _over_control(self, metric: str, of: Callable[[_Floats], _Ratio], drawn: Drawn) -> dict[str, object]:
        assert self.control is not None
        control = self._drawn(metric, *of(self.control))
        gain = drawn.less(control)
        low, high = gain.interval()
        names = ("control", "over_control", "over_control_low", "over_control_high")
        values = (control.value[0], gain.value[0], low[0], high[0])
        return {name: _none(value) for name, value in zip(names, values, strict=True)}

    def _drawn(self, metric: str, over: _Floats, under: _Floats) -> Drawn:
        drawn = self.blocks.ratio(over[:, None], under[:, None])
        return Drawn(1 - drawn.value, 1 - drawn.draws, drawn.blocks) if metric.startswith("r2") else drawn

    def _explained(self, said: _Floats, mean: float) -> _Ratio:
        left = np.where(self.known, self.wanted - _point(said), 0.0)
        return np.square(left), np.square(np.where(self.known, self.wanted - mean, 0.0))

    def _right(self, said: _Floats) -> _Ratio:
        right = (np.sign(_point(said)) * np.sign(self.wanted) + 1) / 2
        moved = (self.wanted != 0).astype(np.float64)
        return right * moved, moved

    def _lost(self, said: _Floats) -> _Ratio:
        levels, left = np.asarray(self.quantiles), self.wanted[:, None] - said
        loss = np.maximum(levels * left, (levels - 1) * left).mean(1)
        return loss * self.known, self.known.astype(np.float64)

    def _covered(self, said: _Floats) -> _Ratio:
        inside = (self.wanted >= said[:, 0]) & (self.wanted <= said[:, -1]) & self.known
        return inside.astype(np.float64), self.known.astype(np.float64)


def _point(said: _Floats) -> _Floats:
    return said[:, said.shape[1] // 2]


def _mean(over: _Floats, under: _Floats) -> float:
    total = float(under.sum())
    return float(over.sum()) / total if total else float("nan")


def _none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _last_signs(ticks: Ticks, price: Price) -> _Floats:
    """Sign of the last return that was not 0 up to each row of its stretch, `[n]`; 0 where there is none yet."""
    value = ticks.price(price)
    sign = np.sign(np.diff(value, prepend=value[:1]))
    new = np.diff(ticks.segment, prepend=ticks.segment[:1]) != 0
    sign[new] = 0
    told = np.maximum.accumulate(np.where((sign != 0) | new, np.arange(len(sign)), 0))
    return np.asarray(sign[told])
