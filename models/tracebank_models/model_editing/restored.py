"""Edits for a while: the weights come back, bit by bit, however the edit ends, and hashes of all tensors prove it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .editor import Editor
from .places import edit_places
from .requests import EditRequest
from .second_moments import SecondMoments
from .trace import EditTrace
from .value_search import EditValue


class WeightGuard:
    """What every tensor of a model's state was, by hash.

    A tensor is hashed anew only where torch has counted a write to it since, which makes a guard that is kept over
    many edits cheap; `check(whole=True)` hashes all.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._known = {name: (_hash(one), one._version) for name, one in _tensors(model).items()}

    def check(self, *, whole: bool = False) -> None:
        """Compare the model with what it was.

        Args:
            whole: Whether tensors that torch has counted no write to are hashed too.

        Raises:
            RuntimeError: A tensor differs; the line names it.
        """
        now = _tensors(self._model)
        changed = sorted(now.keys() ^ self._known.keys())
        for name in now.keys() & self._known.keys():
            known, version = self._known[name]
            if whole or now[name]._version != version:
                if _hash(now[name]) != known:
                    changed.append(name)
                self._known[name] = known, now[name]._version
        if changed:
            raise RuntimeError(f"weights: {', '.join(changed[:3])} are not what they were before the edit")


@contextmanager
def restored(model: PreTrainedModel, editor: Editor[Any], guard: WeightGuard | None = None) -> Iterator[None]:
    """Whatever an editor writes within the context is gone after it: weights and the editor's memory come back.

    Args:
        model: The model.
        editor: Who writes.
        guard: One of this model that is kept over many edits; None hashes every tensor before and after.

    Raises:
        ValueError: The editor writes to a layer that cannot be written to.
        RuntimeError: A tensor is not what it was.
    """
    proof = guard or WeightGuard(model)
    kept = [(one, one.detach().clone()) for place in edit_places(model, editor.layers) for one in place.parameters]
    written, memory = editor.written, {layer: one.clone() for layer, one in editor.memory.items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in kept:
                parameter.copy_(before)
        editor.written, editor.memory = written, memory
        proof.check(whole=guard is None)


@contextmanager
def edited(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    editor: Editor[Any],
    requests: Sequence[EditRequest],
    moments: SecondMoments | None = None,
    prefixes: Sequence[str] = (),
    prepared: Sequence[EditValue] | None = None,
    guard: WeightGuard | None = None,
) -> Iterator[list[EditTrace]]:
    """A model with facts written into it, for as long as the context lasts; see `restored`.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        editor: Who writes.
        requests: The facts.
        moments: See `Editor.apply`.
        prefixes: See `Editor.apply`.
        prepared: See `Editor.apply`.
        guard: See `restored`.

    Raises:
        ValueError: As `Editor.apply`.
        RuntimeError: A tensor is not what it was.
    """
    with restored(model, editor, guard):
        yield editor.apply(model, tokenizer, requests, moments, prefixes, prepared)


def _tensors(model: PreTrainedModel) -> dict[str, Tensor]:
    return dict(model.state_dict(keep_vars=True))


def _hash(tensor: Tensor) -> str:
    data = tensor.detach().cpu().contiguous()
    head = f"{data.dtype}|{tuple(data.shape)}|".encode()
    return hashlib.sha256(head + data.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
