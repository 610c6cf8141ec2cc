"""Every forecaster: its sizes, its gradients, and that a forecast depends on its own window and nothing else."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from tracebank_models.forecasting.foundation import Foundation
from tracebank_models.forecasting.hfformer import HFformer
from tracebank_models.forecasting.linear import CONTROL_FEATURES, Imbalance
from tracebank_models.forecasting.recurrent import LSTM
from tracebank_models.forecasting.registry import MODELS
from tracebank_models.forecasting.settings import ForecastSettings, ModelName
from tracebank_models.forecasting.shape import Forecaster, Shape, rising
from tracebank_models.forecasting.spiking import PAPER_STEP, STEP, ReleasedSpikingPReLU, SpikingPReLU, phases, send

SHAPE = Shape(columns=38, look_back=100, horizons=30, outputs=3)
TRAINED = [name for name in MODELS if name not in ("imbalance", "foundation")]


def _made(name: ModelName, shape: Shape = SHAPE) -> Forecaster:
    torch.manual_seed(0)
    return MODELS[name].make(shape, ForecastSettings(loss="pinball"), tuple(range(1, shape.horizons + 1)))


def _windows(number: int) -> Tensor:
    return torch.randn(number, 100, 38, generator=torch.Generator().manual_seed(1))


def _weights(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_every_name_has_a_model() -> None:
    assert set(get_args(ModelName)) == set(MODELS)


def test_the_papers_models_have_the_papers_sizes() -> None:
    assert _weights(HFformer(Shape(38, 100, 1))) == 21_977
    assert _weights(LSTM(Shape(42, 100, 1))) == 69_442


@pytest.mark.parametrize("name", TRAINED)
def test_a_forecast_is_of_its_own_window_whatever_the_batch(name: ModelName) -> None:
    module, windows = _made(name).eval(), _windows(12)
    with torch.no_grad():
        whole = module(windows)
        parts = torch.cat([module(part) for part in windows.split((1, 4, 7))])
    assert whole.shape == (12, 30, 3)
    if name == "hfformer_released":  # its voltage runs from window to window, from a random phase
        assert (whole - parts).abs().max() > 1e-3
        with torch.no_grad():
            assert not torch.equal(module(windows), module(windows))
    else:
        assert torch.allclose(whole, parts, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", TRAINED)
def test_every_weight_learns(name: ModelName) -> None:
    module = _made(name).train()
    module(_windows(4)).square().sum().backward()
    silent = [at for at, weight in module.named_parameters() if weight.grad is None or not weight.grad.any()]
    # DLinear begins at zero but its gradients do not; the released code never reached the slope of its spikes.
    released = [f"layers.{layer}.spiking.weight" for layer in range(2)]
    assert silent == (released if name == "hfformer_released" else [])


@pytest.mark.parametrize("step", [PAPER_STEP, STEP])
def test_spikes_are_what_a_voltage_says_tick_by_tick(step: float) -> None:
    rates = 2 / step * torch.randn(3, 50, 7, generator=torch.Generator().manual_seed(2))
    voltage, sent = phases(7).expand(3, 7).double(), []
    for tick in range(50):
        voltage = voltage + step * rates[:, tick].double()
        sent.append(voltage.floor() / step)
        voltage = voltage - voltage.floor()
    assert torch.allclose(send(rates, phases(7), step, axis=1).double(), torch.stack(sent, 1), rtol=1e-6)


def test_rates_in_half_precision_send_spikes_at_the_same_ticks() -> None:
    rates = torch.rand(2, 2_000, 8, generator=torch.Generator().manual_seed(3)).bfloat16()
    sent = send(rates, phases(8), PAPER_STEP, axis=1)
    assert sent.dtype == torch.bfloat16
    assert torch.allclose(sent.float(), send(rates.float(), phases(8), PAPER_STEP, axis=1), rtol=1e-6, atol=0)


def test_spikes_come_at_the_rate_on_average_and_seldom() -> None:
    rates = torch.rand(4, 5_000, 64, generator=torch.Generator().manual_seed(3))
    for step in (PAPER_STEP, STEP):
        assert abs(send(rates, phases(64), step, axis=1).mean() - rates.mean()) < 0.01
    assert 0 < _made("hfformer").eval().spike_rate(_windows(64)) < 1


@pytest.mark.parametrize(("name", "height"), [("hfformer", 1 / STEP), ("hfformer_released", 1 / PAPER_STEP)])
def test_spikes_are_as_high_as_the_variants_step_says(name: ModelName, height: float) -> None:
    module = _made(name).eval()
    sent: list[Tensor] = []
    for part in module.modules():
        if isinstance(part, (SpikingPReLU, ReleasedSpikingPReLU)):
            part.register_forward_hook(lambda _, __, out: sent.append(out))
    module(10 * _windows(8))
    whole = torch.cat(sent) / height
    assert torch.allclose(whole, whole.round(), atol=1e-4)
    assert whole.any()


def test_numbers_rise_whatever_they_were_made_of() -> None:
    numbers = 10 * torch.randn(1_000, 5, generator=torch.Generator().manual_seed(4))
    made = rising(numbers)
    assert (made.diff(dim=-1) >= 0).all()
    assert torch.equal(made[:, 2], numbers[:, 2])


def test_the_control_is_least_squares_and_its_quantiles_cover_what_they_say() -> None:
    generator = torch.Generator().manual_seed(5)
    seen = torch.randn(4_000, len(CONTROL_FEATURES), generator=generator)
    wanted = seen[:, :1] * torch.tensor([2.0, -1.0]) + torch.randn(4_000, 2, generator=generator)
    wanted[::7, 1] = torch.nan
    control = Imbalance(Shape(1, 1, 2, 3), (0.1, 0.5, 0.9))
    control.fit(seen, wanted)
    assert torch.allclose(control.weight[0], torch.tensor([2.0, -1.0]), atol=0.06)
    below = wanted[:, :1, None] < control(seen)[:, :1]
    assert torch.allclose(below.float().mean((0, 1)), torch.tensor([0.1, 0.5, 0.9]), atol=0.001)


def test_tiny_weights_of_a_foundation_model_say_quantiles_of_a_price(tiny_weights: str) -> None:
    horizons = tuple(range(1, 31))
    model = Foundation(Shape(38, 20, 30, 3), tiny_weights, horizons, (0.1, 0.5, 0.9))
    price = torch.log(30_000 + torch.randn(5, 20, generator=torch.Generator().manual_seed(6)).cumsum(1).double())
    with torch.no_grad():
        said = model(price)
        assert torch.allclose(said, model(price + 0.5), atol=1e-4)  # of another level, the same returns
    assert said.shape == (5, 30, 3)
    assert (said.diff(dim=-1) >= 0).all()
    with pytest.raises(ValueError, match="horizons: 40 is not allowed; allowed: 1 to 32"):
        Foundation(Shape(38, 20, 1), tiny_weights, (40,), ())


def test_without_weights_it_says_so() -> None:
    with pytest.raises(ValueError, match=r"^not run, no weights$"):
        _made("foundation")
