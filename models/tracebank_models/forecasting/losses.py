"""What training makes small: squared error of a mean, or pinball loss of quantiles; unknown targets count nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def forecast_loss(said: Tensor, targets: Tensor, quantiles: tuple[float, ...], unit: Tensor) -> Tensor:
    """Mean over what is known.

    Args:
        said: `[b, horizons, outputs]`.
        targets: `[b, horizons]`; NaN where there is none.
        quantiles: That the outputs are, for the pinball loss (mean over them); none for the squared error of one.
        unit: That errors are counted in, `[horizons, 1]`, so that horizons weigh alike.

    Returns:
        A number; 0 where no target is known.
    """
    known = ~targets.isnan()
    left = torch.where(known[..., None], (targets[..., None] - said.float()) / unit, 0.0)
    if quantiles:
        levels = torch.tensor(quantiles, device=said.device)
        loss = torch.maximum(levels * left, (levels - 1) * left).mean(-1)
    else:
        loss = left.squeeze(-1).square()
    return loss.sum() / known.sum().clamp_min(1)
