"""What a model has at the last token of a subject, at any sites: keys of an MLP, the stream after a block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tracebank_models.activations.capture import forward
from tracebank_models.activations.sites import resolve_sites
from tracebank_models.language_model.token_blocks import padded_batch
from tracebank_models.log_likelihood.batches import length_batches

from .requests import LocatedText

_BATCH_TOKENS = 16_384


def states_at_subject(model: PreTrainedModel, texts: Sequence[LocatedText], sites: Sequence[str]) -> dict[str, Tensor]:
    """States at each text's subject.

    Args:
        model: The model.
        texts: Texts, read up to the subject's last token.
        sites: Names as `layers.3.neurons`.

    Returns:
        By site, [texts, width], in the model's number type.

    Raises:
        ValueError: A site is not known.
    """
    found = resolve_sites(model, sites)
    lengths = np.array([text.subject + 1 for text in texts])
    kept: dict[int, dict[str, Tensor]] = {}
    for rows in length_batches(lengths, np.ones_like(lengths), _BATCH_TOKENS, _BATCH_TOKENS):
        sequences = [np.array(texts[row].until_subject, dtype=np.int32) for row in rows]
        ids, mask = (one.to(model.device) for one in padded_batch(sequences, 0))
        last = torch.from_numpy(lengths[rows] - 1).to(model.device)
        every = torch.arange(len(rows), device=model.device)
        seen = {name: state[every, last] for name, state in forward(model, ids, mask, found).items()}
        kept |= {row: {name: state[place] for name, state in seen.items()} for place, row in enumerate(rows.tolist())}
    return {name: torch.stack([kept[row][name] for row in range(len(texts))]) for name in sites}
