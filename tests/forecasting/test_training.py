"""Training: what is planted is found, what is not is not, what was killed ends as if it had not been."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.forecasting.made_ticks import made_ticks

from tracebank_models.forecasting.forecaster import TrainedForecaster, load
from tracebank_models.forecasting.settings import PAPER, ForecastSettings
from tracebank_models.forecasting.training import train
from tracebank_models.order_book_features.splits import Split, split_by_time
from tracebank_models.order_book_features.targets import targets
from tracebank_models.order_book_features.ticks import Ticks

SMALL: dict[str, Any] = {
    "features": "book",
    "price": "mid",
    "look_back": 20,
    "horizons": (1, 2, 5),
    "epochs": 2,
    "batch": 128,
    "warm_up": 5,
    "learning_rate": 3e-3,
}


def _split(ticks: Ticks) -> Split:
    return split_by_time(len(ticks), (0.6, 0.2, 0.2), 60)


def _trained(ticks: Ticks, checkpoint: Path | None = None, progress: Any = None, **changes: Any) -> TrainedForecaster:
    settings = ForecastSettings(**(SMALL | changes))
    return train(settings, ticks, _split(ticks), "cpu", progress, checkpoint)


def _explained(trained: TrainedForecaster, ticks: Ticks, horizon: int = 0) -> float:
    """R^2 on the test rows against saying zero."""
    said = trained.forecast(ticks, _split(ticks).test)
    wanted = targets(ticks, "mid", trained.settings.horizons)[said.ends, horizon]
    known = ~np.isnan(wanted)
    left = wanted[known] - said.point[known, horizon]
    return float(1 - np.square(left).sum() / np.square(wanted[known]).sum())


@pytest.mark.parametrize(
    ("model", "least"), [("dlinear", 0.38), ("imbalance", 0.42), ("lstm", 0.36), ("hfformer", 0.3)]
)
def test_a_planted_lean_is_found(model: str, least: float) -> None:
    ticks = made_ticks(8_000, signal=2.0)  # explains .46 of the next tick
    found = _trained(ticks, model=model, epochs=8 if model == "hfformer" else 3, windows_per_epoch=4_000)
    assert least < _explained(found, ticks) < 0.5


def test_permuted_rows_explain_nothing() -> None:
    ticks = made_ticks(8_000, signal=1.0)
    order = np.random.default_rng(0).permutation(len(ticks))
    other = dataclasses.replace(ticks, bid_qty=ticks.bid_qty[order], ask_qty=ticks.ask_qty[order])
    for model in ("imbalance", "hfformer"):
        assert abs(_explained(_trained(other, model=model), other)) < 0.02


@pytest.mark.parametrize("per_horizon", [False, True])
def test_what_was_killed_ends_as_what_was_not(tmp_path: Path, per_horizon: bool) -> None:
    ticks = made_ticks(1_500, broken=(700,))
    plan: dict[str, Any] = {"model": "hfformer", "epochs": 3, "per_horizon": per_horizon, "loss": "pinball"}
    whole = _trained(ticks, **plan)
    left = iter(range(18 if per_horizon else 9))

    def dies(_: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _trained(ticks, tmp_path / "state.pt", dies, **plan)
    resumed = _trained(ticks, tmp_path / "state.pt", **plan)
    for name, weight in whole.modules.state_dict().items():
        assert torch.equal(weight, resumed.modules.state_dict()[name]), name
    assert whole.curves.drop("seconds").equals(resumed.curves.drop("seconds"))
    with pytest.raises(ValueError, match=r"checkpoint: state.pt is of another training"):
        _trained(ticks, tmp_path / "state.pt", **plan, seed=1)


def test_the_best_epoch_is_kept_and_the_curves_say_which() -> None:
    trained = _trained(made_ticks(2_000), model="dlinear", epochs=5, learning_rate=0.05, averaged=0.0)
    losses = trained.curves["validation_loss"]
    assert trained.curves["chosen"].arg_max() == losses.arg_min()
    assert trained.curves["chosen"].sum() == 1
    assert losses.arg_min() < 4  # noise is learned by heart
    assert trained.curves["windows"].to_list() == [trained.curves["windows"][0] * epoch for epoch in range(1, 6)]


def test_means_of_weights_know_more_than_the_last_of_them() -> None:
    ticks = made_ticks(4_000, signal=1.0)
    mean, last = (_trained(ticks, model="dlinear", learning_rate=0.01, averaged=kept) for kept in (0.99, 0.0))
    assert mean.curves["validation_loss"].min() < last.curves["validation_loss"].min() - 0.01
    assert mean.curves["train_loss"][0] == last.curves["train_loss"][0]  # what is learned is the same


def test_what_is_loaded_says_the_same(tmp_path: Path) -> None:
    ticks = made_ticks(1_000)
    trained = _trained(ticks, model="tlob", loss="pinball", epochs=1)
    trained.save(tmp_path / "tlob")
    loaded = load(tmp_path / "tlob")
    assert loaded.settings == trained.settings
    assert loaded.settings.hash == trained.settings.hash
    assert loaded.curves.equals(trained.curves)
    assert np.array_equal(loaded.forecast(ticks).values, trained.forecast(ticks).values)
    with pytest.raises(FileExistsError):
        trained.save(tmp_path / "tlob")


def test_pretrained_weights_are_used_as_they_are_and_stay_where_they_are(tiny_weights: str, tmp_path: Path) -> None:
    ticks = made_ticks(400)
    trained = _trained(ticks, model="foundation", weights=tiny_weights, loss="pinball")
    trained.save(tmp_path / "kept")
    assert (tmp_path / "kept" / "weights.safetensors").stat().st_size < 1_000
    said = trained.forecast(ticks, range(340, 400))
    assert said.values.shape == (41, 3, 3)
    assert np.array_equal(load(tmp_path / "kept").forecast(ticks, range(340, 400)).values, said.values)
    assert trained.curves["train_loss"].is_null().all()


def test_forecasts_know_nothing_of_what_comes() -> None:
    ticks, at = made_ticks(600), 400
    trained = _trained(ticks, model="hfformer", epochs=1)
    doubled = {}
    for name in ("bid_price", "ask_price"):
        doubled[name] = getattr(ticks, name).copy()
        doubled[name][at + 1 :] *= 2
    before, after = trained.forecast(ticks), trained.forecast(dataclasses.replace(ticks, **doubled))
    known = before.ends <= at
    assert np.array_equal(before.values[known], after.values[known])
    assert not np.allclose(before.values[~known], after.values[~known])


def test_no_window_crosses_a_break() -> None:
    ticks = made_ticks(600, broken=(300,))
    ends = _trained(ticks, model="dlinear", epochs=1).forecast(ticks).ends
    assert set(ends) == set(range(19, 300)) | set(range(319, 600))


def test_bfloat16_says_nearly_the_same() -> None:
    ticks = made_ticks(600)
    exact, rough = (_trained(ticks, model="lstm", epochs=1, precision=kind) for kind in ("float32", "bfloat16"))
    gap = np.abs(exact.forecast(ticks).values - rough.forecast(ticks).values).max()
    assert 0 < gap < 0.1


def test_the_papers_plan_goes_in_order_a_model_a_horizon() -> None:
    assert (PAPER.epochs, PAPER.batch, PAPER.warm_up, PAPER.decay, PAPER.learning_rate) == (16, 256, 1000, 0.98, 0.1)
    assert PAPER.per_horizon
    assert not PAPER.shuffled
    assert (PAPER.averaged, PAPER.spike_step) == (0, 1e-3)
    assert PAPER.members == tuple((horizon,) for horizon in range(1, 31))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "oracle"}, "ForecastSettings.model: 'oracle' is not allowed; allowed: one of dlinear, "),
        ({"features": "all"}, "ForecastSettings.features: 'all' is not allowed; allowed: paper, book"),
        ({"price": "last"}, "ForecastSettings.price: 'last' is not allowed; allowed: one of "),
        ({"horizons": (2, 1)}, r"ForecastSettings.horizons: \(2, 1\) is not allowed; allowed: one or more, rising"),
        ({"quantiles": (0.1, 0.9)}, "ForecastSettings.quantiles: .* an odd number, 0.5 in the middle"),
        ({"horizons": (1, 900)}, "look_back: 20 ticks and 900 more are not in rows 0 to "),
        ({"look_back": 5_000}, "look_back: 5000 is not allowed; allowed: 1 to 1000, the ticks"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        _trained(made_ticks(1_000), **changes)
    assert "\n" not in str(caught.value)


def test_features_that_are_no_numbers_are_refused() -> None:
    ticks = made_ticks(500)
    quantity = ticks.bid_qty.copy()
    quantity[321, 2] = np.nan
    with pytest.raises(ValueError, match=r"^features: imbalance_2 of row 321 is nan; allowed: finite numbers$"):
        _trained(dataclasses.replace(ticks, bid_qty=quantity))
