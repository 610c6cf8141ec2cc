"""The paper's recurrent baseline: an LSTM whose last states say the forecast."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .shape import Forecaster, Shape


class LSTM(Forecaster):
    """A layer per tick, a two-layer LSTM, and a layer on the last states of both; 69,442 weights at 42 columns."""

    def __init__(self, shape: Shape, width: int = 64, layers: int = 2, dropout: float = 0.2) -> None:
        """Make the parts, initialised as the paper's code does: Kaiming on inputs, orthogonal on states."""
        super().__init__(shape)
        self.of_tick = nn.Sequential(nn.Linear(shape.columns, width), nn.PReLU())
        self.recurrent = nn.LSTM(width, width, layers, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(layers * width, shape.numbers)
        for name, weight in self.recurrent.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.kaiming_normal_(weight)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)
            else:
                nn.init.zeros_(weight)

    def forward(self, windows: Tensor) -> Tensor:
        """See `Forecaster`."""
        _, (last, _) = self.recurrent(self.of_tick(windows))
        return self.said(self.out(self.drop(torch.cat(tuple(last), -1))))
