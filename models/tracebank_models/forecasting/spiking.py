"""Spikes: a rate is added up over ticks, and each whole unit that it reaches is sent on; gradients pass as a rate's.

The paper (2302.13850) uses pytorch-spiking's activation: voltage grows by rate times `step` each tick, what is above a
whole number is sent as spikes of height 1 / `step`. As all that was sent is the whole part of all that came, spikes are
differences of `floor(phase + step * cumulated rate)`, which needs no loop over ticks.

How long a tick is to a unit is free. At the paper's `PAPER_STEP` one unit in forty sends a spike, 1,000 high, in a
window of a hundred ticks (measured in a trained model), while gradients pass as if each had sent its rate at each. At
`STEP` spikes are 1 high and in every fourth or fifth tick of a unit.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

PAPER_STEP: Final = 1e-3
"""Seconds of a tick in the paper's code: a rate of 1 sends one spike in 1,000 ticks."""
STEP: Final = 1.0
"""Seconds of a tick here: a rate of 1 sends a spike a tick."""
_GOLDEN: Final = (5**0.5 - 1) / 2


def phases(units: int) -> Tensor:
    """Voltage of each unit before the first tick, `[units]`: spread over (0, 1) evenly, however many units there are.

    One phase for all would keep every unit silent for hundreds of ticks and then let all fire at once.
    """
    return (torch.arange(1, units + 1, dtype=torch.float64) * _GOLDEN).remainder(1.0).float()


class _Sent(torch.autograd.Function):
    """Spikes times their height, of rates; backward as if the rates themselves had been sent."""

    @staticmethod
    def forward(_: Any, rates: Tensor, phase: Tensor, step: float, axis: int) -> Tensor:
        # In float32 whatever came: bfloat16 could not add a thousandth to a phase.
        whole = rates.float().cumsum(axis).mul_(step).add_(phase).floor_()
        sent = torch.diff(whole, dim=axis, prepend=torch.zeros_like(whole.narrow(axis, 0, 1))).div_(step)
        return sent.to(rates.dtype)

    @staticmethod
    def backward(_: Any, *gradients: Any) -> tuple[Any, None, None, None]:
        return gradients[0], None, None, None


class SpikingPReLU(nn.Module):
    """A PReLU that speaks in spikes over the ticks of each window; gradients are the PReLU's, that of its slope too."""

    def __init__(self, units: int, step: float = STEP) -> None:
        """Begin every unit at a phase of its own; `step` as in `send`."""
        super().__init__()
        self.step = step
        self.weight = nn.Parameter(torch.full((1,), 0.25))
        self.register_buffer("phase", phases(units), persistent=False)
        self.phase: Tensor

    def forward(self, inputs: Tensor) -> Tensor:
        """Spikes times their height, `[b, ticks, units]`, of as many inputs."""
        return send(functional.prelu(inputs, self.weight), self.phase, self.step, axis=1)


class ReleasedSpikingPReLU(nn.Module):
    """The same as the paper's code ran it: voltage runs over the windows of a batch, from a random phase.

    What a window becomes depends on those before it in the batch and differs from call to call, and the slope is never
    learned. Here to be compared with, for nothing else.
    """

    def __init__(self, units: int) -> None:
        """Begin anywhere."""
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 0.25))
        self.units = units

    def forward(self, inputs: Tensor) -> Tensor:
        """Spikes times their height, `[b, ticks, units]`, of as many inputs."""
        phase = torch.rand(inputs.shape[1:], device=inputs.device)
        return send(functional.prelu(inputs, self.weight.detach()), phase, PAPER_STEP, axis=0)


def send(rates: Tensor, phase: Tensor, step: float, axis: int) -> Tensor:
    """Spikes times their height.

    Args:
        rates: `[b, ticks, units]`; a negative one sends negative spikes.
        phase: Voltage to begin with, in [0, 1), of a shape that spreads over `rates`.
        step: Seconds of a tick: spikes are 1 / `step` high, and so much rarer.
        axis: Along which voltage is added up.
    """
    sent: Tensor = _Sent.apply(rates, phase, step, axis)  # type: ignore[no-untyped-call]
    return sent


def spike_rate(sent: Tensor) -> float:
    """Share of units and ticks that sent spikes, of what `send` gave."""
    return float((sent != 0).float().mean())
