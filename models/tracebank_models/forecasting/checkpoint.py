"""Where a training stands, in a file; and torch's random state, which is part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]


@dataclass(slots=True)
class Checkpoint:
    """Where a training stands, in a file that is whole or not there."""

    path: Path | None
    """None keeps none."""
    fingerprint: str
    """Of settings, ticks and split: a training goes on only from a checkpoint of the same."""
    state: State = field(init=False)
    """`done`: weights of each model that is trained; `rows`: their curves; `current`: the model in training."""

    def __post_init__(self) -> None:
        """Read the file, where there is one.

        Raises:
            ValueError: It is of another training.
        """
        self.state = {"fingerprint": self.fingerprint, "done": [], "rows": [], "current": None}
        if self.path is not None and self.path.exists():
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            if state["fingerprint"] != self.fingerprint:
                raise ValueError(
                    f"checkpoint: {self.path.name} is of another training; allowed: the settings, ticks and split that"
                    " it was begun with, or another file"
                )
            self.state = state

    def save(self) -> None:
        """Write the file; it has its name only when it is whole."""
        if self.path is not None:
            partial = self.path.with_name(f".{self.path.name}.partial")
            torch.save(self.state, partial)
            partial.replace(self.path)


@contextmanager
def random_state_of_its_own(device: torch.device) -> Iterator[None]:
    """Leave torch's random state as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def random_state(device: torch.device) -> dict[str, Tensor]:
    """torch's random state, of the CPU and of the device."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Go on as from a state that `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
