"""What a planted signal can foretell: closed forms against a draw of the formula, and against simulated markets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tracebank_models.market.synthetic_exchange import SyntheticMarket, reachable, simulate
from tracebank_models.market.synthetic_exchange.planted_signal import ceiling, diffusion_ratio, remaining
from tracebank_models.order_book_features.features import feature_matrix
from tracebank_models.order_book_features.permuted import outer_levels_permuted
from tracebank_models.order_book_features.reading import read_ticks
from tracebank_models.order_book_features.targets import targets
from tracebank_models.order_book_features.ticks import Ticks

MARKET = SyntheticMarket(
    venues=("synthetic_a",),
    streams=("depth10",),
    duration_s=20_000,
    snapshot_interval_ms=500,
    market_order_rate=1.0,
    signal_r2=0.3,
    signal_horizon_s=3,
)
HORIZONS = [1, 3, 6, 9]


@pytest.mark.parametrize("horizon", [0.1, 1.0, 2.0, 3.0, 4.5])
@pytest.mark.parametrize("interval", [0.0, 0.1])
def test_the_remaining_part_is_that_of_all_phases(horizon: float, interval: float) -> None:
    random = np.random.default_rng(0)
    phase = np.arange(30) / 10 if interval else random.uniform(0, 3, 400_000)
    part = np.minimum(horizon, 3 - phase) / 3
    tolerance = 1e-12 if interval else 0.002
    assert remaining(horizon, 3.0, interval) == pytest.approx((part.mean(), (part**2).mean()), abs=tolerance)


@pytest.mark.parametrize("horizon", [1, 10, 30, 50])
def test_the_ceiling_is_that_of_a_drawn_random_walk(horizon: int) -> None:
    """A price of planted moves, each spread evenly over its window, and a random walk; no book."""
    random, windows, r2 = np.random.default_rng(1), 60_000, 0.4
    signal = np.repeat(random.uniform(-1, 1, windows), 30)
    noise = np.sqrt((1 - r2) / r2 / 3 * 30) / 30
    price = np.concatenate([[0], np.cumsum(signal / 30 + noise * random.normal(size=signal.size))])
    move = price[horizon:] - price[:-horizon]
    x, phase = signal[: len(move)], np.tile(np.arange(30), windows)[: len(move)]
    part = np.minimum(horizon, 30 - phase) / 30
    window = price[30::30] - price[:-30:30]
    assert move.var() / window.var() == pytest.approx(diffusion_ratio(r2, horizon, 30), rel=0.03)
    at = {"interval_s": 1.0, "ratio": float(move.var() / window.var())}
    for feature, known in ((x * part, True), (x, False)):
        best = ceiling(r2, horizon, 30, phase_known=known, **at)
        assert np.corrcoef(feature, move)[0, 1] ** 2 == pytest.approx(best, rel=0.05)


@pytest.fixture(scope="module")
def ticks() -> Ticks:
    return read_ticks(simulate(MARKET, "SYNBTC", "synthetic_a").book, clock="exchange")


def r_squared(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    known = ~np.isnan(y)
    return float(np.corrcoef(x[known], y[known])[0, 1] ** 2)


def signal(ticks: Ticks) -> NDArray[np.float64]:
    return feature_matrix(ticks, [f"imbalance_{level}" for level in range(5, 10)]).mean(axis=1).astype(np.float64)


def test_regressions_on_a_simulated_market_get_what_is_reachable(ticks: Ticks) -> None:
    found = reachable(MARKET, "SYNBTC", "synthetic_a", HORIZONS)
    x, phase = signal(ticks), np.arange(len(ticks)) % 6 / 6
    moves = targets(ticks, "mid", HORIZONS)
    for column, row in enumerate(found.iter_rows(named=True)):
        # 6,667 windows: an R² of 0.13 has a standard error of 0.008.
        part = np.minimum(row["horizon"] / 6, 1 - phase)
        assert r_squared(x * part, moves[:, column]) == pytest.approx(row["reachable"], abs=0.025)
        assert r_squared(x, moves[:, column]) == pytest.approx(row["one_feature"], abs=0.025)
        assert row["reachable"] == pytest.approx(row["ceiling"] * row["share"])
    assert found["reachable"][2] > found["one_feature"][2] + 0.01
    assert (found["share"] < 1.05).all()


def test_with_outer_levels_permuted_the_signal_is_gone(ticks: Ticks) -> None:
    moves = targets(ticks, "mid", HORIZONS)
    for column in range(len(HORIZONS)):
        assert r_squared(signal(ticks), moves[:, column]) > 0.02
        # Beyond 15/n once in 10,000 draws of nothing.
        assert r_squared(signal(outer_levels_permuted(ticks, 3)), moves[:, column]) < 15 / len(ticks)


def test_what_is_reachable_needs_a_signal_and_a_horizon_within_the_market() -> None:
    with pytest.raises(ValueError, match="signal_r2: None plants no signal; allowed: above 0"):
        reachable(replace(MARKET, signal_r2=None), "SYNBTC", "synthetic_a", [1])
    small = replace(MARKET, duration_s=60)
    with pytest.raises(ValueError, match="horizons: 120 is not allowed; allowed: 1 to 119 snapshots"):
        reachable(small, "SYNBTC", "synthetic_a", [120])
