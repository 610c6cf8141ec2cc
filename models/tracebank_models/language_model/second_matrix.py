"""Which matrix gives what an MLP adds: what it is multiplied with are the layer's neurons. No model is run here.

Found from one block's own numbers, as its parts are: whatever its name, its output is the MLP's, times a number (a
multiplier of the model's) or before a last normalisation. A mixture of experts or a gate after it has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tracebank_models.device import as_double

from .residual_parts import Event, Part, role_of, same_vectors


def second_matrix(mlp: Part, events: Sequence[Event]) -> Event | None:
    """The last matrix of an MLP.

    Args:
        mlp: The MLP's part of the stream.
        events: What ran in the block, in the order in which it ended.

    Returns:
        None where the MLP's output is not one matrix times what another one led to.
    """
    made = next(event.after for event in events if event.path == mlp.path)
    before_norms = [
        event.before
        for event in events
        if event.is_norm and event.before is not None and torch.equal(event.after, made)
    ]
    matrices = [event for event in events if event.matrix_width is not None and not _of_attention(event)]
    for number in reversed(range(len(matrices))):
        last = matrices[number]
        follows = any(first.after.shape[1] % (last.matrix_width or 1) == 0 for first in matrices[:number])
        if follows and any(_multiple(last.after, wanted) for wanted in (made, *before_norms)):
            return last
    return None


def _of_attention(event: Event) -> bool:
    role = role_of(event.path)
    return role is not None and role[0] == "attn"


def _multiple(found: Tensor, wanted: Tensor) -> bool:
    """Whether one is the other times a number that is not zero."""
    if found.shape != wanted.shape or bool(found.any()) != bool(wanted.any()):
        return False
    exact = as_double(found)
    square = (exact * exact).sum()
    return bool(square == 0) or same_vectors(exact * ((exact * as_double(wanted)).sum() / square), wanted)
