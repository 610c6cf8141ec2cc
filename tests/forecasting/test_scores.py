"""Scores: their values where they are known, their intervals, and the nulls beside them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.forecasting.made_ticks import made_ticks

from tracebank_models.forecasting.forecaster import Forecasts
from tracebank_models.forecasting.scores import SCORES, scores
from tracebank_models.order_book_features.targets import targets
from tracebank_models.order_book_features.ticks import Ticks

HORIZONS = (1, 30)


def _forecasts(ticks: Ticks, values: np.ndarray, quantiles: tuple[float, ...] = ()) -> Forecasts:
    """Of every tick from the hundredth on."""
    ends = np.arange(100, len(ticks))
    return Forecasts(ends, values[ends].astype(np.float32), HORIZONS, quantiles)


def _row(found: pl.DataFrame, metric: str, horizon: int = 1, price: str = "mid") -> dict[str, float]:
    chosen = found.filter(metric=metric, horizon=horizon, price=price)
    return chosen.row(0, named=True)


def test_half_of_what_comes_explains_three_quarters() -> None:
    ticks = made_ticks(4_000)
    known = np.nan_to_num(targets(ticks, "mid", HORIZONS))[:, :, None]
    found = scores(_forecasts(ticks, known / 2), ticks)
    assert found.schema == SCORES
    assert _row(found, "r2")["value"] == pytest.approx(0.75, abs=1e-6)
    assert _row(found, "sign_accuracy")["value"] == 1
    assert abs(_row(found, "sign_accuracy")["null_value"] - 0.5) < 0.05  # a walk says nothing of its next step
    assert _row(found, "r2")["samples"] == 4_000 - 100 - 1
    assert _row(found, "r2", price="weighted_mid")["value"] != _row(found, "r2")["value"]
    assert set(found["price"]) == {"mid", "weighted_mid", "micro_price"}


def test_overlap_widens_the_interval_three_times() -> None:
    ticks = made_ticks(40_000)
    known = np.nan_to_num(targets(ticks, "mid", HORIZONS))
    random = np.random.default_rng(0)
    slow = np.convolve(random.normal(size=40_029), np.ones(30), "valid")[:, None] / 5
    found = scores(_forecasts(ticks, (0.05 * known + 0.1 * slow)[:, :, None]), ticks, prices=("mid",), draws=400)
    for metric in ("r2", "sign_accuracy"):
        row = _row(found, metric, 30)
        assert row["low"] < row["value"] < row["high"]
        assert row["high"] - row["low"] > 3 * 2 * 1.96 * row["independent_error"]


def test_quantiles_of_what_comes_cover_their_share() -> None:
    ticks = made_ticks(20_000)
    known = targets(ticks, "mid", HORIZONS)
    levels = (0.1, 0.5, 0.9)
    flat = np.broadcast_to(np.nanquantile(known, levels, axis=0).T, (20_000, 2, 3))
    found = scores(_forecasts(ticks, flat, levels), ticks, prices=("mid",), train=range(10_000), draws=200)
    row = _row(found, "coverage")
    assert row["value"] == pytest.approx(0.8, abs=0.01)
    assert row["null_value"] == pytest.approx(0.8)
    assert row["low"] < 0.8 < row["high"]
    assert _row(found, "pinball")["value"] < _row(found, "pinball")["null_value"]
    assert abs(_row(found, "r2_mean")["value"]) < 0.01


def test_the_control_stands_beside_on_the_same_rows() -> None:
    ticks = made_ticks(6_000)
    known = np.nan_to_num(targets(ticks, "mid", HORIZONS))[:, :, None]
    control = _forecasts(ticks, known / 4)
    every = Forecasts(control.ends[::2], (known / 2 + 0.1)[control.ends[::2]].astype(np.float32), HORIZONS, ())
    row = _row(scores(every, ticks, control, draws=200), "r2")
    assert row["control"] == pytest.approx(1 - 0.75**2, abs=1e-6)
    assert row["over_control"] == pytest.approx(row["value"] - row["control"])
    assert row["over_control_low"] <= row["over_control"] <= row["over_control_high"]
    with pytest.raises(ValueError, match=r"^control: no forecast of row 101; allowed: one of every row$"):
        scores(control, ticks, every)


def test_few_rows_have_values_and_no_interval() -> None:
    ticks = made_ticks(1_000)
    known = np.nan_to_num(targets(ticks, "mid", HORIZONS))[:, :, None]
    found = scores(_forecasts(ticks, known), ticks, draws=20)
    assert found["low"].is_null().all()
    assert found["standard_error"].is_null().all()
    assert found["value"].is_not_null().all()


def test_a_horizon_beyond_the_data_is_refused() -> None:
    ticks = made_ticks(200)
    beyond = Forecasts(np.arange(100, 200), np.zeros((100, 1, 1), np.float32), (500,), ())
    with pytest.raises(ValueError, match=r"^horizons: 500 is not allowed; allowed: 1 to 199, within a stretch$"):
        scores(beyond, ticks)
