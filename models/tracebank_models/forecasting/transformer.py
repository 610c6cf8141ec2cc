"""An encoder-decoder transformer (1706.03762): each horizon asks the encoded window in a query of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .shape import Forecaster, Shape, sinusoids


class Transformer(Forecaster):
    """torch's encoder and decoder layers, with positions; horizons do not see one another's answers."""

    def __init__(
        self, shape: Shape, width: int = 36, heads: int = 6, layers: int = 2, hidden: int = 64, dropout: float = 0.1
    ) -> None:
        """Make the parts."""
        super().__init__(shape)
        self.embedding = nn.Linear(shape.columns, width)
        self.register_buffer("positions", sinusoids(shape.look_back, width), persistent=False)
        self.positions: Tensor
        sizes = {"d_model": width, "nhead": heads, "dim_feedforward": hidden, "dropout": dropout, "batch_first": True}
        encoding = nn.TransformerEncoderLayer(**sizes, norm_first=True)  # type: ignore[arg-type]
        decoding = nn.TransformerDecoderLayer(**sizes, norm_first=True)  # type: ignore[arg-type]
        self.encoder = nn.TransformerEncoder(encoding, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoding, 1, nn.LayerNorm(width))
        self.queries = nn.Parameter(torch.randn(shape.horizons, width) / width**0.5)
        self.out = nn.Linear(width, shape.outputs)

    def forward(self, windows: Tensor) -> Tensor:
        """See `Forecaster`."""
        memory = self.encoder(self.embedding(windows) + self.positions)
        asked = self.decoder(self.queries.expand(len(windows), -1, -1), memory)
        return self.said(self.out(asked).flatten(1))
