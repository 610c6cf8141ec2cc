"""HFformer (2302.13850): a causal transformer without positions, spikes in it, and a linear decoder over ticks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import Dropout, SelfAttention
from .shape import Forecaster, Shape
from .spiking import STEP, ReleasedSpikingPReLU, SpikingPReLU, spike_rate


class EncoderLayer(nn.Module):
    """Attention and a spiking network, each added to what came and normalised after it."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, step: float, *, as_released: bool) -> None:
        """Make the parts."""
        super().__init__()
        self.attention = SelfAttention(width, heads, dropout, causal=True)
        self.norms = nn.ModuleList((nn.LayerNorm(width), nn.LayerNorm(width)))
        self.up = nn.Linear(width, hidden)
        self.spiking = ReleasedSpikingPReLU(hidden) if as_released else SpikingPReLU(hidden, step)
        self.down = nn.Linear(hidden, width)
        self.drop = Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[b, ticks, width]` of as much."""
        seen: Tensor = self.norms[0](inputs + self.drop(self.attention(inputs)))
        sent = self.drop(self.spiking(self.up(seen)))
        return self.norms[1](seen + self.drop(self.down(sent)))  # type: ignore[no-any-return]


class HFformer(Forecaster):
    """The model as the paper's code has it, with spikes that run over ticks; 21,977 weights at 38 columns."""

    def __init__(
        self,
        shape: Shape,
        width: int = 36,
        heads: int = 6,
        layers: int = 2,
        hidden: int = 64,
        dropout: float = 0.3,
        step: float = STEP,
        *,
        as_released: bool = False,
    ) -> None:
        """Make the parts.

        Args:
            shape: What it sees and says.
            width: Of a tick within the model.
            heads: Of each attention.
            layers: Of the encoder.
            hidden: Spiking units of a layer.
            dropout: In training.
            step: Seconds of a tick to spiking units; see `spiking`.
            as_released: Let spikes run over the batch, at the paper's step, as the released code did; see
                `ReleasedSpikingPReLU`.
        """
        super().__init__(shape)
        self.embedding = nn.Linear(shape.columns, width)
        sizes = width, heads, hidden, dropout, step
        each = (EncoderLayer(*sizes, as_released=as_released) for _ in range(layers))
        self.layers = nn.ModuleList(each)
        self.norm = nn.LayerNorm(width)
        self.of_tick = nn.Sequential(nn.Linear(width, 1), nn.PReLU())
        self.over_ticks = nn.Linear(shape.look_back, shape.numbers)

    def forward(self, windows: Tensor) -> Tensor:
        """See `Forecaster`."""
        ticks = self.embedding(windows)
        for layer in self.layers:
            ticks = layer(ticks)
        return self.said(self.over_ticks(self.of_tick(self.norm(ticks)).squeeze(-1)))

    @torch.no_grad()
    def spike_rate(self, windows: Tensor) -> float:
        """Share of units and ticks that send spikes, over all layers, of windows `[b, look_back, columns]`."""
        rates: list[float] = []
        of_spikes = [part for part in self.modules() if isinstance(part, (SpikingPReLU, ReleasedSpikingPReLU))]
        hooks = [part.register_forward_hook(lambda _, __, sent: rates.append(spike_rate(sent))) for part in of_spikes]
        self(windows)
        for hook in hooks:
            hook.remove()
        return sum(rates) / len(rates)
