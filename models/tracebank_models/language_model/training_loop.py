"""The loop that every training here runs in: steps, rows, checkpoints, and resuming where a killed run stopped.

What a step does is the trainer's (`pretraining`, `proximal_policy`, `direct_preference`). A checkpoint is a folder that
`transformers` can load, plus the state needed to go on: optimizer, random state, step, rows so far.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .loading import no_progress_bar

Row = dict[str, float | int]
OnStep = Callable[[Mapping[str, float | int]], None]
"""Called with the row of each step taken; for progress. What it raises ends the training."""

_NAME = re.compile(r"checkpoint-(\d{8})")
_STATE = "training_state.pt"


class Stateful(Protocol):
    """What has a state to be kept: an optimizer, a value head, a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """The state, of tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take a state that `state_dict` gave."""


@dataclass(frozen=True, slots=True)
class TrainingLoop:
    """A training of a number of steps, with checkpoints in a folder."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    steps: int
    seed: int
    fingerprint: str
    """Hash of settings and data; a run resumes only from checkpoints of the same one."""
    stateful: Mapping[str, Stateful] = field(default_factory=dict)
    """What else is kept in a checkpoint, by name."""
    directory: Path | None = None
    """Where checkpoints go; None keeps none."""
    checkpoint_every: int = 0
    """Steps between checkpoints; 0 keeps only that of the last step."""

    def run(self, take_step: Callable[[int], Row], on_step: OnStep | None = None) -> pl.DataFrame:
        """Take the steps that are not yet done, and leave the model as after the last of them.

        Args:
            take_step: Takes the number of a step (from 0), trains, and returns its measurements.
            on_step: Called after each step and after its checkpoint.

        Returns:
            One row per step, resumed ones included: `step` (from 1), the measurements, `seconds`.

        Raises:
            ValueError: The folder holds checkpoints of other settings or data.
        """
        with _random_state_of_its_own(self.model.device, self.seed):
            rows = self._resume()
            for step in range(len(rows), self.steps):
                started = time.perf_counter()
                row: Row = {"step": step + 1, **take_step(step)}
                row["seconds"] = time.perf_counter() - started
                rows.append(row)
                if self._is_due(step + 1):
                    self._save(rows)
                if on_step is not None:
                    on_step(row)
        return pl.from_dicts(rows, infer_schema_length=None) if rows else pl.DataFrame({"step": []})

    def _is_due(self, done: int) -> bool:
        every = self.checkpoint_every
        return self.directory is not None and (done == self.steps or (every > 0 and done % every == 0))

    def _save(self, rows: list[Row]) -> None:
        assert self.directory is not None
        target = self.directory / f"checkpoint-{len(rows):08d}"
        partial = self.directory / f".{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with no_progress_bar():
            self.model.save_pretrained(partial)
        self.tokenizer.save_pretrained(partial)
        state = {
            "fingerprint": self.fingerprint,
            "rows": rows,
            "random": _random_state(self.model.device),
            "stateful": {name: one.state_dict() for name, one in self.stateful.items()},
        }
        torch.save(state, partial / _STATE)
        # A folder has its final name only while it is whole. None has this one yet: a run goes on from the last.
        partial.replace(target)

    def _resume(self) -> list[Row]:
        found = [path for step, path in checkpoints(self.directory) if step <= self.steps] if self.directory else []
        if not found:
            return []
        state = torch.load(found[-1] / _STATE, map_location=self.model.device, weights_only=True)
        if state["fingerprint"] != self.fingerprint:
            allowed = "the settings, data and first weights that it was begun with, or another folder"
            raise ValueError(f"directory: {found[-1].name} is of another training; allowed: {allowed}")
        with no_progress_bar():
            saved = type(self.model).from_pretrained(found[-1], dtype=self.model.dtype, local_files_only=True)
        self.model.load_state_dict(saved.state_dict())
        for name, one in self.stateful.items():
            one.load_state_dict(state["stateful"][name])
        _set_random_state(self.model.device, state["random"])
        rows: list[Row] = state["rows"]
        return rows


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """Whole checkpoints of a folder: number of steps done and folder, in order of the steps."""
    if not directory.is_dir():
        return []
    found = [(match, path) for path in directory.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted((int(match[1]), path) for match, path in found)


@contextmanager
def _random_state_of_its_own(device: torch.device, seed: int) -> Iterator[None]:
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(device: torch.device, state: Mapping[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
