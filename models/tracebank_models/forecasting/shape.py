"""What a forecaster is given and what it says; how its numbers become a mean or quantiles that never cross."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Shape(NamedTuple):
    """Sizes of what a forecaster sees and says."""

    columns: int
    """Features of a tick."""
    look_back: int
    """Ticks of a window."""
    horizons: int
    outputs: int = 1
    """Numbers of each horizon: 1 is a mean, more are quantiles, from the lowest on."""

    @property
    def numbers(self) -> int:
        """Numbers that a model's last layer gives."""
        return self.horizons * self.outputs


class Forecaster(nn.Module):
    """A module from windows to forecasts; what each of them inherits.

    `forward(shown) -> [b, horizons, outputs]`. Shown are z-scored windows `[b, look_back, columns]`, or what the model
    sees instead (`registry.Model.sees`).
    """

    def __init__(self, shape: Shape) -> None:
        """Keep the sizes."""
        super().__init__()
        self.shape = shape
        self.register_buffer("unit", torch.ones(shape.horizons, 1))
        self.unit: Tensor
        """What the last layer's numbers are in units of, by horizon: set before training."""

    def said(self, numbers: Tensor) -> Tensor:
        """What a model says, `[b, horizons, outputs]`, of its last layer's numbers `[b, shape.numbers]`."""
        return rising(numbers.view(-1, self.shape.horizons, self.shape.outputs)) * self.unit


def rising(numbers: Tensor) -> Tensor:
    """Numbers that rise along the last axis, made of any: the middle one stays.

    Those above and below it are as far off as the softplus of theirs adds up to, so that quantiles cannot cross.
    """
    outputs = numbers.shape[-1]
    if outputs == 1:
        return numbers
    middle = outputs // 2
    below, centre, above = numbers.tensor_split((middle, middle + 1), -1)
    down = functional.softplus(below).flip(-1).cumsum(-1).flip(-1)
    return torch.cat((centre - down, centre, centre + functional.softplus(above).cumsum(-1)), -1)


def sinusoids(length: int, width: int) -> Tensor:
    """Sines and cosines of positions (1706.03762), `[length, width]`."""
    rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)[:, :width]
