"""Shards of activations as batches for training: from memory maps, in order or shuffled by token, in bounded memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tracebank_models.activations.shards import ShardFolder

_COLUMNS: dict[str, type[np.number[Any]]] = {"token_id": np.int32, "document": np.int64, "position": np.int32}


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """Rows of one site; the rows of all fields belong together."""

    activations: Tensor
    """Shape (tokens, width)."""
    token_ids: Tensor
    """int32, shape (tokens,)."""
    documents: Tensor
    """int64, shape (tokens,)."""
    positions: Tensor
    """int32, shape (tokens,)."""


def _mapped(path: Path) -> tuple[Tensor, ...]:
    """Columns of a shard as views of its memory map: activations, token ids, documents, positions."""
    # A private map: torch wants memory that could be written to, and a write would stay in this process.
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    whole = pa.py_buffer(pages)
    with pa.ipc.open_file(whole) as reader:
        batch = reader.get_batch(0)

    def view(array: pa.Array[Any], dtype: type[np.number[Any]]) -> Tensor:
        buffer = cast(pa.Buffer, array.buffers()[-1])
        found = np.frombuffer(pages, dtype, count=len(array), offset=buffer.address - whole.address)
        return torch.from_numpy(found)

    vectors = cast("pa.FixedSizeListArray[Any, Any]", batch.column("activation"))
    kind: type[np.number[Any]] = np.float16 if vectors.type.value_type == pa.float16() else np.float32
    values = view(vectors.values, kind).view(batch.num_rows, vectors.type.list_size)
    return (values, *(view(batch.column(name), dtype) for name, dtype in _COLUMNS.items()))


class ActivationShards:
    """The shards of one folder or of several (parts of a corpus, one after the other), as many as there are now."""

    def __init__(self, *paths: Path) -> None:
        """Open folders `<root>/<hash>`.

        Raises:
            ValueError: One is none, has no shard, or differs from the first in width or dtype.
        """
        self.folders = [ShardFolder.open(path) for path in paths]
        self._paths: list[Path] = []
        for folder in self.folders:
            found = list(folder.shards().values())
            if not found:
                raise ValueError(f"activations: {folder.path} holds 0 shards: at least one is needed")
            layout, first = (folder.width, folder.key.dtype), (self.folders[0].width, self.folders[0].key.dtype)
            if layout != first:
                raise ValueError(f"activations: {folder.path} has width and dtype {layout}: allowed are {first}")
            self._paths += found
        if not self._paths:
            raise ValueError("activations: no folder is given: at least one is needed")

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return self.folders[0].width

    @cached_property
    def _shards(self) -> list[tuple[Tensor, ...]]:
        return [_mapped(path) for path in self._paths]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Tokens of each shard, in their order."""
        return tuple(len(shard[0]) for shard in self._shards)

    @property
    def tokens(self) -> int:
        """Tokens of all shards."""
        return sum(self.sizes)

    def sequential(self, batch_tokens: int = 4_096, *, dtype: torch.dtype = torch.float32) -> Iterator[ShardBatch]:
        """Batches in the order of the corpus; the last one of a shard may be smaller.

        Args:
            batch_tokens: Tokens of a batch.
            dtype: Of the activations; that of the shards gives views of the memory map, without a copy.
        """
        for shard in self._shards:
            for first in range(0, len(shard[0]), batch_tokens):
                values, ids, documents, positions = (column[first : first + batch_tokens] for column in shard)
                yield ShardBatch(values.to(dtype), ids, documents, positions)

    def shuffled(
        self,
        batch_tokens: int = 4_096,
        *,
        seed: int,
        epoch: int = 0,
        pool_tokens: int = 131_072,
        block_tokens: int = 256,
        dtype: torch.dtype = torch.float32,
    ) -> Iterator[ShardBatch]:
        """Every token once, in an order of chance that depends on nothing but the arguments and the number of tokens.

        Blocks of neighbours are drawn from all shards into a pool, and the tokens of the pool are shuffled: with a pool
        as large as the corpus that is a full shuffle. Two folders of one corpus (base and tuned model, say) of the same
        shards give the same tokens in the same order.

        Args:
            batch_tokens: Tokens of a batch; only the last one is smaller.
            seed: Chooses the order, together with `epoch`.
            epoch: Which pass over the tokens it is.
            pool_tokens: Tokens that are shuffled together. They are read where they lie; times the width and the
                bytes of a number this is what the operating system's cache should hold; our own memory is a batch.
            block_tokens: Neighbours that are drawn together, for reading in long runs.
            dtype: Of the activations.

        Raises:
            ValueError: A size is not positive, or the pool is smaller than a batch or a block.
        """
        _check_sizes(batch_tokens, pool_tokens, block_tokens)
        generator = torch.Generator().manual_seed((seed << 20) + epoch)
        blocks = self._blocks(block_tokens)
        order = torch.randperm(len(blocks), generator=generator).tolist()
        gathered = torch.empty((batch_tokens, self.width), dtype=self._shards[0][0].dtype)
        pool, filled = [], 0
        for at, number in enumerate(order):
            pool.append(torch.arange(*blocks[number]))
            filled += len(pool[-1])
            last = at + 1 == len(order)
            if not last and filled + block_tokens <= pool_tokens:
                continue
            rows = torch.cat(pool)[torch.randperm(filled, generator=generator)]
            whole = filled if last else filled - filled % batch_tokens
            for chosen in torch.split(rows[:whole], batch_tokens):
                yield self._gather(chosen, gathered[: len(chosen)], dtype)
            pool, filled = [rows[whole:]], filled - whole

    @cached_property
    def _starts(self) -> Tensor:
        """Number of the first token of each shard, counted through all of them, and how many tokens there are."""
        return torch.tensor([0, *self.sizes]).cumsum(0)

    def _blocks(self, block_tokens: int) -> list[tuple[int, int]]:
        """First token of every block and the one after its last; no block is of two shards."""
        return [
            (first, min(first + block_tokens, end))
            for start, end in pairwise(self._starts.tolist())
            for first in range(start, end, block_tokens)
        ]

    def _gather(self, rows: Tensor, gathered: Tensor, dtype: torch.dtype) -> ShardBatch:
        """Tokens by number, straight out of the memory maps: put side by side by shard, which is no order of theirs."""
        shard = torch.bucketize(rows, self._starts, right=True) - 1
        counts = torch.bincount(shard, minlength=len(self._shards)).tolist()
        rows = (rows - self._starts[shard])[shard.argsort(stable=True)]
        others: list[tuple[Tensor, ...]] = []
        first = 0
        for columns, count in zip(self._shards, counts, strict=True):
            if count:
                part = rows[first : first + count]
                torch.index_select(columns[0], 0, part, out=gathered[first : first + count])
                others.append(tuple(column.index_select(0, part) for column in columns[1:]))
                first += count
        ids, documents, positions = (torch.cat(parts) for parts in zip(*others, strict=True))
        return ShardBatch(gathered.to(dtype, copy=True), ids, documents, positions)


def _check_sizes(batch_tokens: int, pool_tokens: int, block_tokens: int) -> None:
    sizes = {"batch_tokens": batch_tokens, "block_tokens": block_tokens}
    for field, value in sizes.items():
        if not 1 <= value <= pool_tokens:
            raise ValueError(f"{field}: {value} is not allowed: 1 to pool_tokens, which is {pool_tokens}")
    # What a batch leaves over stays in the pool, so there must be room for a block beside it.
    if pool_tokens < batch_tokens + block_tokens:
        raise ValueError(
            f"pool_tokens: {pool_tokens} is not allowed: batch_tokens + block_tokens = {batch_tokens + block_tokens}"
            " or more"
        )
