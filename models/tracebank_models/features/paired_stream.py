"""Activations of base and tuned model side by side, token by token: the one stream that every dictionary reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tracebank_models.activations.reader import ActivationShards
from tracebank_models.features.streams import TokenBatch, in_step, read_in_step, require_same_shards
from tracebank_models.sparse_autoencoder.training import ActivationBatch


class PairedShards:
    """Shards of several sites of both models on the same tokens."""

    def __init__(self, folders: Mapping[str, Sequence[Path]]) -> None:
        """Open them.

        Args:
            folders: By `side/site`, the folders of the parts of the corpus, in one order for all.

        Raises:
            ValueError: There is none, or they do not hold as many tokens in shards of the same sizes.
            ValueError: A folder is none of shards.
        """
        self._readers = {name: ActivationShards(*paths) for name, paths in folders.items()}
        require_same_shards(self._readers)
        self.tokens = next(iter(self._readers.values())).tokens

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

        Raises:
            ValueError: A site has other tokens than the first.
        """
        passes, left = divmod(skip, self.batches(batch_tokens, 1))
        for epoch in range(passes, epochs):
            streams = {
                name: reader.shuffled(batch_tokens, seed=seed, epoch=epoch, pool_tokens=max(131_072, 4 * batch_tokens))
                for name, reader in self._readers.items()
            }
            for number, parts in enumerate(in_step(streams)):
                if epoch > passes or number >= left:
                    yield ActivationBatch({name: part.activations for name, part in parts.items()})

    def batches(self, batch_tokens: int, epochs: int) -> int:
        """How many batches `shuffled` gives."""
        return -(-self.tokens // batch_tokens) * epochs

    def in_order(self, batch_tokens: int) -> Iterator[TokenBatch]:
        """Batches of all sites by `side/site`, in the order of the corpus.

        Raises:
            ValueError: A site has other tokens than the first.
        """
        return read_in_step(self._readers, batch_tokens)
