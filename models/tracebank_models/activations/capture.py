"""Activations of any set of sites in one forward pass, batch by batch, for as many consumers as like.

Padding never reaches a consumer, and each row keeps its token, document and position. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.activations.sites import Site, resolve_sites
from tracebank_models.language_model.hooks import evaluating, stopping_after, watched

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class ActivationBatch:
    """Activations of some tokens; the rows of all fields belong together."""

    activations: dict[str, Tensor]
    """By site, shape (tokens, width of the site)."""
    token_ids: Tensor
    """int32, shape (tokens,)."""
    documents: Tensor
    """Number of the document, int64, shape (tokens,)."""
    positions: Tensor
    """Position in the document, from 0, int32, shape (tokens,)."""
    rows: Tensor
    """Place of each token in the corpus, int64, shape (tokens,)."""


def forward(
    model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, sites: Sequence[Site]
) -> dict[str, Tensor]:
    """What is at the sites, padding included, in one forward pass; what comes after the deepest of them does not run.

    Args:
        model: The model.
        input_ids: Token ids, int64, shape (sequences, positions).
        attention_mask: 1 where there is a token, same shape.
        sites: What to look at.

    Returns:
        By site, shape (sequences, positions, width).
    """
    prefix = model.base_model_prefix
    inside = all(site.tap.module.partition(".")[0] == prefix for site in sites)
    runner = getattr(model, prefix) if inside and hasattr(model, prefix) else model
    taps = {site.name: site.tap for site in sites}
    with evaluating(model), watched(model, taps) as seen, stopping_after(model, taps.values()):
        runner(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
    missing = [site.name for site in sites if site.name not in seen]
    if missing:
        raise ValueError(f"sites: {missing[0]!r} did not run in a forward pass: allowed are modules that do")
    return seen


def site_widths(model: PreTrainedModel, sites: Sequence[Site]) -> dict[str, int]:
    """Width of each site, found by a forward pass of one token."""
    one = torch.zeros((1, 1), dtype=torch.int64, device=model.device)
    return {name: int(found.shape[2]) for name, found in forward(model, one, torch.ones_like(one), sites).items()}


def stream_activations(
    model: PreTrainedModel,
    corpus: TokenCorpus,
    sites: Sequence[str],
    *,
    batch_tokens: int = 8_192,
    documents: range | None = None,
    expected_tokenizer: str | None = None,
) -> Iterator[ActivationBatch]:
    """Activations of a corpus, each token once, in batches of whole documents of about one length.

    Args:
        model: The model; it runs where its parameters are, and the activations stay there, in the model's own dtype.
        corpus: What it reads.
        sites: Names of sites, see `resolve_sites`.
        batch_tokens: Tokens of a forward pass, padding included; this bounds the memory (one longer document still
            goes through, alone).
        documents: Only these, counted from 0 in the corpus.
        expected_tokenizer: Hash of the model's tokenizer, to be compared with the corpus's.

    Raises:
        ValueError: A site is not known, the tokenizer is another's, or an activation is not finite.
    """
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens: {batch_tokens} is not allowed: 1 or more")
    found = resolve_sites(model, sites)
    corpus.check_model(model, expected_tokenizer)
    chosen = documents if documents is not None else range(corpus.documents)
    # Documents are sorted by length within a window, for little padding, not over the corpus: near ones stay near.
    for window in _windows(corpus, chosen, 8 * batch_tokens):
        for group in _groups(corpus, window, batch_tokens):
            yield _captured(model, corpus, found, group)


def _windows(corpus: TokenCorpus, chosen: range, tokens: int) -> Iterator[NDArray[np.int64]]:
    numbers = np.arange(chosen.start, chosen.stop, dtype=np.int64)
    offsets = corpus.starts[numbers] - corpus.starts[chosen.start]
    yield from np.split(numbers, np.flatnonzero(np.diff(offsets // tokens)) + 1)


def _groups(corpus: TokenCorpus, window: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    lengths = np.diff(corpus.starts)[window]
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < order.size:
        count = max(1, batch_tokens // int(lengths[order[first]]))
        yield window[order[first : first + count]]
        first += count


def _captured(
    model: PreTrainedModel, corpus: TokenCorpus, sites: Sequence[Site], group: NDArray[np.int64]
) -> ActivationBatch:
    lengths = corpus.starts[group + 1] - corpus.starts[group]
    positions = np.arange(lengths.max())
    mask = positions[None, :] < lengths[:, None]
    rows = (corpus.starts[group][:, None] + positions[None, :])[mask]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = corpus.token_ids[rows]
    device = model.device
    seen = forward(model, torch.from_numpy(ids).to(device), torch.from_numpy(mask.astype(np.int64)).to(device), sites)
    flat = torch.from_numpy(np.flatnonzero(mask)).to(device)
    kept = {name: value.flatten(0, 1).index_select(0, flat) for name, value in seen.items()}
    batch = ActivationBatch(
        activations=kept,
        token_ids=torch.from_numpy(corpus.token_ids[rows]),
        documents=torch.from_numpy(np.repeat(corpus.document_ids[group], lengths)),
        positions=torch.from_numpy(np.broadcast_to(positions, mask.shape)[mask].astype(np.int32)),
        rows=torch.from_numpy(rows),
    )
    for name, value in kept.items():
        check_finite(name, value, batch)
    return batch


def check_finite(site: str, values: Tensor, batch: ActivationBatch) -> None:
    """Refuse NaN and infinity.

    Raises:
        ValueError: There is one; the message says where the first is.
    """
    low, high = torch.aminmax(values)
    if torch.isfinite(low) and torch.isfinite(high):
        return
    row, column = (int(number) for number in (~torch.isfinite(values)).nonzero()[0])
    raise ValueError(
        f"activations: site {site!r} has {float(values[row, column])} at document {int(batch.documents[row])}, position"
        f" {int(batch.positions[row])}: allowed are finite numbers"
    )
