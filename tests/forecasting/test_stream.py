"""Live rows are forecast as stored ones are, and nothing is forecast over a break."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.forecasting.made_ticks import made_ticks

from tracebank_models.forecasting.settings import ForecastSettings
from tracebank_models.forecasting.stream import Stream
from tracebank_models.forecasting.training import train
from tracebank_models.order_book_features.splits import split_by_time
from tracebank_models.order_book_features.ticks import BookRow, Ticks

TICKS = made_ticks(900, broken=(600,))


def _stream(**changes: Any) -> tuple[Any, Stream]:
    plan: dict[str, Any] = {"look_back": 50, "horizons": (1, 5), "epochs": 1, "windows_per_epoch": 200, "seed": 3}
    trained = train(ForecastSettings(**(plan | changes)), TICKS, split_by_time(600, (1.0, 0.0, 0.0), 0), "cpu")
    return trained, trained.stream()


def _row(ticks: Ticks, at: int) -> BookRow:
    sides = (side[at] for side in (ticks.bid_price, ticks.bid_qty, ticks.ask_price, ticks.ask_qty))
    return BookRow(int(ticks.times[at]), *sides)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "hfformer", "features": "paper"},
        {"model": "hfformer", "features": "book", "loss": "pinball"},
        {"model": "lstm", "features": "book", "per_horizon": True},
        {"model": "imbalance", "loss": "pinball"},
    ],
)
def test_live_rows_are_forecast_as_stored_ones(changes: dict[str, Any]) -> None:
    trained, stream = _stream(**changes)
    known = trained.forecast(TICKS)
    said = {}
    for at in range(len(TICKS)):
        if at == 600:
            assert stream.push(None) is None
        if (values := stream.push(_row(TICKS, at))) is not None:
            said[at] = values
    assert list(said) == known.ends.tolist()
    assert np.allclose(np.stack(list(said.values())), known.values, atol=1e-5, rtol=0)


def _partial(row: BookRow) -> BookRow:
    quantity = row.ask_qty.copy()
    quantity[7] = np.nan
    return row._replace(ask_qty=quantity)


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: None,
        _partial,
        lambda row: row._replace(bid_price=row.bid_price + 1),
        lambda row: row._replace(time=row.time + 61 * 10**9),
    ],
)
def test_a_break_begins_a_window_anew(broken: Any) -> None:
    _, stream = _stream(model="dlinear", features="book")
    said = [stream.push(_row(TICKS, at)) is not None for at in range(70)]
    assert said == [at >= 49 for at in range(70)]
    last = broken(_row(TICKS, 70))
    assert stream.push(last) is None
    paused = last is not None and last.time > TICKS.times[70]
    later = [_row(TICKS, at)._replace(time=int(TICKS.times[70]) + 62 * 10**9 + at) for at in range(71, 140)]
    said = [stream.push(row) is not None for row in later]
    assert said.index(True) == (48 if paused else 49)  # after a pause the row itself is the first


def test_a_row_that_comes_late_is_left_out() -> None:
    _, stream = _stream(model="dlinear", features="book")
    for at in range(49):
        stream.push(_row(TICKS, at))
    assert stream.push(_row(TICKS, 3)) is None
    assert stream.push(_row(TICKS, 49)) is not None


def test_too_few_levels_are_one_line() -> None:
    _, stream = _stream(model="dlinear", features="book")
    row = _row(TICKS, 0)
    with pytest.raises(ValueError, match=r"^features: 'imbalance_5' is of a level that the ticks have not; allowed: 0"):
        stream.push(BookRow(row.time, *(side[:5] for side in row[1:])))
