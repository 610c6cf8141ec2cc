"""Activations of base and tuned model side by side, token by token: the one stream that every dictionary reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from tracebank_models.activations.reader import ActivationShards, ShardBatch
from tracebank_models.sparse_autoencoder.training import ActivationBatch


class PairedShards:
    """Shards of several sites of both models on the same tokens."""

    def __init__(self, folders: Mapping[str, Sequence[Path]]) -> None:
        """Open them.

        Args:
            folders: By `side/site`, the folders of the parts of the corpus, in one order for all.

        Raises:
            ValueError: There is none, or they do not hold the same number of tokens.
            ValueError: A folder is none of shards.
        """
        self._readers = {name: ActivationShards(*paths) for name, paths in folders.items()}
        counts = {name: reader.tokens for name, reader in self._readers.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"activations: {counts} tokens are not allowed: one number, of the same corpus")
        self.tokens = next(iter(counts.values()))

    @property
    def widths(self) -> dict[str, int]:
        """Width of each site, by `side/site`."""
        return {name: reader.width for name, reader in self._readers.items()}

    def shuffled(self, batch_tokens: int, *, seed: int, epochs: int, skip: int = 0) -> Iterator[ActivationBatch]:
        """Batches of all sites, the same tokens in each, shuffled by token, pass after pass.

        Args:
            batch_tokens: Tokens of a batch.
            seed: Of the order.
            epochs: Passes over all tokens.
            skip: Batches that a resumed training has seen.
        """
        seen = 0
        for epoch in range(epochs):
            streams = [
                reader.shuffled(batch_tokens, seed=seed, epoch=epoch, pool_tokens=max(131_072, 4 * batch_tokens))
                for reader in self._readers.values()
            ]
            for parts in zip(*streams, strict=True):
                seen += 1
                if seen > skip:
                    yield ActivationBatch(dict(zip(self._readers, (part.activations for part in parts), strict=True)))

    def batches(self, batch_tokens: int, epochs: int) -> int:
        """How many batches `shuffled` gives."""
        return -(-self.tokens // batch_tokens) * epochs

    def in_order(self, batch_tokens: int) -> Iterator[tuple[dict[str, torch.Tensor], ShardBatch]]:
        """Activations by `side/site` in the order of the corpus, with a batch that names tokens and documents."""
        streams = [reader.sequential(batch_tokens) for reader in self._readers.values()]
        for parts in zip(*streams, strict=True):
            yield dict(zip(self._readers, (part.activations for part in parts), strict=True)), parts[0]
