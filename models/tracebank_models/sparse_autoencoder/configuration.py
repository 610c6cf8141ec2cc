"""What a dictionary is and how it is trained, checked once: the fields that all architectures have.

`DictionaryConfig(architecture="topk", k=8, ...)` makes the configuration of that architecture, whose own fields and
checks stand in its file. Naming the architectures costs no torch; making a configuration does.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

if TYPE_CHECKING:
    from tracebank_models.sparse_autoencoder.dictionary import Architecture

_FOLDER: Final = Path(__file__).with_name("architectures")
ARCHITECTURES: Final = tuple(sorted(module.name for module in pkgutil.iter_modules([str(_FOLDER)])))
"""Kinds of dictionaries: the files of the folder."""
TRAINED: Final = tuple(sorted({*ARCHITECTURES} - {"neurons"}))
"""Those that have something to train."""


def architecture_of(name: str) -> Architecture:
    """Return what the architecture's file declares.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture = {name!r}: must be one of {', '.join(ARCHITECTURES)}")
    module = importlib.import_module(f"{__package__}.architectures.{name}")
    return cast("Architecture", module.ARCHITECTURE)


@cache
def own_fields(architecture: str) -> frozenset[str]:
    """Return the fields of an architecture, those of all included."""
    return frozenset(field.name for field in fields(architecture_of(architecture).config))


@dataclass(frozen=True, kw_only=True)
class DictionaryConfig:
    """One dictionary.

    Raises:
        ValueError: A field is out of range, or none of the architecture's; the message names it, its value and what is
            allowed.
    """

    many_sites: ClassVar[bool] = False
    """Whether it reads several sites side by side."""

    name: str
    """Unique among the dictionaries that train together; a folder of a checkpoint has this name."""
    architecture: str = "topk"
    """One of `ARCHITECTURES`."""
    d_in: int
    """Width of one site's activations."""
    d_sae: int
    """Features."""
    sites: tuple[str, ...] = ("activations",)
    """Sites of the stream that it reads: one, or the base's and the tuned model's for a crosscoder."""
    learning_rate: float = 1e-3
    warm_up_steps: int = 100
    """Steps in which the learning rate rises linearly."""
    steps: int = 0
    """Steps of the whole training; 0 where that is not known, and the learning rate never falls."""
    decay_share: float = 0.0
    """Share of `steps`, the last ones, in which the learning rate falls linearly to 0."""
    sparsity_warm_up_steps: int = 0
    """Steps in which the weight of a sparsity penalty, where there is one, rises linearly."""
    max_grad_norm: float | None = 1.0
    """Gradients are clipped to this global norm; None does not clip."""
    dead_after_tokens: int = 10_000_000
    """A feature that fires on none of so many tokens is dead."""
    normalize_activations: bool = False
    """Scale each site by a constant, found on the first batch, to the norm that the architecture's paper takes."""
    seed: int = 0

    if TYPE_CHECKING:

        def __init__(self, *, name: str, architecture: str = ..., d_in: int, d_sae: int, **values: Any) -> None: ...

    def __new__(cls, **values: Any) -> Self:
        """Make the architecture's own configuration, whichever class is called."""
        if cls is not DictionaryConfig:
            return super().__new__(cls)
        architecture = values.get("architecture", DictionaryConfig.architecture)
        own = architecture_of(architecture).config
        for field in sorted(values.keys() - own_fields(architecture)):
            allowed = ", ".join(sorted(own_fields(architecture)))
            raise ValueError(f"{field} = {values[field]!r}: is no field of {architecture}, which has {allowed}")
        return cast("Self", object.__new__(own))

    def __post_init__(self) -> None:
        if type(self) is not architecture_of(self.architecture).config:
            raise ValueError(f"architecture = {self.architecture!r}: is not that of a {type(self).__name__}")
        for field in ("d_in", "d_sae", "dead_after_tokens"):
            at_least(field, getattr(self, field), 1)
        for field in ("warm_up_steps", "sparsity_warm_up_steps", "steps", "seed"):
            at_least(field, getattr(self, field), 0)
        if not 0 <= self.decay_share <= 1:
            raise ValueError(f"decay_share = {self.decay_share}: must be from 0 to 1")
        above_0("learning_rate", self.learning_rate)
        if self.max_grad_norm is not None:
            above_0("max_grad_norm", self.max_grad_norm)
        if not self.name or set(self.name) & set("/\\") or self.name.startswith("."):
            raise ValueError(f"name = {self.name!r}: must be a file name without '/', '\\' and leading '.'")
        self._check_sites()
        self.check_own()

    def check_own(self) -> None:
        """Check the fields that are the architecture's own.

        Raises:
            ValueError: One is out of range.
        """

    def _check_sites(self) -> None:
        if self.many_sites and len(self.sites) < 2:
            raise ValueError(f"sites = {self.sites}: a {self.architecture} reads at least two")
        if not self.many_sites and len(self.sites) != 1:
            raise ValueError(f"sites = {self.sites}: {self.architecture} reads exactly one")
        if len(set(self.sites)) != len(self.sites):
            raise ValueError(f"sites = {self.sites}: must differ from one another")

    @property
    def width(self) -> int:
        """Width of the input: all sites side by side."""
        return self.d_in * len(self.sites)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `from_dict` takes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DictionaryConfig:
        """Make a configuration out of settings for several architectures, or of what JSON keeps of one.

        Fields that only other architectures have are passed over.

        Raises:
            ValueError: See the class; also where no architecture has a field.
        """
        own = own_fields(values.get("architecture", cls.architecture))
        others = frozenset[str]().union(*map(own_fields, ARCHITECTURES)) - own
        kept: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name not in others
        }
        return DictionaryConfig(**kept)


def at_least(field: str, value: float, least: float) -> None:
    """Refuse a value below the least.

    Raises:
        ValueError: It is, or is not finite.
    """
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{field} = {value}: must be at least {least}")


def above_0(field: str, value: float) -> None:
    """Refuse a value that is not positive.

    Raises:
        ValueError: It is not, or is not finite.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{field} = {value}: must be above 0")
