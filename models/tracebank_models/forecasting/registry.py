"""The forecasters by name, and what each is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tracebank_models.order_book_features.features import feature_matrix
from tracebank_models.order_book_features.ticks import Ticks

from .book_mixers import MLPLOB, TLOB
from .foundation import Foundation
from .hfformer import HFformer
from .linear import CONTROL_FEATURES, DLinear, Imbalance
from .recurrent import LSTM
from .settings import ForecastSettings, ModelName
from .shape import Forecaster, Shape
from .transformer import Transformer

Horizons = tuple[int, ...]


def _control(ticks: Ticks, _: ForecastSettings) -> Tensor:
    """What leans in each row, `[n, features]`."""
    return torch.from_numpy(feature_matrix(ticks, CONTROL_FEATURES))


def _series(ticks: Ticks, settings: ForecastSettings) -> Tensor:
    """The logarithm of the price over each window, `[n, look_back]`, in rows that share memory."""
    price = torch.from_numpy(np.log(ticks.price(settings.price)))
    return torch.cat((price[:1].expand(settings.look_back - 1), price)).unfold(0, settings.look_back, 1)


class Model(NamedTuple):
    """A forecaster: how it is made, and what it is shown."""

    make: Callable[[Shape, ForecastSettings, Horizons], Forecaster]
    sees: Callable[[Ticks, ForecastSettings], Tensor] | None = None
    """What it is shown at each tick, `[n, ...]`; None shows windows of features."""


def _dropout(settings: ForecastSettings) -> dict[str, Any]:
    return {} if settings.dropout is None else {"dropout": settings.dropout}


MODELS: Final[dict[ModelName, Model]] = {
    "hfformer": Model(lambda shape, settings, _: HFformer(shape, **_dropout(settings), step=settings.spike_step)),
    "hfformer_released": Model(lambda shape, settings, _: HFformer(shape, **_dropout(settings), as_released=True)),
    "lstm": Model(lambda shape, settings, _: LSTM(shape, **_dropout(settings))),
    "transformer": Model(lambda shape, settings, _: Transformer(shape, **_dropout(settings))),
    "dlinear": Model(lambda shape, *_: DLinear(shape)),
    "mlplob": Model(lambda shape, *_: MLPLOB(shape)),
    "tlob": Model(lambda shape, *_: TLOB(shape)),
    "imbalance": Model(lambda shape, settings, _: Imbalance(shape, settings.said), _control),
    "foundation": Model(
        lambda shape, settings, horizons: Foundation(shape, settings.weights, horizons, settings.said), _series
    ),
}
"""By name."""
