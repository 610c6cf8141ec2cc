"""How far an edit has moved next-token distributions, in both directions and as the released code has it."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from tracebank_models.device import as_double

DIVERGENCES: Final = ("kl", "kl_reversed", "kl_released")
"""KL(unedited || edited) and KL(edited || unedited), nats; the second over the size of the vocabulary, as the released
code of 2305.17553 has it."""


def divergences(unedited: Tensor, edited: Tensor) -> Tensor:
    """How far next-token distributions are apart: a row for each of `DIVERGENCES`, fp64 [3, prompts].

    Args:
        unedited: Log-probabilities [prompts, vocabulary].
        edited: The same after the edit.
    """
    # Normalised again in fp64: what fp32 leaves over would make small divergences negative.
    before, after = (torch.log_softmax(as_double(one), dim=-1) for one in (unedited, edited))
    there, back = _divergence(before, after), _divergence(after, before)
    return torch.stack((there, back, back / before.shape[-1]))


def _divergence(of: Tensor, to: Tensor) -> Tensor:
    """KL(of || to) of each row; a token that cannot come adds nothing."""
    share = of.exp()
    return torch.where(share > 0, share * (of - to), 0.0).sum(dim=-1)
