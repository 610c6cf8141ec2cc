"""Runs of many texts for many units at once: what is the same is run once, what is of one length side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .settings import GraphSettings
from .units import UnitReader
from .windows import Ids

Values = NDArray[np.float64]
Request = tuple[Ids, int]
"""A text without its start token, and a unit."""

_STRETCH = 1.2
"""Sequences are padded to so many times their length, and one more, since few are of exactly one length."""


class Runs:
    """A unit reader that is asked for much at once. The causal order is used: a prefix of a text costs nothing."""

    def __init__(self, reader: UnitReader, settings: GraphSettings) -> None:
        """Take a reader."""
        self.reader, self._batch_tokens = reader, settings.batch_tokens
        start = reader.start_id if settings.start_token else None
        self.start: Ids = () if start is None else (start,)
        """What texts begin with."""
        self.room = reader.context - len(self.start)
        """Most tokens of a text."""

    def values(self, requests: Sequence[Request]) -> list[Values]:
        """Value of the unit at each token, that of the start token first where there is one."""
        sequences = {self.start + ids for ids, _ in requests}
        holders = _holders(sequences)
        wanted: dict[Ids, set[int]] = defaultdict(set)
        for ids, unit in requests:
            wanted[holders[self.start + ids]].add(unit)
        found: dict[Request, Values] = {}
        for batch in self._batches(list(wanted)):
            units = sorted(set().union(*(wanted[one] for one in batch)))
            column = {unit: number for number, unit in enumerate(units)}
            values = self._run(batch, units)
            for row, ids in enumerate(batch):
                found |= {(ids, unit): values[row, : len(ids), column[unit]] for unit in wanted[ids]}
        return [found[holders[self.start + ids], unit][: len(self.start) + len(ids)] for ids, unit in requests]

    def masked(self, requests: Sequence[Request]) -> list[Values]:
        """Values with each token masked in turn, (masked token, token), without the start token."""
        wanted: dict[Ids, list[int]] = defaultdict(list)
        for ids, unit in dict.fromkeys(requests):
            wanted[self.start + ids].append(unit)
        found: dict[Request, Values] = {}
        first = len(self.start)
        for batch in self._batches(list(wanted), padded=False):
            pairs = [(row, unit) for row, ids in enumerate(batch) for unit in wanted[ids]]
            rows, units = torch.tensor(pairs).unbind(1)
            values = self.reader.masked_values(torch.tensor(batch), rows, units).cpu().double().numpy()
            for (row, unit), matrix in zip(pairs, values, strict=True):
                found[batch[row][first:], unit] = matrix[first:, first:]
        return [found[request] for request in requests]

    def _run(self, batch: Sequence[Ids], units: list[int]) -> Values:
        length = max(map(len, batch))
        ids = torch.full((len(batch), length), self.reader.padding_id)
        mask = torch.zeros(len(batch), length, dtype=torch.bool)
        for row, one in enumerate(batch):
            ids[row, : len(one)] = torch.tensor(one)
            mask[row, : len(one)] = True
        return self.reader.values(ids, mask, torch.tensor(units)).cpu().double().numpy()

    def _batches(self, sequences: list[Ids], padded: bool = True) -> Iterator[list[Ids]]:
        batch: list[Ids] = []
        for ids in sorted(sequences, key=len):
            longest = len(batch[0]) * _STRETCH + 1 if padded and batch else len(ids)
            another = batch and len(batch[0]) != len(ids) and not padded
            if another or len(ids) > longest or (len(batch) + 1) * len(ids) > self._batch_tokens:
                if batch:
                    yield batch
                batch = []
            batch.append(ids)
        if batch:
            yield batch


def _holders(sequences: set[Ids]) -> dict[Ids, Ids]:
    """For each sequence the longest one that begins with it."""
    holders: dict[Ids, Ids] = {}
    last: Ids = ()
    for ids in sorted(sequences, reverse=True):  # what begins with a sequence stands right before it
        if last[: len(ids)] != ids:
            last = ids
        holders[ids] = last
    return holders
