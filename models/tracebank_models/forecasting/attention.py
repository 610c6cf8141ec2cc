"""Attention of short windows by several heads: a tick looks at all, or at itself and those before it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .cpu_functions import attended, dropped, runs_here


class SelfAttention(nn.Module):
    """Attention of a window's ticks to one another; parameters as in `torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, causal: bool = False) -> None:
        """Make the projections.

        Args:
            width: Of what comes and goes; a multiple of `heads`.
            heads: How many ways of looking.
            dropout: Of the weights of attention, in training.
            causal: Whether a tick sees none after it.
        """
        super().__init__()
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.inward.weight)
        nn.init.zeros_(self.inward.bias)
        nn.init.zeros_(self.outward.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[b, ticks, width]` of as much."""
        packed: Tensor = self.inward(inputs)
        packed = packed.view(*packed.shape[:2], 3, self.heads, -1)
        dropout = self.dropout if self.training else 0.0
        if self.causal and runs_here(packed):
            seen = attended(packed, dropout)
        else:
            query, key, value = packed.permute(2, 0, 3, 1, 4)
            seen = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=self.causal)
            seen = seen.transpose(1, 2)
        return self.outward(seen.flatten(2))  # type: ignore[no-any-return]


class Dropout(nn.Dropout):
    """torch's, by a kernel of ours where it runs: drawing a number costs torch ten times what the product does."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Some of the inputs, as large as all on average."""
        if not (self.training and self.p and runs_here(inputs)):
            return super().forward(inputs)
        return dropped(inputs, self.p)
