"""HFformer as one would write it from the paper: torch's encoder, spikes tick by tick, all windows made beforehand.

The same function as `tracebank_models.forecasting.hfformer`, for its speed and its output to be compared with. Spikes
run over ticks, from the same phases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tracebank_models.forecasting.hfformer import HFformer
from tracebank_models.forecasting.spiking import STEP, phases


class _TickByTick(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, rates: Tensor, phase: Tensor, step: float) -> Tensor:
        voltage, sent = phase.expand(len(rates), -1).double(), torch.empty_like(rates)
        for tick in range(rates.shape[1]):
            voltage = voltage + step * rates[:, tick].double()
            whole = voltage.floor()
            sent[:, tick] = whole / step
            voltage = voltage - whole
        return sent

    @staticmethod
    def backward(_: Any, *gradients: Any) -> tuple[Any, None, None]:
        return gradients[0], None, None


class _Spiking(nn.Module):
    def __init__(self, units: int, step: float) -> None:
        super().__init__()
        self.rate = nn.PReLU()
        self.units, self.step = units, step

    def forward(self, inputs: Tensor) -> Tensor:
        sent: Tensor = _TickByTick.apply(self.rate(inputs), phases(self.units), self.step)  # type: ignore[no-untyped-call]
        return sent


class PaperForm(nn.Module):
    """The model with torch's own layers, for one forecast."""

    def __init__(
        self, columns: int = 38, look_back: int = 100, horizons: int = 1, dropout: float = 0.3, step: float = STEP
    ) -> None:
        """Make the layers."""
        super().__init__()
        self.embedding = nn.Linear(columns, 36)
        layer = nn.TransformerEncoderLayer(36, 6, 64, dropout, activation=_Spiking(64, step), batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(36), enable_nested_tensor=False)
        self.of_tick = nn.Sequential(nn.Linear(36, 1), nn.PReLU())
        self.over_ticks = nn.Linear(look_back, horizons)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(look_back), persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """`[b, horizons, 1]` of windows `[b, look_back, columns]`."""
        ticks = self.encoder(self.embedding(windows), mask=self.mask)
        numbers: Tensor = self.over_ticks(self.of_tick(ticks).squeeze(-1))
        return numbers[..., None]

    def take(self, other: HFformer) -> None:
        """Take the weights of the other form."""
        renamed = {
            "attention.inward.weight": "self_attn.in_proj_weight",
            "attention.inward.bias": "self_attn.in_proj_bias",
            "attention.outward": "self_attn.out_proj",
            "norms.0": "norm1",
            "norms.1": "norm2",
            "up.": "linear1.",
            "down.": "linear2.",
            "spiking.weight": "activation.rate.weight",
            "layers.": "encoder.layers.",
        }
        state = {}
        for name, value in other.state_dict().items():
            ours = name
            for old, new in renamed.items():
                name = name.replace(old, new)
            if ours != "unit":
                state[f"encoder.{name}" if ours.startswith("norm.") else name] = value
        self.load_state_dict(state)


def all_windows(features: NDArray[np.float32], look_back: int) -> NDArray[np.float64]:
    """Every window at once, z-scored, `[n - look_back + 1, look_back, columns]`, in float64 as the paper's code."""
    windows = np.lib.stride_tricks.sliding_window_view(features.astype(np.float64), look_back, 0).swapaxes(1, 2).copy()
    windows -= windows.mean(1, keepdims=True)
    windows /= windows.std(1, keepdims=True) + 0.01
    return windows
