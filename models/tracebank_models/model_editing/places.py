"""Where a fact is written: the second matrix of a block's MLP, proved to add its output to the stream as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tracebank_models.device import as_double
from tracebank_models.language_model.blocks import block_path, block_taps
from tracebank_models.language_model.hooks import Tap, evaluating, replaced, watched
from tracebank_models.language_model.text_limits import embedding_rows

_ROUNDINGS = 64
"""Of the model's number type that a sum in a block may be off by, relative to the largest number in it."""
_PROVED: WeakKeyDictionary[PreTrainedModel, set[int]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class EditPlace:
    """The second matrix W of the MLP of one block: m = W k + b."""

    layer: int
    matrix: nn.Module
    keys: Tap
    """k: what the matrix is given."""
    output: Tap
    """m: what it gives, which is added to the stream."""
    stream: Tap
    """The stream after the block."""

    @property
    def weight(self) -> nn.Parameter:
        """W as the model has it."""
        return cast(nn.Parameter, self.matrix.weight)

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """W, and b where there is one."""
        bias = getattr(self.matrix, "bias", None)
        return (self.weight,) if bias is None else (self.weight, bias)

    def as_rows(self, weight: Tensor) -> Tensor:
        """A tensor of W's shape as [width of the stream, keys], whichever way the model has it (GPT-2: the other)."""
        return weight.T if isinstance(self.matrix, Conv1D) else weight

    def out(self, keys: Tensor) -> Tensor:
        """W k + b of keys [..., width], in float64."""
        found = as_double(keys) @ as_double(self.as_rows(self.weight.detach())).T
        return found if len(self.parameters) == 1 else found + as_double(self.parameters[1].detach())

    @torch.no_grad()
    def add(self, change: Tensor) -> None:
        """Add a change [width of the stream, keys] to W.

        Raises:
            ValueError: What comes out is not finite in the model's number type; nothing is written.
        """
        weight = self.as_rows(self.weight)
        new = (as_double(weight) + change.to(as_double(weight).device)).to(weight)
        if not bool(torch.isfinite(new).all()):
            raise ValueError(
                f"edit: the new weights of layer {self.layer} have NaN or infinite entries; nothing was written"
                " there; allowed: finite ones (see v*'s loss and the product of keys, or take another layer)"
            )
        weight.copy_(new)


def layer_count(model: PreTrainedModel) -> int:
    """Blocks of a model.

    Raises:
        ValueError: It has no list of blocks.
    """
    return len(list(model.get_submodule(block_path(model)).children()))


def edit_place(model: PreTrainedModel, layer: int) -> EditPlace:
    """Where facts are written in a layer.

    Raises:
        ValueError: There is no such layer, its MLP does not end in one matrix, or what that gives is scaled or
            normalised before or after it is added to the stream.
    """
    last = layer_count(model) - 1
    if not 0 <= layer <= last:
        raise ValueError(f"layer: {layer} is not allowed; allowed: 0 to {last}, the model's layers")
    taps, name = block_taps(model), type(model).__name__
    if f"layers.{layer}.neurons" not in taps:
        raise ValueError(
            f"model: {name} has no MLP that ends in one matrix in layer {layer}, so no fact can be written there;"
            " allowed: models like GPT-2 and GPT-NeoX"
        )
    keys, output, stream = (taps[f"layers.{layer}.{part}"] for part in ("neurons", "mlp", "resid"))
    place = EditPlace(layer, model.get_submodule(keys.module), keys, output, stream)
    proved = _PROVED.setdefault(model, set())
    if layer not in proved and not _adds_as_it_is(model, place):
        raise ValueError(
            f"model: {name} scales or normalises what the MLP of layer {layer} adds, so no fact can be written there;"
            " allowed: models like GPT-2 and GPT-NeoX"
        )
    proved.add(layer)
    return place


def edit_places(model: PreTrainedModel, layers: Sequence[int]) -> list[EditPlace]:
    """Where facts are written in several layers, in rising order.

    Raises:
        ValueError: As `edit_place`.
    """
    return [edit_place(model, layer) for layer in layers]


def _adds_as_it_is(model: PreTrainedModel, place: EditPlace) -> bool:
    """Whether the matrix's output is the MLP's, and the stream moves by what is added to it, there and not earlier."""
    ids = torch.arange(11, 15, device=model.device).remainder(embedding_rows(model))[None]
    taps = {"out": place.output, "stream": place.stream, "matrix": Tap(place.keys.module)}
    with evaluating(model), watched(model, taps) as seen:
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        before = {name: found.clone() for name, found in seen.items()}
        step = torch.zeros_like(before["out"])
        step[:, 2] = before["stream"][:, 0]
        with replaced(model, {place.output: lambda found: found + step}), watched(model, taps) as moved:
            model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return _close(before["out"], before["matrix"]) and _close(moved["stream"], before["stream"] + step)


def _close(found: Tensor, wanted: Tensor) -> bool:
    off = _ROUNDINGS * torch.finfo(found.dtype).eps * float(wanted.abs().max())
    return bool((found - wanted).abs().max() <= off)
