"""What a causal language model says at some positions: logits there alone, and log-probabilities of the tokens there.

The one way in which the house turns a forward pass into log-probabilities of given tokens, with gradients or without.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tracebank_models.device import as_double

_VALUES_AT_ONCE: Final = 1 << 20
"""Logits that are worked on at once: what a processor's cache holds."""


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

    head: object = model.get_output_embeddings()  # type: ignore[no-untyped-call]
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


def log_probabilities_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-probability of each target, fp64 [positions], nats.

    All that is rounded in fp32 is a sum of exponentials, to 1e-7: a log-probability in fp32 is rounded to 1e-6, and
    which way it goes depends on the batch.

    Args:
        logits: Shape [positions, vocabulary]; gradients go through.
        targets: int64 [positions].
    """
    rows = max(1, _VALUES_AT_ONCE // logits.shape[-1])
    parts = zip(torch.split(logits, rows), torch.split(targets, rows), strict=True)
    return torch.cat([_of_targets(some.float(), wanted) for some, wanted in parts])


def _of_targets(logits: Tensor, targets: Tensor) -> Tensor:
    largest = logits.detach().amax(dim=-1)
    others = (logits - largest[:, None]).exp().sum(dim=-1)
    chosen = logits.gather(1, targets[:, None])[:, 0]
    return as_double(chosen) - as_double(largest) - as_double(others).log()
