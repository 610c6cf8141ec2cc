"""Settings of the editors: the published ones by name of the model, and a rule for all other models.

Published: github.com/kmeng01/rome and memit (FT-L, ROME, MEMIT), jianghoucheng/AlphaEdit (arXiv:2410.02355) and
scalable-model-editing/knowledge-editing-regularization (the norm constraint, arXiv:2502.01636).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Final

import msgspec

from tracebank_models.checked_settings import check_settings, require

from .value_search import NotNegative, Positive, SearchSettings

Layer = Annotated[int, msgspec.Meta(ge=0)]
START_WORDS: Final = ("The", "Therefore", "Because", "I", "You")


@dataclass(frozen=True, slots=True)
class PrefixPlan:
    """Texts before a prompt, as the model writes them."""

    lengths: tuple[tuple[int, int], ...] = ((5, 10), (10, 10))
    """Tokens of a text, its start among them, and how many texts of it."""
    start_words: bool = False
    """Whether texts begin with `START_WORDS` in turn; else with the end of a text before."""
    top_k: int = 5
    """Likeliest tokens that the next one is drawn from."""


MASS_PREFIXES: Final = PrefixPlan(((10, 5),), start_words=True)
"""Of MEMIT and what comes from it."""


@dataclass(frozen=True, slots=True)
class FineTuningSettings:
    """FT-L: a few steps on one layer's second matrix and bias, within a box around where they were."""

    radius: Positive
    """Most that an entry may move."""
    layer: Layer = 0
    rate: Positive = 5e-4
    """Of Adam."""
    steps: Annotated[int, msgspec.Meta(ge=1)] = 25
    weight_decay: NotNegative = 0.0
    enough: NotNegative = 1e-2
    """Loss below which the steps end."""
    batch_facts: Annotated[int, msgspec.Meta(ge=1)] = 64

    def __post_init__(self) -> None:
        """Check every field; raises ValueError with one line."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class RankOneSettings:
    """ROME and r-ROME: one fact, one change of rank one."""

    layer: Layer
    search: SearchSettings = field(default_factory=SearchSettings)
    moment_ridge: NotNegative = 0.0
    """Added to the moment's diagonal, over its mean; needed where there are fewer tokens than keys."""
    prefixes: PrefixPlan = PrefixPlan()

    def __post_init__(self) -> None:
        """Check every field; raises ValueError with one line."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class MassSettings:
    """MEMIT and what comes from it: many facts, spread over several layers."""

    layers: tuple[Layer, ...]
    """In rising order; values are those of the stream after the last one."""
    search: SearchSettings = field(default_factory=lambda: SearchSettings(clamp=0.75))
    moment_weight: NotNegative = 15_000.0
    """Of the second moment, beside the edited keys; AlphaEdit does not use it."""
    moment_ridge: NotNegative = 0.0
    """Added to the moment's diagonal, over its mean; AlphaEdit does not use it."""
    norm_weight: NotNegative = 0.0
    """What is added to the diagonal against growth of the weights (arXiv:2502.01636), and of AlphaEdit (its L2)."""
    null_threshold: NotNegative = 2e-2
    """Singular values of the moment below it span where AlphaEdit may write."""
    prefixes: PrefixPlan = MASS_PREFIXES

    def __post_init__(self) -> None:
        """Check every field; raises ValueError with one line."""
        check_settings(self)
        rising = bool(self.layers) and list(self.layers) == sorted(set(self.layers))
        require(self, "layers", "one or more layers in rising order", rising)


_RADII: Final = {"gpt2-medium": 2e-3, "gpt2-large": 1e-3, "gpt2-xl": 5e-4, "gpt-j-6b": 5e-5, "gpt-neox-20b": 5e-5}
_ROME: Final = {
    "gpt2-medium": (8, 3.0),
    "gpt2-large": (12, 4.0),
    "gpt2-xl": (17, 4.0),
    "gpt-j-6b": (5, 4.0),
    "gpt-neox-20b": (15, 4.0),
}
"""Layer and clamp."""
_MEMIT: Final = {"gpt2-xl": (range(13, 18), 20, 20_000.0), "gpt-j-6b": (range(3, 9), 25, 15_000.0)}
"""Layers, steps and weight of the moment."""
_SMALL_RADIUS: Final = 5e-3
"""FT-L's of models without a published one: what moved the facts of models 128 wide; it has to be tuned for others."""
_RIDGE: Final = 1e-3
"""Of models without published settings: small ones have few keys, in NeoX's first layer one for each token."""
_SMALL_WEIGHT: Final = 15.0
_SMALL_GROWTH: Final = 0.1
"""MEMIT's weight of the moment and AlphaEdit's against growth, of models without published settings. The published ones
stop every edit of models 128 wide; these were tuned, on 20 facts of a world in a GPT-2 that no run is about."""
_ROME_DEPTH: Final = 0.35
_MEMIT_DEPTH: Final = 0.27, 0.35
"""Where editing takes place in GPT-2, over the number of layers."""


def short_name(model: str) -> str:
    """A model's name as the published settings have it: no owner, no capitals."""
    return model.rstrip("/").rpartition("/")[2].lower()


def fine_tuning_settings(model: str, layers: int) -> FineTuningSettings:
    """FT-L's settings for a model of that name and number of layers."""
    del layers  # always the first one
    return FineTuningSettings(_RADII.get(short_name(model), _SMALL_RADIUS))


def rank_one_settings(model: str, layers: int) -> RankOneSettings:
    """ROME's settings for a model of that name and number of layers."""
    name = short_name(model)
    layer, clamp = _ROME.get(name, (min(layers - 1, round(_ROME_DEPTH * layers)), 4.0))
    return RankOneSettings(layer, SearchSettings(clamp=clamp), moment_ridge=0.0 if name in _ROME else _RIDGE)


def mass_settings(model: str, layers: int) -> MassSettings:
    """MEMIT's settings for a model of that name and number of layers."""
    name = short_name(model)
    first, last = (min(layers - 1, round(depth * layers)) for depth in _MEMIT_DEPTH)
    chosen = range(max(0, min(first, last - 1)), last + 1)
    span, steps, weight = _MEMIT.get(name, (chosen, 20, _SMALL_WEIGHT))
    search, ridge = SearchSettings(clamp=0.75, steps=steps), 0.0 if name in _MEMIT else _RIDGE
    return MassSettings(tuple(span), search, weight, ridge)


def norm_settings(model: str, layers: int) -> MassSettings:
    """Those of MEMIT with a norm constraint: MEMIT's, and what was published for facts in gpt2-xl."""
    plain = mass_settings(model, layers)
    return replace(plain, norm_weight=_growth(model), search=replace(plain.search, top_steps=4))


def alpha_settings(model: str, layers: int) -> MassSettings:
    """AlphaEdit's: MEMIT's, and a weight of 10 against growth (its L2), of models with published settings."""
    return replace(mass_settings(model, layers), norm_weight=_growth(model))


def _growth(model: str) -> float:
    return 10.0 if short_name(model) in _MEMIT else _SMALL_GROWTH
