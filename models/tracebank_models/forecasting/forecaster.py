"""A trained forecaster: what it says of stored ticks, and how it is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from tracebank_models.device import one_thread, resolved_device
from tracebank_models.order_book_features.splits import window_ends
from tracebank_models.order_book_features.ticks import Ticks

from .registry import MODELS
from .rows import Rows
from .settings import ForecastSettings
from .shape import Forecaster, Shape
from .stream import Stream

_SETTINGS, _WEIGHTS, _CURVES = "settings.json", "weights.safetensors", "curves.parquet"
_NOT_KEPT: Final = ".network."
"""Pretrained weights stay in the folder that the settings name."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """What a forecaster says of rows."""

    ends: NDArray[np.int64]
    """`[k]`, the rows that forecasts are made at: nothing later was looked at."""
    values: NDArray[np.float32]
    """`[k, horizons, outputs]`, in basis points over the horizon's `target_scale`."""
    horizons: tuple[int, ...]
    quantiles: tuple[float, ...]
    """Of the outputs; none where the one output is a mean."""

    @property
    def point(self) -> NDArray[np.float32]:
        """The mean or the median, `[k, horizons]`."""
        return self.values[:, :, self.values.shape[2] // 2]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedForecaster:
    """Modules that forecast, and how they came about."""

    settings: ForecastSettings
    modules: nn.ModuleList
    """One, or one a horizon; in evaluation."""
    curves: pl.DataFrame
    """A row for each evaluation: see `training.train`."""

    def forecast(self, ticks: Ticks, rows: range | None = None, device: str = "cpu") -> Forecasts:
        """Forecast at every tick whose window lies whole in a range and in an unbroken stretch.

        Args:
            ticks: Of any length; features are made as in training.
            rows: Of the ticks; all if not given.
            device: Name of one in `tracebank_models.device.DEVICES`.

        Raises:
            ValueError: No window lies in the range, or a feature is not finite.
        """
        place = resolved_device(device)
        with one_thread():
            shown = Rows(self.settings, ticks, place)
            ends = window_ends(ticks.segment, self.settings.look_back, 0, rows or range(len(ticks)))
            values = shown.said(self.on(place), ends).numpy()
        return Forecasts(ends, values, self.settings.horizons, self.settings.said)

    def stream(self) -> Stream:
        """Forecasts of rows as they come."""
        return Stream(self.settings, self.on(torch.device("cpu")))

    def on(self, device: torch.device) -> Sequence[nn.Module]:
        """The modules, on a device."""
        return list(self.modules.to(device))

    def save(self, folder: Path) -> None:
        """Write settings, weights and curves; a folder has its name only when it is whole.

        Raises:
            FileExistsError: There is such a folder.
        """
        if folder.exists():
            raise FileExistsError(f"folder: {folder} exists; allowed: a new one")
        partial = folder.with_name(f".{folder.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        (partial / _SETTINGS).write_bytes(msgspec.json.format(msgspec.json.encode(dataclasses.asdict(self.settings))))
        state = {name: value.cpu().contiguous() for name, value in self.modules.state_dict().items()}
        save_file({name: value for name, value in state.items() if _NOT_KEPT not in name}, partial / _WEIGHTS)
        self.curves.write_parquet(partial / _CURVES)
        partial.replace(folder)


def load(folder: Path) -> TrainedForecaster:
    """Read what `TrainedForecaster.save` wrote.

    Raises:
        ValueError: The folder is none of these.
    """
    if not (folder / _SETTINGS).is_file():
        raise ValueError(f"folder: {folder} has no {_SETTINGS}; allowed: a folder of a trained forecaster")
    settings = msgspec.json.decode((folder / _SETTINGS).read_bytes(), type=ForecastSettings)
    modules = nn.ModuleList(made(settings, horizons) for horizons in settings.members)
    kept: dict[str, Any] = load_file(folder / _WEIGHTS)
    besides = {name: value for name, value in modules.state_dict().items() if _NOT_KEPT in name}
    modules.load_state_dict(besides | kept)
    return TrainedForecaster(settings, modules.eval(), pl.read_parquet(folder / _CURVES))


def made(settings: ForecastSettings, horizons: tuple[int, ...]) -> Forecaster:
    """An untrained model of some horizons, on the CPU; its weights are torch's random state's."""
    shape = Shape(len(settings.columns), settings.look_back, len(horizons), max(1, len(settings.said)))
    return MODELS[settings.model].make(shape, settings, horizons)
