"""What one edit leaves in a table, beside the weights. No model is run here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

from torch import Tensor

from tracebank_models.device import as_double

from .places import EditPlace


@dataclass(frozen=True, slots=True)
class EditTrace:
    """One edit as it was made; of edits that were made together, weights and seconds are of all, shared out."""

    order: int
    """How many facts the editor had written before it."""
    layers: tuple[int, ...]
    value_loss: float
    """Of v*: mean of -log p(target) per token, nats; of FT-L, its loss at the last step."""
    seconds: float
    weight_norm: float
    """Frobenius norm of the edited matrices together, after the edit."""
    change_norm: float
    """Frobenius norm of what was added to them."""
    key_product: float | None = None
    """k . u of ROME and r-ROME: near 0, the change explodes."""
    residual: float | None = None
    """ROME: ||W'k + b - v*|| / ||v*||. Editors of several layers: distance to v* after the edit over that before it."""


class EditMeter:
    """Measures what happens to matrices between entering and leaving."""

    def __init__(self, places: list[EditPlace]) -> None:
        self.places = places
        self.seconds = self.weight_norm = self.change_norm = 0.0

    def __enter__(self) -> EditMeter:
        self._before = [place.weight.detach().clone() for place in self.places]
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._begun
        now = [as_double(place.weight.detach()) for place in self.places]
        self.weight_norm = _norm(now)
        self.change_norm = _norm([new - as_double(old) for new, old in zip(now, self._before, strict=True)])


def _norm(tensors: list[Tensor]) -> float:
    return float(sum(float(one.square().sum()) for one in tensors) ** 0.5)
