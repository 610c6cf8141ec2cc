"""What dictionaries are worth on documents that they were not trained on: reconstruction, and the loss of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from tracebank_models.activations.sites import Site, replaced, resolve_sites
from tracebank_models.features.dictionary_codes import inputs_of
from tracebank_models.features.paired_stream import PairedShards
from tracebank_models.language_model.hooks import evaluating, watched
from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.metrics import LossRecovered, ReconstructionMetrics, metric_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

START_COSINE: Final = "start_cosine"
"""Metric: mean cosine of a living feature's encoder row to the one that it began with; near 1 nothing was learned."""
ACTIVE_SHARE: Final = "active_share"
"""Metric: L0 over the features."""
AT_ONE_L0: Final = "_at_one_l0"
"""Suffix of FVU and L0 where each token keeps at most the same number of codes in every dictionary."""


LIVING: Final = 1e-4
"""Share of the tokens that a feature fires on at least, to be one: what fires less often has hardly been trained and
stands near where it began, so that it says nothing about whether seeds agree. Ten times as much changes little."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """How well dictionaries say again what they read."""

    metrics: pl.DataFrame
    """Rows of `metrics.METRIC_SCHEMA`: FVU, L0, dead share and the like, the first two also `AT_ONE_L0`,
    `START_COSINE` and `ACTIVE_SHARE`."""
    alive: dict[str, Tensor]
    """Features that fire on `LIVING` of the tokens, by dictionary."""


def reconstruction_of(
    dictionaries: Mapping[str, Dictionary], shards: PairedShards, compared_l0: int, batch_tokens: int = 4_096
) -> Reconstruction:
    """Read all tokens once through every dictionary.

    Args:
        dictionaries: By name.
        shards: Tokens of the sites that they read.
        compared_l0: Most codes of a token where dictionaries are compared at one L0.
        batch_tokens: Tokens that are read at once.
    """
    states = {name: ReconstructionMetrics(dictionary) for name, dictionary in dictionaries.items()}
    compared = [ReconstructionMetrics(dictionary, compared_l0) for dictionary in dictionaries.values()]
    for batch in shards.in_order(batch_tokens):
        for state in (*states.values(), *compared):
            state.update(inputs_of(state.dictionary, batch.activations))
    whole = [state.rows() for state in states.values()]
    at_one = [state.rows().filter(pl.col("metric").is_in(["fvu", "l0"])) for state in compared]
    rows = pl.concat([*whole, *(part.with_columns(pl.col("metric") + AT_ONE_L0) for part in at_one)])
    l0 = dict(rows.filter(pl.col("metric") == "l0").select("dictionary", "value").iter_rows())
    least = max(1.0, LIVING * shards.tokens)
    alive = {name: (state.fired >= least).nonzero()[:, 0] for name, state in states.items()}
    learning = [_learning(one, alive[name], l0[name], shards.tokens) for name, one in dictionaries.items()]
    return Reconstruction(pl.concat([rows, *learning]), alive)


def _learning(dictionary: Dictionary, alive: Tensor, l0: float, tokens: int) -> pl.DataFrame:
    found = {START_COSINE: _start_cosine(dictionary, alive), ACTIVE_SHARE: l0 / dictionary.config.d_sae}
    return metric_rows(dictionary, found, tokens)


@torch.no_grad()
def _start_cosine(dictionary: Dictionary, alive: Tensor) -> float:
    rows, start = dictionary.encoder_rows().cpu(), build(dictionary.config).encoder_rows()
    return float(functional.cosine_similarity(rows[alive], start[alive], dim=1).mean())


def covariances(shards: PairedShards, batch_tokens: int = 65_536) -> dict[str, Tensor]:
    """Covariance of the activations by `side/site`, (width, width) each, summed in double precision."""
    sums = {name: torch.zeros(width + 1, width + 1, dtype=torch.float64) for name, width in shards.widths.items()}
    for batch in shards.in_order(batch_tokens):
        for name, total in sums.items():
            rows = functional.pad(batch.activations[name].double().cpu(), (0, 1), value=1.0)
            total += rows.T @ rows
    tokens = shards.tokens
    return {
        name: total[:-1, :-1] / tokens - torch.outer(total[-1, :-1], total[-1, :-1]) / tokens**2
        for name, total in sums.items()
    }


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
