"""Which sequences go through a model together: neighbours in length, within bounds of tokens and of logits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def length_batches(
    lengths: NDArray[np.int64], taken: NDArray[np.int64], most_tokens: int, most_taken: int
) -> Iterator[NDArray[np.int64]]:
    """Split sequences into batches, the longest first, so that what does not fit into memory fails at once.

    Args:
        lengths: Tokens of each sequence.
        taken: Positions of each at which logits are made.
        most_tokens: Of a batch, padding among them; a longer sequence goes alone.
        most_taken: Of a batch; a sequence with more goes alone.

    Yields:
        Rows of the sequences of a batch.
    """
    order = np.lexsort((taken, lengths))[::-1]
    start, logits = 0, 0
    for end, row in enumerate(order):
        logits += int(taken[row])
        area = int(lengths[order[start]]) * (end - start + 1)
        if end > start and (area > most_tokens or logits > most_taken):
            yield order[start:end]
            start, logits = end, int(taken[row])
    if len(order):
        yield order[start:]
