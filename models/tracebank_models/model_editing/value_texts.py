"""The texts in which values are searched, as one padded batch: what the values change, after what they do not change.

A value is added at the subject's last token. All before it stays as it is, so that its keys and values are computed
once; the blocks up to the edited one are, too.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from tracebank_models.language_model.hooks import evaluating, stopping_after, watched
from tracebank_models.language_model.taken_positions import logits_at
from tracebank_models.language_model.token_blocks import padded_batch
from tracebank_models.log_likelihood.passes import shares_contexts

from .places import EditPlace
from .requests import LocatedText
from .resumed_pass import resumed_after, with_stream

_NONE = -1


@dataclass(frozen=True, slots=True)
class FactTexts:
    """Texts of one fact."""

    texts: Sequence[LocatedText]
    """The prompt alone first, then after each prefix."""
    kept: tuple[int, ...]
    """Ids of a text that ends with the subject, after which the model is to say what it said."""


@dataclass(frozen=True, slots=True)
class ValueBatch:
    """Rows of several facts; tensors begin with the axis of rows."""

    ids: Tensor
    """int64 [rows, length], padded on the right."""
    mask: Tensor
    """int64 [rows, length of the past + length]."""
    column: Tensor
    """Place of the subject's last token in `ids`."""
    fact: Tensor
    """Number of the fact."""
    targets: Tensor
    """int64 [rows, length]: the token that is to follow; -1 where nothing is asked. Of a kept text it is 0."""
    kept: Tensor
    """bool: whether it is the kept text of its fact."""
    first: Tensor
    """bool: whether it is the prompt alone."""
    past: Cache | None
    """Keys and values of what stands before `ids`; None where all stands in `ids`."""
    stream: Tensor
    """After the edited block, without a value."""

    def chosen(self, rows: Tensor) -> ValueBatch:
        """Some of the rows, by their numbers."""
        tensors = {one.name: getattr(self, one.name)[rows] for one in fields(self) if one.name != "past"}
        past = None if self.past is None else _copied(self.past)
        if past is not None:
            past.batch_select_indices(rows)
        return replace(self, **tensors, past=past)

    def logits(self, model: PreTrainedModel, place: EditPlace, output: Any, values: Tensor) -> Tensor:
        """Logits [places where something is asked, vocabulary], row by row, with gradients to the values.

        Args:
            model: The model.
            place: Where values are added.
            output: What the edited block gave, whose kind its stand-in has.
            values: What is added for each fact, [facts, width].
        """
        rows = torch.arange(len(self.ids), device=self.ids.device)
        added = values[self.fact].to(self.stream.dtype)
        stream = self.stream.index_put((rows, self.column), added, accumulate=True)
        with resumed_after(model, place.layer, with_stream(output, stream)):
            return logits_at(model, self.ids, self.mask, self.targets != _NONE, **_after(self.past))[0]


def value_batch(
    model: PreTrainedModel, place: EditPlace, facts: Sequence[FactTexts]
) -> tuple[ValueBatch, Any, dict[str, Tensor]]:
    """Lay out the texts of facts and run them once.

    Returns:
        The batch; what the edited block gave; `output` (of the MLP) and `stream` at the subject in the prompt alone,
        [facts, width].
    """
    rows = [row for number, fact in enumerate(facts) for row in _rows(number, fact)]
    shared = shares_contexts(model)
    cuts = [row.subject if shared else 0 for row in rows]
    ids, own = _padded(model, [row.ids[cut:] for row, cut in zip(rows, cuts, strict=True)])
    column = torch.tensor([row.subject - cut for row, cut in zip(rows, cuts, strict=True)], device=ids.device)
    targets = torch.full_like(ids, _NONE)
    for number, (row, cut) in enumerate(zip(rows, cuts, strict=True)):
        asked = len(row.ids) - cut
        targets[number, asked - len(row.target) : asked] = torch.tensor(row.target, device=ids.device)
    past, mask = _past(model, [row.ids[:cut] for row, cut in zip(rows, cuts, strict=True)], own)
    fact, kept, first = (
        torch.tensor([getattr(row, name) for row in rows], device=ids.device) for name in ("fact", "kept", "first")
    )
    seen, output = _run(model, place, ids, mask, past)
    batch = ValueBatch(ids, mask, column, fact, targets, kept, first, past, seen["stream"])
    where = first.nonzero()[:, 0]
    return batch, output, {name: found[where, column[where]] for name, found in seen.items()}


@dataclass(frozen=True, slots=True)
class _Row:
    ids: tuple[int, ...]
    """What the model reads; it is asked at the last of them, and before."""
    subject: int
    target: tuple[int, ...]
    fact: int
    kept: bool = False
    first: bool = False


def _rows(number: int, fact: FactTexts) -> list[_Row]:
    rows = [
        _Row(text.ids[:-1], text.subject, text.target, number, first=place == 0)
        for place, text in enumerate(fact.texts)
    ]
    return [*rows, _Row(fact.kept, len(fact.kept) - 1, (0,), number, kept=True)]


def _padded(model: PreTrainedModel, sequences: Sequence[Sequence[int]], left: bool = False) -> tuple[Tensor, Tensor]:
    ids, mask = padded_batch([np.array(one, dtype=np.int32) for one in sequences], 0, left)
    return ids.to(model.device), mask.to(model.device)


def _past(model: PreTrainedModel, sequences: Sequence[Sequence[int]], own: Tensor) -> tuple[Cache | None, Tensor]:
    """Keys and values of what stands before, padded on the left; and the mask of all."""
    if not any(sequences):
        return None, own
    ids, mask = _padded(model, [one or (0,) for one in sequences], left=True)
    empty = torch.tensor([not one for one in sequences], device=ids.device)
    mask[empty] = 0
    readable = mask.clone()
    readable[empty, -1] = 1  # a row of padding alone would have nothing to attend to; no one reads it
    last = torch.zeros_like(mask, dtype=torch.bool)
    last[:1, -1] = True
    with evaluating(model):
        _, out = logits_at(model, ids, readable, last, use_cache=True)
    return out.past_key_values, torch.cat((mask, own), dim=1)


def _run(
    model: PreTrainedModel, place: EditPlace, ids: Tensor, mask: Tensor, past: Cache | None
) -> tuple[dict[str, Tensor], Any]:
    outputs: list[Any] = []
    block, taps = model.get_submodule(place.stream.module), {"output": place.output, "stream": place.stream}
    handle = block.register_forward_hook(lambda _module, _given, output: outputs.append(output))
    try:
        with evaluating(model), watched(model, taps) as seen, stopping_after(model, taps.values()):
            logits_at(model, ids, mask, torch.zeros_like(ids, dtype=torch.bool), **_after(past))
    finally:
        handle.remove()
    return seen, outputs[0]


def _after(past: Cache | None) -> dict[str, Any]:
    return {} if past is None else {"past_key_values": _copied(past), "use_cache": True}


def _copied(cache: Cache) -> Cache:
    """A cache that grows by itself: the tensors are shared, since growing makes new ones."""
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    return copied
