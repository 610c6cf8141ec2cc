"""Training every dictionary of a study from one stream, and measuring what each is worth on held-out documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import Tensor

from tracebank_models.activations.sites import Site, replaced, resolve_sites
from tracebank_models.features.dictionary_codes import inputs_of
from tracebank_models.features.paired_stream import PairedShards
from tracebank_models.language_model.fingerprint import settings_hash
from tracebank_models.language_model.hooks import evaluating, watched
from tracebank_models.reward_probe.study import DictionaryPlan
from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.checkpoint import load_checkpoint, load_dictionary, save_checkpoint
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.metrics import LossRecovered, ReconstructionMetrics
from tracebank_models.sparse_autoencoder.training import CurvePoint, StreamTraining, curve_frame

if TYPE_CHECKING:
    from transformers import PreTrainedModel

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


def reconstruction_metrics_of(
    dictionaries: Mapping[str, Dictionary], shards: PairedShards, batch_tokens: int = 4_096
) -> pl.DataFrame:
    """FVU, L0, dead share and the like of every dictionary over all tokens: rows of `metrics.METRIC_SCHEMA`."""
    states = {name: ReconstructionMetrics(dictionary) for name, dictionary in dictionaries.items()}
    for batch in shards.in_order(batch_tokens):
        for state in states.values():
            state.update(inputs_of(state.dictionary, batch.activations))
    return pl.concat(state.rows() for state in states.values())


def loss_recovered_of(
    model: PreTrainedModel,
    dictionaries: Mapping[str, Dictionary],
    batches: Sequence[tuple[Tensor, Tensor]],
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """CE and KL recovered of dictionaries of one model's sites, crosscoders left out: rows of `metrics.METRIC_SCHEMA`.

    Args:
        model: The model that the dictionaries read.
        dictionaries: By name; each of one site, named `side/site`.
        batches: Token ids and mask of texts, padded on the right.
        progress: Told how many dictionaries are done, and how many there are.
    """
    chosen = {name: one for name, one in dictionaries.items() if len(one.config.sites) == 1}
    states = {name: LossRecovered(one) for name, one in chosen.items()}
    sites = {name: resolve_sites(model, [one.config.sites[0].partition("/")[2]])[0] for name, one in chosen.items()}
    with evaluating(model):
        means = _means(model, sites.values(), batches)
        for ids, mask in batches:
            for number, (name, patched) in enumerate(_patched(model, chosen, sites, means, ids, mask)):
                states[name].update(*patched, ids.to(model.device), mask.bool().to(model.device))
                if progress is not None:
                    progress(number + 1, len(chosen))
    return pl.concat(state.rows() for state in states.values())


def _means(
    model: PreTrainedModel, sites: Iterable[Site], batches: Sequence[tuple[Tensor, Tensor]]
) -> dict[Site, Tensor]:
    """The mean output of each site over all tokens that are no padding."""
    sums: dict[Site, Tensor] = {}
    with watched(model, {site: site.tap for site in sites}) as seen:
        for ids, mask in batches:
            model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)
            for site, output in seen.items():
                found = output[mask.bool().to(output.device)].float().sum(0)
                sums[site] = found if site not in sums else sums[site] + found
    tokens = sum(int(mask.sum()) for _, mask in batches)
    return {site: total / tokens for site, total in sums.items()}


def _patched(
    model: PreTrainedModel,
    dictionaries: Mapping[str, Dictionary],
    sites: Mapping[str, Site],
    means: Mapping[Site, Tensor],
    ids: Tensor,
    mask: Tensor,
) -> Iterator[tuple[str, tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """For each dictionary the logits of the model as it is, and with reconstructions, zeros and means at the site."""

    def logits(changes: dict[Site, Callable[[Tensor], Tensor]]) -> Tensor:
        with replaced(model, changes):
            found = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False).logits
        assert isinstance(found, Tensor)
        return found

    clean = logits({})
    ablated: dict[Site, tuple[Tensor, Tensor]] = {}
    for name, dictionary in dictionaries.items():
        site = sites[name]
        if site not in ablated:
            ablated[site] = logits({site: torch.zeros_like}), logits({site: partial(_held, means[site])})
        patched = logits({site: _reconstruction(dictionary.to(model.device))})
        yield name, (clean, patched, *ablated[site])


def _held(value: Tensor, output: Tensor) -> Tensor:
    return value.to(output.dtype).expand_as(output)


def _reconstruction(dictionary: Dictionary) -> Callable[[Tensor], Tensor]:
    def change(output: Tensor) -> Tensor:
        flat = output.flatten(0, 1).float()
        restored: Tensor = dictionary.decode(dictionary.encode(flat))
        return restored.to(output.dtype).view_as(output)

    return change
