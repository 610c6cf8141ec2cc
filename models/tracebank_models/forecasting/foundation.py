"""Pretrained forecasters of any series, as they are: a folder of weights, asked for the next ticks of the price alone.

Of Chronos-2, Chronos-Bolt, TiRex and TimesFM the library `transformers` loads TimesFM 2.5; the others have libraries of
their own. Nothing is trained and nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tracebank_models.order_book_features.targets import target_scale

from .shape import Forecaster, Shape

KIND: Final = "timesfm2_5"


def why_not(folder: str) -> str | None:
    """Why a folder's weights cannot be run, in one line; None where they can."""
    import json

    if not folder:
        return "not run, no weights"
    config = Path(folder) / "config.json"
    if not config.is_file():
        return f"weights: {folder!r} has no config.json; allowed: a folder of TimesFM 2.5 weights"
    kind = json.loads(config.read_text()).get("model_type")
    if kind != KIND:
        return f"weights: {folder!r} is of kind {kind!r}; allowed: {KIND}, which is what transformers can load"
    return None


class Foundation(Forecaster):
    """TimesFM 2.5 on the logarithm of the price, in basis points from the last tick."""

    def __init__(self, shape: Shape, folder: str, horizons: tuple[int, ...], quantiles: tuple[float, ...]) -> None:
        """Load the weights.

        Args:
            shape: What it sees and says.
            folder: Of the weights, as transformers saves them.
            horizons: Ticks ahead.
            quantiles: That it says; none is the point forecast.

        Raises:
            ValueError: There are no weights that can be run, or they say too few ticks or not these quantiles.
        """
        super().__init__(shape)
        if reason := why_not(folder):
            raise ValueError(reason)
        from transformers import TimesFm2_5ModelForPrediction

        self.network: Any = TimesFm2_5ModelForPrediction.from_pretrained(folder, local_files_only=True)
        self.network.requires_grad_(requires_grad=False)
        config = self.network.config
        patch, furthest, said = config.patch_length, config.horizon_length, list(config.quantiles)
        if shape.look_back < patch:
            raise ValueError(
                f"look_back: {shape.look_back} is not allowed; allowed: {patch} or more, for these weights"
            )
        if max(horizons) > furthest:
            raise ValueError(f"horizons: {max(horizons)} is not allowed; allowed: 1 to {furthest}, for these weights")
        if missing := [quantile for quantile in quantiles if quantile not in said]:
            raise ValueError(f"quantiles: {missing[0]} is not allowed; allowed: {said}, for these weights")
        self.seen = shape.look_back // patch * patch
        # The first of its numbers is a mean, the quantiles come after it.
        self.numbers = [1 + said.index(quantile) for quantile in quantiles] or [config.decode_index]
        self.steps = [horizon - 1 for horizon in horizons]
        self.register_buffer("scale", torch.from_numpy(target_scale(horizons)).float()[:, None], persistent=False)
        self.scale: Tensor

    def forward(self, prices: Tensor) -> Tensor:
        """See `Forecaster`; shown are logarithms of the price, `[b, look_back]`."""
        series = 1e4 * (prices[:, -self.seen :] - prices[:, -1:])
        asked = {"forecast_context_len": self.seen, "truncate_negative": False}
        said: Tensor = self.network(past_values=list(series.float()), **asked).full_predictions
        # The weights say a number for each quantile; ordered, they cannot cross.
        return (said[:, self.steps][..., self.numbers] / self.scale).sort(-1).values
