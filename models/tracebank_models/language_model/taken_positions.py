"""What a causal language model says at some positions: logits there alone, and log-probabilities of the tokens there.

The one way in which the house turns a forward pass into log-probabilities of given tokens, with gradients or without.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class ChosenTokens(NamedTuple):
    """What a model said about the tokens that came, shape [positions] each."""

    log_probabilities: Tensor
    """fp32, nats."""
    greedy: Tensor
    """bool: whether the token was the likeliest."""


def position_ids(attention_mask: Tensor) -> Tensor:
    """Positions that count tokens only, whatever padding stands before them; int64, shape of the mask."""
    return (attention_mask.cumsum(dim=1) - 1).clamp_min(0)


def logits_at(model: PreTrainedModel, ids: Tensor, mask: Tensor, taken: Tensor, **options: Any) -> tuple[Tensor, Any]:
    """Logits where they are asked for; the head that makes them does not see the other positions.

    Args:
        model: A causal language model.
        ids: int64 [rows, length], padded on either side.
        mask: int64, 1 where there is a token; with a cache, [rows, length of the cache + length].
        taken: bool [rows, length].
        options: More for the model's forward pass, such as `past_key_values`.

    Returns:
        Logits [positions taken, vocabulary], row by row, and all that the model gave.
    """

    def keep_taken(_head: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden = given[0] if given else None
        if isinstance(hidden, Tensor) and hidden.shape[:-1] == taken.shape:
            return (hidden[taken][None], *given[1:])
        return None

    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(keep_taken) if isinstance(head, nn.Module) else None
    positions = position_ids(mask)[:, -ids.shape[1] :]
    try:
        out = model(
            **{"input_ids": ids, "attention_mask": mask, "position_ids": positions, "use_cache": False} | options
        )
    finally:
        if hook is not None:
            hook.remove()
    # A model that does not call its head as a module gives the logits of all positions.
    return (out.logits[taken] if out.logits.shape[:-1] == taken.shape else out.logits[0]), out


def chosen_tokens(logits: Tensor, targets: Tensor, rows: Tensor | None = None) -> ChosenTokens:
    """What logits [positions, vocabulary] say about targets.

    Args:
        logits: As the model gives them.
        targets: int64 [positions], or as many as there are rows.
        rows: int64, the position at which each target is asked about; None where it is the target's own.
    """
    places = torch.arange(len(targets), device=targets.device) if rows is None else rows
    chosen = torch.log_softmax(logits.float(), dim=-1)[places, targets]
    return ChosenTokens(chosen, logits.argmax(dim=-1)[places] == targets)
