"""MLPLOB and TLOB (2502.15757): a window is mixed over its columns and over its ticks in turn, then cut down to a few.

Written anew from the paper: MLPLOB mixes by networks of two layers, TLOB by attention over ticks and attention over
columns, each followed by such a network. The last pair keeps a quarter of both sides. Where the authors' code projects
queries, keys and values twice in a row, once is as much.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import SelfAttention
from .shape import Forecaster, Shape, sinusoids

_KEPT = 4
"""The last pair keeps one in so many."""
_FEW = 128
"""Numbers that the last layers cut down to, a quarter at a time."""


class BilinearNorm(nn.Module):
    """BiN (2003.00598): a window normalised over ticks and over columns, and the two weighed."""

    def __init__(self, ticks: int, columns: int) -> None:
        """Begin at the mean of both."""
        super().__init__()
        self.columns_scale, self.columns_offset = nn.Parameter(torch.ones(columns)), nn.Parameter(torch.zeros(columns))
        self.ticks_scale, self.ticks_offset = nn.Parameter(torch.ones(ticks, 1)), nn.Parameter(torch.zeros(ticks, 1))
        self.shares = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, windows: Tensor) -> Tensor:
        """`[b, ticks, columns]` of as much."""
        over_ticks = _normal(windows, 1) * self.columns_scale + self.columns_offset
        over_columns = _normal(windows, 2) * self.ticks_scale + self.ticks_offset
        share = self.shares.clamp_min(0)
        return share[0] * over_columns + share[1] * over_ticks


def _normal(windows: Tensor, axis: int) -> Tensor:
    deviation, mean = torch.std_mean(windows, axis, keepdim=True, correction=0)
    return (windows - mean) / torch.where(deviation < 1e-4, 1.0, deviation)


class Mixer(nn.Module):
    """Two layers with GELU over the last axis, added to what came where sizes allow, normalised."""

    def __init__(self, size: int, out: int) -> None:
        """Make the layers; four times as wide between them."""
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, out))
        self.after = nn.Sequential(nn.LayerNorm(out), nn.GELU())
        self.adds = size == out

    def forward(self, inputs: Tensor) -> Tensor:
        """`[..., out]` of `[..., size]`."""
        mixed = self.layers(inputs)
        return self.after(mixed + inputs if self.adds else mixed)  # type: ignore[no-any-return]


class AttentiveMixer(nn.Module):
    """Attention between rows, added to them and normalised, then a `Mixer` of each."""

    def __init__(self, size: int, out: int) -> None:
        """Make the parts; one head, as in the paper."""
        super().__init__()
        self.attention, self.norm, self.mixer = SelfAttention(size, 1), nn.LayerNorm(size), Mixer(size, out)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[b, rows, out]` of `[b, rows, size]`."""
        return self.mixer(self.norm(inputs + self.attention(inputs)))  # type: ignore[no-any-return]


class MLPLOB(Forecaster):
    """Mixes by networks of two layers alone."""

    mixing: type[nn.Module] = Mixer

    def __init__(self, shape: Shape, width: int = 40, layers: int = 3) -> None:
        """Make the parts.

        Args:
            shape: What it sees and says.
            width: Columns within the model.
            layers: Pairs of mixings, over columns and over ticks.
        """
        super().__init__(shape)
        self.norm = BilinearNorm(shape.look_back, shape.columns)
        self.embedding = nn.Linear(shape.columns, width)
        sizes = (width, shape.look_back)
        kept = [(sizes if layer < layers - 1 else tuple(size // _KEPT for size in sizes)) for layer in range(layers)]
        self.over_columns = nn.ModuleList(self.mixing(width, out[0]) for out in kept)
        self.over_ticks = nn.ModuleList(self.mixing(shape.look_back, out[1]) for out in kept)
        self.last = _cut_down(kept[-1][0] * kept[-1][1], shape.numbers)

    def forward(self, windows: Tensor) -> Tensor:
        """See `Forecaster`."""
        mixed = self.embedded(windows)
        for over_columns, over_ticks in zip(self.over_columns, self.over_ticks, strict=True):
            mixed = over_ticks(over_columns(mixed).transpose(1, 2)).transpose(1, 2)
        return self.said(self.last(mixed.flatten(1)))

    def embedded(self, windows: Tensor) -> Tensor:
        """What is mixed first, `[b, ticks, width]`."""
        return nn.functional.gelu(self.embedding(self.norm(windows)))


class TLOB(MLPLOB):
    """Mixes by attention too, over ticks and over columns, with positions of ticks."""

    mixing = AttentiveMixer

    def __init__(self, shape: Shape, width: int = 40, layers: int = 4) -> None:
        """Make the parts; see `MLPLOB`."""
        super().__init__(shape, width, layers)
        self.register_buffer("positions", sinusoids(shape.look_back, width), persistent=False)
        self.positions: Tensor

    def embedded(self, windows: Tensor) -> Tensor:
        """What is mixed first, `[b, ticks, width]`."""
        embedded: Tensor = self.embedding(self.norm(windows)) + self.positions
        return embedded


def _cut_down(size: int, out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    while size > _FEW:
        layers += [nn.Linear(size, size // _KEPT), nn.GELU()]
        size //= _KEPT
    return nn.Sequential(*layers, nn.Linear(size, out))
