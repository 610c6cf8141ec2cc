"""Windows of features, gathered a batch at a time from the rows they share: never all of them at once.

The paper's 720,000 windows of 100 ticks and 38 columns would be 21.9 GB in float64; the rows that they are made of
are 0.11 GB in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

DEVIATION_OFFSET: Final = 0.01
"""Added to a window's standard deviation, as in the paper's code: a column that stands still becomes 0."""


class Windows:
    """Windows over features, on the device that the features lie on."""

    def __init__(self, features: Tensor, look_back: int, keep: Sequence[bool] | None = None) -> None:
        """Lay windows over features, without copying them.

        Args:
            features: `[n, d]`, float.
            look_back: L, ticks of a window.
            keep: Per column, whether it is left as it is; none if not given. `features.keeps_its_scale` says which
                lose by a z-score.

        Raises:
            ValueError: There are fewer rows than ticks in a window, or `keep` is not d long.
        """
        rows, columns = features.shape
        if not 1 <= look_back <= rows:
            raise ValueError(f"look_back: {look_back} is not allowed; allowed: 1 to {rows}, the rows there are")
        if keep is not None and len(keep) != columns:
            raise ValueError(f"keep: {len(keep)} columns; allowed: {columns}, one for each feature")
        self.features = features.contiguous()
        self.look_back = look_back
        self._view = self.features.as_strided((rows - look_back + 1, look_back, columns), (columns, columns, 1))
        self._keep = torch.tensor(keep, device=features.device) if keep is not None and any(keep) else None

    def batch(self, ends: Tensor) -> Tensor:
        """Windows by their last rows.

        Each column is less its mean in the window, over its standard deviation there (of the population, NumPy's
        default, as in the paper's code) + `DEVIATION_OFFSET`.

        Args:
            ends: `[b]`, whole numbers from `look_back - 1` on.

        Returns:
            `[b, look_back, d]`.

        Raises:
            IndexError: There is no such window.
        """
        windows = self._view.index_select(0, ends - (self.look_back - 1))
        deviation, mean = torch.std_mean(windows, dim=1, correction=0, keepdim=True)
        deviation += DEVIATION_OFFSET
        if self._keep is not None:
            mean.masked_fill_(self._keep, 0.0)
            deviation.masked_fill_(self._keep, 1.0)
        return windows.sub_(mean).div_(deviation)
