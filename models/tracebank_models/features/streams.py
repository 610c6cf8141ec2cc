"""Activations of several models and sites read in step: the same tokens of each, batch by batch, in corpus order.

Which dictionary reads which of them is `dictionary_codes`; shuffled reading for training is `paired_stream`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.activations.reader import ActivationShards, ShardBatch
from tracebank_models.activations.shards import DTYPES


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """The same tokens at several sites; the rows of all fields belong together."""

    activations: Mapping[str, Tensor]
    """By stream (such as `tuned/layers.3.mlp`), each (tokens, width)."""
    token_ids: Tensor
    """int32, (tokens,)."""
    documents: Tensor
    """int64, (tokens,)."""
    positions: Tensor
    """int32, (tokens,): place of each token in its document."""
    rows: Tensor
    """int64, (tokens,): number of each token, counted through the whole stream."""

    def kept(self, which: Tensor) -> TokenBatch:
        """The tokens for which a mask (tokens,) holds."""
        if bool(which.all()):
            return self
        return TokenBatch(
            {name: values[which.to(values.device)] for name, values in self.activations.items()},
            self.token_ids[which],
            self.documents[which],
            self.positions[which],
            self.rows[which],
        )


@dataclass(frozen=True, slots=True)
class TokenPlaces:
    """Which token stands where, of every row of a stream, without activations."""

    token_ids: NDArray[np.int32]
    documents: NDArray[np.int64]
    positions: NDArray[np.int32]


def read_in_step(
    streams: Mapping[str, ActivationShards], batch_tokens: int, device: torch.device | str = "cpu"
) -> Iterator[TokenBatch]:
    """Read several streams of one corpus side by side.

    Args:
        streams: By name, each of one model and site.
        batch_tokens: Tokens of a batch.
        device: Where activations are put; the other fields stay on the CPU.

    Raises:
        ValueError: There is no stream, or one has other tokens, or shards of other sizes, than the first.
    """
    require_same_shards(streams)
    row = 0
    for parts in in_step({name: shards.sequential(batch_tokens) for name, shards in streams.items()}):
        lead = next(iter(parts.values()))
        activations = {name: part.activations.to(device) for name, part in parts.items()}
        rows = torch.arange(row, row + len(lead.token_ids))
        yield TokenBatch(activations, lead.token_ids, lead.documents, lead.positions, rows)
        row += len(rows)


def require_same_shards(streams: Mapping[str, ActivationShards]) -> None:
    """Refuse streams that cannot be read in step, before anything of them is read.

    Raises:
        ValueError: There is no stream, or one has another number of tokens, or shards of other sizes, than the first.
    """
    if not streams:
        raise ValueError("streams: there is none: at least one is needed")
    first, lead = next(iter(streams.items()))
    for name, shards in streams.items():
        if shards.tokens != lead.tokens:
            raise ValueError(f"streams: {name} has {shards.tokens} tokens: allowed are the {lead.tokens} of {first}")
        for number, (size, allowed) in enumerate(zip(shards.sizes, lead.sizes, strict=False)):
            if size != allowed:
                raise ValueError(
                    f"streams: shard {number} of {name} has {size} tokens: allowed are the {allowed} of {first};"
                    " capture both with one shard_tokens"
                )


def in_step(streams: Mapping[str, Iterator[ShardBatch]]) -> Iterator[dict[str, ShardBatch]]:
    """A batch of each stream at a time, all of the same tokens.

    Args:
        streams: By name, batches of each.

    Raises:
        ValueError: A stream has other tokens than the first, or fewer of them.
    """
    first, row = next(iter(streams)), 0
    for parts in zip(*streams.values(), strict=True):
        lead = parts[0]
        for name, part in zip(streams, parts, strict=True):
            for field in ("token_ids", "documents", "positions"):
                if not torch.equal(getattr(part, field), getattr(lead, field)):
                    raise ValueError(f"streams: {name} has other {field} than {first} after token {row}")
        yield dict(zip(streams, parts, strict=True))
        row += len(lead.token_ids)


def token_places(shards: ActivationShards, batch_tokens: int = 65_536) -> TokenPlaces:
    """Token ids, documents and positions of a whole stream, in its order."""
    as_stored = DTYPES[shards.folders[0].key.dtype]  # views: nothing of the activations is read
    batches = list(shards.sequential(batch_tokens, dtype=as_stored))
    return TokenPlaces(
        torch.cat([batch.token_ids for batch in batches]).numpy(),
        torch.cat([batch.documents for batch in batches]).numpy(),
        torch.cat([batch.positions for batch in batches]).numpy(),
    )


def describes(documents: Tensor) -> Tensor:
    """Which tokens (tokens,) are of documents that features are described from; the others are for scoring."""
    return documents % 2 == 0
