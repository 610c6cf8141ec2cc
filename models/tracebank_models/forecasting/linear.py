"""Linear forecasters: DLinear on the window, and the control that sees only how the last row's quantities lean."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from .shape import Forecaster, Shape

CONTROL_FEATURES: Final = (*(f"imbalance_{level}" for level in range(5)), "micro_price")
"""What the control sees. The weighted mid's deviation is the micro-price's with the other sign."""


class DLinear(Forecaster):
    """DLinear (2205.13504), a weight for each column and tick: of a running mean over ticks, and of what is left."""

    def __init__(self, shape: Shape, kernel: int = 25) -> None:
        """Make the parts; weights begin at zero, so that what is first said is nothing.

        Args:
            shape: What it sees and says.
            kernel: Ticks of the running mean, odd.
        """
        super().__init__(shape)
        self.kernel = kernel
        size = shape.look_back * shape.columns
        self.of_trend, self.of_rest = nn.Linear(size, shape.numbers), nn.Linear(size, shape.numbers, bias=False)
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, windows: Tensor) -> Tensor:
        """See `Forecaster`."""
        columns = windows.transpose(1, 2)
        reach = self.kernel // 2
        padded = functional.pad(columns, (reach, reach), mode="replicate")
        trend = functional.avg_pool1d(padded, self.kernel, 1)
        return self.said(self.of_trend(trend.flatten(1)) + self.of_rest((columns - trend).flatten(1)))


class Imbalance(Forecaster):
    """Least squares on `CONTROL_FEATURES` of the last row: what is mechanical in a forecast, and the null beside it.

    Fitted at once (`fit`), not by gradients, so that the control is as good as it can be. Quantiles are the mean, moved
    by the quantile of what was left over in training.
    """

    def __init__(self, shape: Shape, quantiles: tuple[float, ...] = ()) -> None:
        """Make weights that say nothing yet.

        Args:
            shape: What it sees and says.
            quantiles: That it says, where it says more than a mean.
        """
        super().__init__(shape)
        self.quantiles = quantiles
        self.weight = nn.Parameter(torch.zeros(len(CONTROL_FEATURES), shape.horizons))
        self.offset = nn.Parameter(torch.zeros(shape.horizons, shape.outputs))

    def forward(self, last: Tensor) -> Tensor:
        """See `Forecaster`; shown are the last row's `CONTROL_FEATURES`, `[b, features]`."""
        return (last @ self.weight)[..., None] + self.offset

    @torch.no_grad()
    def fit(self, last: Tensor, targets: Tensor) -> None:
        """Fit each horizon to its targets.

        Args:
            last: `[k, features]`.
            targets: `[k, horizons]`, NaN where there is none.
        """
        quantiles = torch.tensor(self.quantiles, dtype=torch.float64, device=last.device)
        for at in range(self.shape.horizons):
            known = ~targets[:, at].isnan()
            seen, wanted = last[known].double(), targets[known, at].double()
            centre, scale = seen.mean(0), seen.std(0).clamp_min(1e-9)
            weight = (
                torch.linalg.lstsq((seen - centre) / scale, (wanted - wanted.mean())[:, None]).solution[:, 0] / scale
            )
            left = wanted - seen @ weight
            self.weight[:, at] = weight
            self.offset[at] = _quantiles(left, quantiles) if self.quantiles else left.mean()


def _quantiles(values: Tensor, quantiles: Tensor) -> Tensor:
    """As `torch.quantile`, which refuses more than 16 million."""
    ordered = values.sort().values
    at = quantiles * (len(values) - 1)
    low = at.floor().long()
    high = at.ceil().long()
    return torch.lerp(ordered[low], ordered[high], at - low)
