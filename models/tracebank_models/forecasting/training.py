"""Training of a forecaster: epochs of batches, the best of them by validation, and going on where a run was killed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tracebank_models.device import one_thread, resolved_device
from tracebank_models.order_book_features.splits import Split, window_ends
from tracebank_models.order_book_features.targets import targets
from tracebank_models.order_book_features.ticks import Ticks

from .checkpoint import Checkpoint, State, random_state, random_state_of_its_own, set_random_state
from .forecaster import TrainedForecaster, made
from .hfformer import HFformer
from .linear import Imbalance
from .losses import forecast_loss
from .rows import Rows, autocast
from .settings import ForecastSettings

Progress = Callable[[int], object]
"""Called with the windows of each batch that was learned from."""


def train(
    settings: ForecastSettings,
    ticks: Ticks,
    split: Split,
    device: str = "auto",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> TrainedForecaster:
    """Train a forecaster on rows, and choose the epoch by others; torch computes on one thread of the CPU.

    Args:
        settings: What, and how.
        ticks: Rows of one book.
        split: Which of them train and validate; the rest is not looked at.
        device: Name of one in `tracebank_models.device.DEVICES`.
        progress: See `Progress`.
        checkpoint: File to go on from where there is one, and written after every epoch. What was interrupted ends as
            what was not, bit by bit.

    Returns:
        The forecaster, and curves of a row for each epoch: `horizon` (null where one model has all), `epoch` (from 1),
        `windows` (learned from so far), `learning_rate` (last), `train_loss` (mean over the epoch, with dropout),
        `validation_loss` (null where no row validates), `spike_rate` (of HFformer, else null), `chosen`, `seconds`.

    Raises:
        ValueError: There are too few ticks, a feature is not finite, a loss is not, or the checkpoint is of another
            training.
    """
    place = resolved_device(device)
    with one_thread(), random_state_of_its_own(place):
        shown = Rows(settings, ticks, place)
        kept = Checkpoint(checkpoint, _fingerprint(settings, ticks, split))
        for number in range(len(kept.state["done"]), len(settings.members)):
            _Member(shown, ticks, split, number).learn(kept, progress)
        modules = nn.ModuleList(made(settings, horizons) for horizons in settings.members)
        for module, state in zip(modules, kept.state["done"], strict=True):
            module.load_state_dict(state)
    return TrainedForecaster(settings, modules.eval(), pl.DataFrame(kept.state["rows"], schema=_CURVES))


_CURVES = {
    "horizon": pl.Int32,
    "epoch": pl.Int32,
    "windows": pl.Int64,
    "learning_rate": pl.Float64,
    "train_loss": pl.Float64,
    "validation_loss": pl.Float64,
    "spike_rate": pl.Float64,
    "chosen": pl.Boolean,
    "seconds": pl.Float64,
}


class _Member:
    """The training of one model: of all horizons, or of one."""

    def __init__(self, shown: Rows, ticks: Ticks, split: Split, number: int) -> None:
        self.shown, self.settings = shown, shown.settings
        self.horizons = self.settings.members[number]
        look_back, furthest = self.settings.look_back, max(self.horizons)
        self.ends = window_ends(ticks.segment, look_back, furthest, split.train)
        validation = split.validation
        self.others = window_ends(ticks.segment, look_back, furthest, validation) if len(validation) else None
        if self.others is not None and self.settings.validation_windows is not None:
            self.others = self.others[:: -(-len(self.others) // self.settings.validation_windows)]
        self.targets = torch.from_numpy(targets(ticks, self.settings.price, self.horizons))
        torch.manual_seed(self.settings.seed + 1_000_003 * number)
        self.module = made(self.settings, self.horizons).to(shown.device)
        if self.settings.standardised:
            known = self.targets[self.ends].double().std(0)[:, None]
            self.module.unit.copy_(torch.where(known > 0, known, 1.0))
        self.averaged = AveragedModel(self.module, multi_avg_fn=_running_mean(self.settings.averaged))
        self.best: dict[str, Tensor] | None = None

    def learn(self, kept: Checkpoint, progress: Progress | None) -> None:
        """Train, and hand the best weights over."""
        began = time.perf_counter()
        learns = any(weight.requires_grad for weight in self.module.parameters())
        if isinstance(self.module, Imbalance):
            learns = False
            self.module.fit(self.shown.shown(torch.from_numpy(self.ends)).cpu(), self.targets[self.ends])
        if learns:
            self._epochs(kept, progress)
        else:
            kept.state["rows"].append(self._row(1, len(self.ends), None, None, began) | {"chosen": True})
            self.best = self.module.state_dict()
        assert self.best is not None
        kept.state["done"].append({name: value.cpu() for name, value in self.best.items()})
        kept.state["current"] = None
        kept.save()

    def _epochs(self, kept: Checkpoint, progress: Progress | None) -> None:
        decay = self.settings.weight_decay
        optimizer = torch.optim.AdamW(self.module.parameters(), amsgrad=True, weight_decay=decay, fused=True)
        rows, first = [], 0
        if current := kept.state["current"]:
            self.module.load_state_dict(current["module"])
            self.averaged.load_state_dict(current["averaged"])
            optimizer.load_state_dict(current["optimizer"])
            self.best, rows, first = current["best"], current["rows"], current["epoch"]
            set_random_state(current["random"], self.shown.device)
        module = torch.compile(self.module) if self.settings.compiled else self.module
        for epoch in range(first, self.settings.epochs):
            began = time.perf_counter()
            rate, loss = self._epoch(module, optimizer, epoch, progress)
            rows.append(self._row(epoch + 1, self._per_epoch() * (epoch + 1), rate, loss, began))
            if _best(rows) == epoch:
                self.best = {name: value.clone() for name, value in self.averaged.module.state_dict().items()}
            kept.state["current"] = {
                "module": self.module.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": optimizer.state_dict(),
                "best": self.best,
                "rows": rows,
                "epoch": epoch + 1,
                "random": random_state(self.shown.device),
            }
            kept.save()
        kept.state["rows"] += [row | {"chosen": epoch == _best(rows)} for epoch, row in enumerate(rows)]

    def _per_epoch(self) -> int:
        return min(len(self.ends), self.settings.windows_per_epoch or len(self.ends))

    def _epoch(
        self, module: Any, optimizer: torch.optim.Optimizer, epoch: int, progress: Progress | None
    ) -> tuple[float, float]:
        """Learn from an epoch's windows; the last learning rate, and the mean loss."""
        settings, ends = self.settings, torch.from_numpy(self.ends)
        if settings.shuffled:
            order = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
            ends = ends[torch.randperm(len(ends), generator=order)[: self._per_epoch()]]
        parts = torch.split(ends, settings.batch)
        total, rate = torch.zeros((), device=self.shown.device), 0.0
        self.module.train()
        for at, some in enumerate(parts):
            step = epoch * len(parts) + at + 1
            rate = settings.rate * settings.decay**epoch * min(1.0, step / max(1, settings.warm_up))
            for group in optimizer.param_groups:
                group["lr"] = rate
            with autocast(settings, self.shown.device):
                said = module(self.shown.shown(some))
            loss = forecast_loss(said, self.targets[some].to(self.shown.device), settings.said, self.module.unit)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            self.averaged.update_parameters(self.module)
            total += loss.detach() * len(some)
            if progress is not None:
                progress(len(some))
        mean = float(total) / len(ends)
        if not np.isfinite(mean):
            raise ValueError(f"learning_rate: the loss of epoch {epoch + 1} is {mean}; a lower one than {rate} may do")
        return rate, mean

    def _row(self, epoch: int, windows: int, rate: float | None, loss: float | None, began: float) -> State:
        self.averaged.eval()
        return {
            "horizon": self.horizons[0] if self.settings.per_horizon else None,
            "epoch": epoch,
            "windows": windows,
            "learning_rate": rate,
            "train_loss": loss,
            "validation_loss": self._validation_loss(),
            "spike_rate": self._spike_rate(),
            "seconds": time.perf_counter() - began,
        }

    def _spike_rate(self) -> float | None:
        """Of the first windows that train, in evaluation."""
        module = self.averaged.module
        if not isinstance(module, HFformer):
            return None
        return module.spike_rate(self.shown.shown(torch.from_numpy(self.ends[: self.settings.batch])))

    def _validation_loss(self) -> float | None:
        if self.others is None:
            return None
        said = self.shown.said([self.averaged.module], self.others)
        unit = self.module.unit.cpu()
        return float(forecast_loss(said, self.targets[self.others], self.settings.said, unit))


def _running_mean(kept: float) -> Callable[[Any, Any, Any], None]:
    """Move means of weights towards the weights; the first steps count alike, so that what came first is forgotten."""

    @torch.no_grad()
    def move(means: Any, weights: Any, step: Any) -> None:
        torch._foreach_lerp_(means, weights, 1 - min(kept, float(step) / (float(step) + 9)))

    return move


def _best(rows: list[State]) -> int:
    """The epoch with the lowest validation loss, from 0; the last where none is known."""
    losses = [row["validation_loss"] for row in rows]
    return len(rows) - 1 if None in losses else int(np.argmin(losses))


def _fingerprint(settings: ForecastSettings, ticks: Ticks, split: Split) -> str:
    seen = hashlib.sha256(f"{settings.hash} {split} {ticks.venue} {ticks.symbol}".encode())
    for column in (ticks.times, ticks.segment, ticks.price("weighted_mid"), ticks.price("mid")):
        seen.update(column.tobytes())
    return seen.hexdigest()
