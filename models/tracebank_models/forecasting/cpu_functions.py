"""The kernels of `cpu_kernels` as functions that torch can learn through."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .cpu_kernels import attend, attend_backward, drop


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, packed: Tensor, dropout: float) -> Tensor:
        packed = packed.contiguous()
        windows, ticks, _, heads, parts = packed.shape
        out, sums = packed.new_empty(windows, ticks, heads, parts), packed.new_empty(windows, heads, ticks)
        ctx.dropped = _dropped(dropout)
        attend(packed.detach().numpy(), out.numpy(), sums.numpy(), *ctx.dropped)
        ctx.save_for_backward(packed, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        packed, out, sums = ctx.saved_tensors
        made, came = torch.empty_like(packed), gradients[0].contiguous()
        numbers = out.numpy(), sums.numpy(), came.numpy(), made.numpy()
        attend_backward(packed.detach().numpy(), *numbers, *ctx.dropped)
        return made, None


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dropout: float) -> Tensor:
        ctx.dropped = _dropped(dropout)
        return _with_less(values, ctx.dropped)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return _with_less(gradients[0], ctx.dropped), None


def _with_less(values: Tensor, dropped: tuple[int, Any, Any]) -> Tensor:
    out = torch.empty_like(values, memory_format=torch.contiguous_format)
    last = values.shape[-1]
    drop(values.detach().contiguous().view(-1, last).numpy(), out.view(-1, last).numpy(), *dropped)
    return out


def _dropped(dropout: float) -> tuple[int, Any, Any]:
    """Seed (torch's next random number), limit and scale."""
    if not dropout:
        return 0, np.uint32(0), np.float32(1)
    seed = int(torch.randint(1 << 62, ()))
    return seed, np.uint32(dropout * 2**32), np.float32(1 / (1 - dropout))


def runs_here(values: Tensor) -> bool:
    """Whether these kernels take a tensor: float32 on the CPU, and not while torch compiles."""
    return values.device.type == "cpu" and values.dtype == torch.float32 and not torch.compiler.is_compiling()


def attended(packed: Tensor, dropout: float) -> Tensor:
    """Causal attention on the CPU.

    Args:
        packed: `[b, ticks, 3, heads, parts]`, float32: queries, keys, values.
        dropout: Share of weights that are dropped.

    Returns:
        `[b, ticks, heads, parts]`.
    """
    made: Tensor = _Attention.apply(packed, dropout)  # type: ignore[no-untyped-call]
    return made


def dropped(values: Tensor, dropout: float) -> Tensor:
    """Dropout on the CPU, of float32 of any shape."""
    made: Tensor = _Drop.apply(values, dropout)  # type: ignore[no-untyped-call]
    return made
