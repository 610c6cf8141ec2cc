"""Ticks as a forecaster is shown them, a batch at a time on a device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tracebank_models.order_book_features.features import feature_matrix, keeps_its_scale
from tracebank_models.order_book_features.ticks import Ticks
from tracebank_models.order_book_features.windows import Windows

from .registry import MODELS
from .settings import ForecastSettings


class Rows:
    """What a forecaster sees of ticks."""

    def __init__(self, settings: ForecastSettings, ticks: Ticks, device: torch.device) -> None:
        """Make what is shown.

        Raises:
            ValueError: There are fewer ticks than a window has, or a feature is not finite.
        """
        if len(ticks) < settings.look_back:
            raise ValueError(f"look_back: {settings.look_back} is not allowed; allowed: 1 to {len(ticks)}, the ticks")
        self.settings, self.device = settings, device
        sees = MODELS[settings.model].sees
        self._instead = sees(ticks, settings) if sees else None
        self._windows = None if sees else windows(feature_matrix(ticks, settings.columns), settings, device)

    def shown(self, ends: Tensor) -> Tensor:
        """What is shown at last rows `[b]`, `[b, ...]`."""
        if self._windows is not None:
            return self._windows.batch(ends.to(self.device))
        assert self._instead is not None
        # Rows that share memory are moved only when they are taken.
        return self._instead[ends].to(self.device)

    @torch.no_grad()
    def said(self, modules: Sequence[nn.Module], ends: NDArray[np.int64], batch: int = 256) -> Tensor:
        """What modules in evaluation say of last rows `[k]`, `[k, horizons of all, outputs]` on the CPU."""
        parts = []
        for some in torch.split(torch.from_numpy(ends), batch):
            with autocast(self.settings, self.device):
                shown = self.shown(some)
                parts.append(torch.cat([module(shown).float() for module in modules], 1).cpu())
        return torch.cat(parts)


def autocast(settings: ForecastSettings, device: torch.device) -> AbstractContextManager[object]:
    """The precision that products are taken in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")


def windows(features: NDArray[np.float32], settings: ForecastSettings, device: torch.device) -> Windows:
    """Windows over the columns of settings, z-scored but for those that keep their scale.

    Args:
        features: `[n, columns]`.
        settings: Which columns, and how long a window is.
        device: Where they are.

    Raises:
        ValueError: A feature is not finite, or there are fewer rows than a window has.
    """
    names = settings.columns
    if not np.isfinite(features).all():
        row, at = np.argwhere(~np.isfinite(features))[0]
        raise ValueError(f"features: {names[at]} of row {row:,} is {features[row, at]}; allowed: finite numbers")
    keep = [keeps_its_scale(name) for name in names]
    return Windows(torch.from_numpy(features).to(device), settings.look_back, keep)
