"""Double precision where the device has it, and numbers that are none."""

from __future__ import annotations

import torch
from torch import Tensor


def doubles(values: Tensor) -> Tensor:
    """Return values in double precision, on the CPU if their device has none (MPS)."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def all_finite(values: Tensor) -> bool:
    """Tell whether no value is NaN or infinite, without a second tensor of their size."""
    return values.numel() == 0 or all(bool(torch.isfinite(bound)) for bound in torch.aminmax(values))
