"""Several dictionaries trained from one stream of activations, step by step, with a state that can be saved.

The stream is any iterator of batches; where they come from (a language model, shards on disk) is not known here, nor
where the curves go: `train` yields them as rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl
import torch
from torch import Tensor, nn

from tracebank_models.device import resolved_device
from tracebank_models.sparse_autoencoder.architectures import Dictionary, StepLoss, build
from tracebank_models.sparse_autoencoder.configuration import TRAINED, DictionaryConfig
from tracebank_models.sparse_autoencoder.precision import all_finite

CURVE_SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "dictionary": pl.String,
    "seed": pl.Int64,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "loss": pl.Float64,
    "reconstruction_loss": pl.Float64,
    "sparsity_loss": pl.Float64,
    "auxiliary_loss": pl.Float64,
    "fvu": pl.Float64,
    "l0": pl.Float64,
    "dead_share": pl.Float64,
    "learning_rate": pl.Float64,
    "grad_norm": pl.Float64,
    "seconds": pl.Float64,
}
"""Columns of a training curve."""


@dataclass(frozen=True, slots=True)
class ActivationBatch:
    """Activations of some tokens at one or more sites."""

    sites: Mapping[str, Tensor]
    """By site, (tokens, d_in) or (texts, positions, d_in); the same tokens at each."""
    mask: Tensor | None = None
    """bool, the sites' shape without the last axis: False is padding, which no dictionary sees."""

    def rows(self, sites: Sequence[str]) -> Tensor:
        """Return the unmasked tokens' activations, (tokens, width), the named sites side by side.

        Raises:
            ValueError: A site is unknown, the shapes do not fit, no token is left, or a value is not finite.
        """
        parts = [self._site(site) for site in sites]
        if len({len(part) for part in parts}) > 1:
            raise ValueError(f"sites {', '.join(sites)}: have {[len(part) for part in parts]} tokens, must agree")
        joined = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        if len(joined) == 0:
            raise ValueError(f"site {sites[0]}: the batch has no token that is not masked")
        return joined

    def _site(self, site: str) -> Tensor:
        if site not in self.sites:
            raise ValueError(f"site {site!r}: not in the stream, which has {', '.join(sorted(self.sites))}")
        values = self.sites[site]
        if self.mask is not None:
            if self.mask.shape != values.shape[:-1]:
                raise ValueError(
                    f"mask of shape {tuple(self.mask.shape)}: site {site} needs {tuple(values.shape[:-1])}"
                )
            values = values[self.mask]
        values = values.reshape(-1, values.shape[-1]).float()
        if not all_finite(values):
            raise ValueError(f"site {site}: activations hold NaN or infinity")
        return values


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What one step of one dictionary showed; fields as in `CURVE_SCHEMA`.

    Losses are those of the step; `fvu` and `l0` are the dictionary's at inference, after the step, on the same batch.
    """

    dictionary: str
    seed: int
    step: int
    tokens: int
    loss: float
    reconstruction_loss: float
    sparsity_loss: float
    auxiliary_loss: float
    fvu: float
    l0: float
    dead_share: float
    learning_rate: float
    grad_norm: float
    seconds: float
    """Processor time of the step, all threads together."""


def curve_frame(points: Iterable[CurvePoint]) -> pl.DataFrame:
    """Return points as rows."""
    return pl.DataFrame([asdict(point) for point in points], schema=CURVE_SCHEMA)


class DictionaryTraining:
    """One dictionary, its optimiser, and when each of its features last fired."""

    def __init__(self, config: DictionaryConfig, device: torch.device) -> None:
        if config.architecture not in TRAINED:
            allowed = ", ".join(TRAINED)
            raise ValueError(f"architecture = {config.architecture!r}: has nothing to train, must be one of {allowed}")
        self.config = config
        self.dictionary: Dictionary = build(config).to(device).train()
        self.optimizer = torch.optim.Adam(
            self._groups(), lr=config.learning_rate, betas=self.dictionary.betas, fused=True
        )
        self.silent_tokens = torch.zeros(config.d_sae, dtype=torch.int64, device=device)
        self.steps = 0
        self.tokens = 0

    def _groups(self) -> list[dict[str, Any]]:
        speeds = self.dictionary.speeds()
        return [
            {"params": [parameter], "speed": speeds.get(name, 1.0)}
            for name, parameter in self.dictionary.named_parameters()
        ]

    @property
    def dead(self) -> Tensor:
        """bool, (features,): has not fired for `dead_after_tokens` tokens."""
        return self.silent_tokens >= self.config.dead_after_tokens

    def step(self, x: Tensor, *, describe: bool) -> CurvePoint | None:
        """Take one step on raw activations, (tokens, width); return what it showed if that is asked for."""
        started = time.process_time()
        if self.steps == 0 and self.config.normalize_activations:
            self._find_scale(x)
        scaled, dead = self.dictionary.scaled(x), self.dead
        loss = self.dictionary.step_loss(scaled, dead, _ramp(self.steps, self.config.sparsity_warm_up_steps))
        self.optimizer.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        self.dictionary.before_step()
        norm = self._clip(describe=describe)
        rate = self.config.learning_rate * _ramp(self.steps, self.config.warm_up_steps) * self._fall()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["speed"]
        self.optimizer.step()
        self.dictionary.after_step()
        self.silent_tokens = torch.where(loss.fired > 0, 0, self.silent_tokens + len(x))
        self.steps, self.tokens = self.steps + 1, self.tokens + len(x)
        return self._point(loss, x, rate, norm, time.process_time() - started) if describe else None

    def _fall(self) -> float:
        """Share of the learning rate that is left: seeds that still jump about at the end agree less."""
        length = self.config.decay_share * self.config.steps
        return min(1.0, max(0.0, (self.config.steps - self.steps) / length)) if length else 1.0

    def _clip(self, *, describe: bool) -> float:
        limit = self.config.max_grad_norm
        if limit is None and not describe:
            return 0.0
        limit = float("inf") if limit is None else limit
        return float(nn.utils.clip_grad_norm_(self.dictionary.parameters(), limit))

    def _find_scale(self, x: Tensor) -> None:
        d_in = self.config.d_in
        for at in range(len(self.config.sites)):
            part = slice(at * d_in, (at + 1) * d_in)
            if x[:, part].any():
                self.dictionary.input_scale[part] = self.dictionary.normal_scale(x[:, part])

    @torch.no_grad()
    def _point(self, loss: StepLoss, x: Tensor, rate: float, norm: float, seconds: float) -> CurvePoint:
        codes = self.dictionary.encode(x)
        error = (self.dictionary.decode(codes) - x).square().sum()
        variance = (x - x.mean(0)).square().sum()
        return CurvePoint(
            dictionary=self.config.name,
            seed=self.config.seed,
            step=self.steps,
            tokens=self.tokens,
            loss=float(loss.total.detach()),
            reconstruction_loss=float(loss.reconstruction.detach()),
            sparsity_loss=float(loss.sparsity.detach()),
            auxiliary_loss=float(loss.auxiliary.detach()),
            fvu=float(error / variance) if variance > 0 else float("nan"),
            l0=float((codes > 0).sum()) / len(x),
            dead_share=float(self.dead.float().mean()),
            learning_rate=rate,
            grad_norm=norm,
            seconds=seconds,
        )


class StreamTraining:
    """Dictionaries that train from one stream: each batch is read once and seen by all.

    Raises:
        ValueError: No configuration, two of the same name, or no such device.
    """

    def __init__(self, configs: Sequence[DictionaryConfig], device: str = "auto") -> None:
        names = [config.name for config in configs]
        if not names:
            raise ValueError("configs: at least one dictionary is needed")
        if len(set(names)) < len(names):
            raise ValueError(f"name = {sorted(names)}: each dictionary needs a name of its own")
        self.device = resolved_device(device)
        self.trainings = {config.name: DictionaryTraining(config, self.device) for config in configs}
        self.batches = 0
        """Batches seen; a resumed run's stream starts after them."""

    @property
    def dictionaries(self) -> dict[str, Dictionary]:
        """The dictionaries by name."""
        return {name: training.dictionary for name, training in self.trainings.items()}

    def train(self, batches: Iterable[ActivationBatch], log_every: int = 10) -> Iterator[list[CurvePoint]]:
        """Train on each batch; yield after each, with points where the count of batches divides by `log_every`.

        Args:
            batches: The stream, from where this training has got to.
            log_every: Batches between points.

        Raises:
            ValueError: A batch does not fit; the dictionaries are as they were before it.
        """
        for batch in batches:
            rows = {sites: batch.rows(sites).to(self.device) for sites in self._wanted()}
            for training in self.trainings.values():
                training.dictionary.scaled(rows[training.config.sites][:1])
            describe = (self.batches + 1) % log_every == 0
            points = [
                training.step(rows[training.config.sites], describe=describe) for training in self.trainings.values()
            ]
            self.batches += 1
            yield [point for point in points if point is not None]

    def _wanted(self) -> set[tuple[str, ...]]:
        return {training.config.sites for training in self.trainings.values()}


def _ramp(step: int, length: int) -> float:
    return min(1.0, (step + 1) / length) if length else 1.0
