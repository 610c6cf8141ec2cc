"""Training many dictionaries from one stream of both models' activations, with checkpoints and the points of curves.

What they are worth is `dictionary_worth`; one dictionary's own step is `sparse_autoencoder.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tracebank_models.checked_settings import settings_hash
from tracebank_models.features.paired_stream import PairedShards
from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.checkpoint import load_checkpoint, load_dictionary, save_checkpoint
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.plan import DictionaryPlan
from tracebank_models.sparse_autoencoder.training import CurvePoint, StreamTraining, curve_frame

_CURVE = "curve.parquet"
_LOG_EVERY = 10
_CHECKPOINT_EVERY = 200
"""Batches between checkpoints."""


@dataclass(frozen=True, slots=True)
class TrainedDictionaries:
    """What came of training."""

    folder: Path
    """Holds a folder for each dictionary, by its name."""
    names: tuple[str, ...]
    """Of the dictionaries, in the order in which they were asked for."""
    curve: pl.DataFrame
    """Points of the curves, see `curve_frame`."""
    steps: int
    tokens: int

    @property
    def seconds(self) -> float:
        """Processor time of all steps, estimated from those that are points of the curves."""
        return float(self.curve["seconds"].sum()) * _LOG_EVERY

    def load(self) -> dict[str, Dictionary]:
        """The dictionaries by name, ready for inference on the CPU."""
        return {name: load_dictionary(self.folder / name) for name in self.names}


def train_dictionaries(
    shards: PairedShards,
    configs: Sequence[DictionaryConfig],
    plan: DictionaryPlan,
    directory: Path,
    *,
    inputs: str,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> TrainedDictionaries:
    """Train all dictionaries on the same batches, in a folder for these settings and inputs; resumes there.

    Args:
        shards: The stream.
        configs: The dictionaries.
        plan: Batch size and passes.
        directory: Below it the folder is made.
        inputs: Hash of what the stream is of.
        device: Where to train.
        progress: Told the batches that are done and those there are.

    Raises:
        ValueError: See `StreamTraining`.
    """
    folder = directory / settings_hash(inputs, plan, [config.as_dict() for config in configs])[:12]
    state, curve_file = folder / "dictionaries", folder / _CURVE
    training, points = _begun(state, curve_file, configs, device)
    total = shards.batches(plan.batch_tokens, plan.epochs)
    stream = shards.shuffled(plan.batch_tokens, seed=0, epochs=plan.epochs, skip=training.batches)
    for found in training.train(stream, _LOG_EVERY):
        points += found
        if training.batches % _CHECKPOINT_EVERY == 0 or training.batches == total:
            _save(training, points, state, curve_file)
        if progress is not None:
            progress(training.batches, total)
    first = next(iter(training.trainings.values()))
    return TrainedDictionaries(state, tuple(training.trainings), curve_frame(points), first.steps, first.tokens)


def _begun(
    state: Path, curve_file: Path, configs: Sequence[DictionaryConfig], device: str
) -> tuple[StreamTraining, list[CurvePoint]]:
    try:
        training = load_checkpoint(state, device)
    except FileNotFoundError:
        return StreamTraining(configs, device), []
    rows = pl.read_parquet(curve_file).filter(pl.col("step") <= training.batches)
    return training, [CurvePoint(**row) for row in rows.iter_rows(named=True)]


def _save(training: StreamTraining, points: list[CurvePoint], state: Path, curve_file: Path) -> None:
    # The curve first: one that is ahead of its checkpoint is cut when it is read, one behind would have a gap.
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = curve_file.with_suffix(".partial")
    curve_frame(points).write_parquet(partial)
    partial.replace(curve_file)
    save_checkpoint(training, state)
