"""What is forecast, by which model, and how it is trained: the paper's plan, and one that a laptop ends in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec

from tracebank_models.checked_settings import check_settings, require, settings_hash
from tracebank_models.order_book_features.features import FEATURE_SETS
from tracebank_models.order_book_features.ticks import Price

from .spiking import PAPER_STEP, STEP

ModelName = Literal[
    "hfformer",
    "hfformer_released",
    "lstm",
    "transformer",
    "dlinear",
    "mlplob",
    "tlob",
    "imbalance",
    "foundation",
]
"""What `registry.MODELS` holds; `hfformer_released` is the paper's code with its faults."""
Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Above0 = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


_USUAL_RATE: Final = 1e-3
_RATES: Final[dict[ModelName, float]] = {"hfformer": 4e-3, "hfformer_released": 4e-3}
"""Where a model learns too little at the usual one in the epochs of a laptop."""


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """What a forecaster forecasts, and how it learns.

    Raises:
        ValueError: A field is not allowed; the line names it, its value and what is allowed.
    """

    model: ModelName = "hfformer"
    features: str = "paper"
    """Name in `FEATURE_SETS`."""
    price: Price = "weighted_mid"
    """Whose returns are the targets."""
    horizons: tuple[Positive, ...] = tuple(range(1, 31))
    """Ticks ahead, rising."""
    look_back: Positive = 100
    """Ticks of a window."""
    loss: Literal["mse", "pinball"] = "mse"
    quantiles: tuple[Share, ...] = (0.1, 0.5, 0.9)
    """Of the pinball loss, rising; an odd number with 0.5 in the middle."""
    per_horizon: bool = False
    """A model for each horizon, as in the paper, instead of one for all."""
    epochs: Positive = 4
    windows_per_epoch: Positive | None = 50_000
    """Drawn anew for each epoch; None takes all."""
    validation_windows: Positive | None = 20_000
    """Evenly spaced, to choose the epoch by; None takes all."""
    batch: Positive = 256
    standardised: bool = True
    """Count errors in standard deviations of the training targets, by horizon; the paper counts them as they are."""
    learning_rate: Above0 | None = None
    """The model's own (`rate`) where it is not given."""
    warm_up: NotNegative = 50
    """Steps over which the learning rate rises from zero."""
    decay: Above0 = 0.9
    """Of the learning rate, by epoch."""
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.01
    averaged: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.99
    """Share of a running mean of the weights that stays at each step; the mean is judged and kept. 0: the weights."""
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    """The model's own where it is not given."""
    spike_step: Above0 = STEP
    """Seconds of a tick to `hfformer`'s units: spikes are 1 / `spike_step` high, and so much rarer. `hfformer_released`
    has the paper's, .001."""
    shuffled: bool = True
    """Draw windows in random order; the paper's plan goes through them in the order of time."""
    seed: NotNegative = 0
    """Of weights, order and dropout."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of products in training and forecasting, where autocast allows it."""
    compiled: bool = False
    """Train through torch.compile: worth its minute on a GPU."""
    weights: str = ""
    """Folder of pretrained weights, of the model `foundation`."""

    def __post_init__(self) -> None:
        """Check every field, and what they may be together."""
        check_settings(self)
        require(self, "features", ", ".join(FEATURE_SETS), self.features in FEATURE_SETS)
        require(self, "horizons", "one or more, rising", _rises(self.horizons))
        middle = self.quantiles[len(self.quantiles) // 2 : len(self.quantiles) // 2 + 1]
        ok = _rises(self.quantiles) and len(self.quantiles) % 2 == 1 and middle == (0.5,)
        inside = all(0 < quantile < 1 for quantile in self.quantiles)
        require(self, "quantiles", "rising between 0 and 1, an odd number, 0.5 in the middle", ok and inside)
        ok = self.shuffled or self.windows_per_epoch is None
        require(self, "windows_per_epoch", "none where windows are not shuffled", ok)
        require(self, "per_horizon", "false for foundation", not (self.per_horizon and self.model == "foundation"))

    @property
    def said(self) -> tuple[float, ...]:
        """Quantiles that the model says; none where it says a mean."""
        return self.quantiles if self.loss == "pinball" else ()

    @property
    def rate(self) -> float:
        """Learning rate after the warm-up."""
        return self.learning_rate or _RATES.get(self.model, _USUAL_RATE)

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """Horizons of each model."""
        return tuple((horizon,) for horizon in self.horizons) if self.per_horizon else (self.horizons,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features."""
        return FEATURE_SETS[self.features]

    @property
    def hash(self) -> str:
        """Of every field: the same settings have the same name."""
        return settings_hash(self)[:16]


def _rises(values: tuple[float, ...]) -> bool:
    return bool(values) and all(low < high for low, high in pairwise(values))


PAPER: Final = ForecastSettings(
    per_horizon=True,
    epochs=16,
    windows_per_epoch=None,
    validation_windows=None,
    standardised=False,
    learning_rate=0.1,
    warm_up=1000,
    decay=0.98,
    averaged=0.0,
    spike_step=PAPER_STEP,
    shuffled=False,
)
"""The plan of the paper's loop over horizons: 276 million updates by a window, for a GPU."""
