"""Where the blocks of a causal language model are, and where what each of their parts adds can be read.

One naming holds for every architecture. `layers.N.resid` is the residual stream after block N; `layers.N.attn`,
`layers.N.mlp` and, of mixers of other kinds, `layers.N.mamba` and the like are what that part adds to it:
resid(N) = resid(N-1) + attn(N) + mlp(N) + ... `layers.N.neurons` is what the MLP's second matrix is given. A few tokens
are run once per model to find and to prove them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .hooks import Tap, block_input, evaluating, first_of
from .residual_parts import Event, Part, residual_parts, role_of
from .second_matrix import second_matrix
from .text_limits import embedding_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SHAPE: Final = (2, 3)
"""Sequences and positions that are run: two, to tell sequences from positions."""
_found: WeakKeyDictionary[PreTrainedModel, dict[str, Tap]] = WeakKeyDictionary()


def block_path(model: PreTrainedModel) -> str:
    """Path of the list of a model's blocks, for example `gpt_neox.layers`.

    Raises:
        ValueError: The model has no list of that many blocks.
    """
    layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    lists = {
        str(path): module
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == layers
    }
    if not lists:
        allowed = f"one with a list of {layers} blocks"
        raise ValueError(f"model: {type(model).__name__} is not allowed; allowed: {allowed}")
    # A list that is as long by chance (of experts, say) has neither an MLP nor attention in its items.
    return next((path for path, blocks in lists.items() if _has_parts(blocks[0])), next(iter(lists)))


def _has_parts(block: nn.Module) -> bool:
    return any(role_of(path) for path, _ in block.named_modules())


def named_modules(model: PreTrainedModel) -> dict[str, str]:
    """Path of the module behind every name of `block_taps`.

    Raises:
        ValueError: As `block_taps`.
    """
    return {name: tap.module for name, tap in block_taps(model).items()}


def block_taps(model: PreTrainedModel) -> dict[str, Tap]:
    """Where every name can be read: `layers.N.resid`, `layers.N.attn`, `layers.N.mlp`, `layers.N.neurons`, ...

    A block has the names of those parts that are proved to add up to what it adds; where nothing does, only `resid`.
    It has `neurons` where its MLP is proved to end in one matrix.

    Raises:
        ValueError: As `block_path`, or the model cannot be run, or a block takes and gives no hidden states.
    """
    if model not in _found:
        _found[model] = _taps(model)
    return _found[model]


class _Kept(NamedTuple):
    """A tensor itself, and its version when it was seen."""

    tensor: Tensor
    version: int


@dataclass(slots=True)
class _Record:
    """What ran in a block."""

    events: list[Event] = field(default_factory=list)
    outputs: dict[str, _Kept] = field(default_factory=dict)
    """By path."""
    inputs: dict[str, _Kept] = field(default_factory=dict)
    """Of modules that are one matrix, by path."""
    x: Tensor | None = None
    y: Tensor | None = None


def _taps(model: PreTrainedModel) -> dict[str, Tap]:
    path = block_path(model)
    blocks = model.get_submodule(path)
    records = _run(model, blocks)
    factors = _factors(model)
    taps: dict[str, Tap] = {}
    last: Tensor | None = None
    for number, record in enumerate(records):
        x, y = record.x, record.y
        if x is None or y is None or x.shape != y.shape:
            raise ValueError(f"model: block {number} of {type(model).__name__} takes and gives no hidden states once")
        if not (bool(torch.isfinite(x).all()) and bool(torch.isfinite(y).all())):
            raise ValueError(f"model: block {number} of {type(model).__name__} gives numbers that are NaN or infinite")
        follows = last is None or torch.equal(last, x)
        last = y
        parts = residual_parts(x, y, record.events, factors) if follows else None
        found = _block_taps(f"{path}.{number}", record, parts or {})
        taps |= {f"layers.{number}.{name}": tap for name, tap in found.items()}
    return taps


def _block_taps(block: str, record: _Record, parts: Mapping[str, Part]) -> dict[str, Tap]:
    def tap(kept: _Kept, path: str, factor: float = 1.0, *, of_input: bool = False) -> Tap:
        flat, written_over = kept.tensor.ndim == 2, kept.tensor._version != kept.version
        module = f"{block}.{path}" if path else block
        return Tap(module, factor, block if flat else None, written_over, of_input, once=True)

    taps = {name: tap(record.outputs[part.path], part.path, part.factor) for name, part in parts.items()}
    matrix = second_matrix(parts["mlp"], record.events) if "mlp" in parts else None
    if matrix is not None:
        taps["neurons"] = tap(record.inputs[matrix.path], matrix.path, of_input=True)
    return {"resid": tap(record.outputs[""], ""), **taps}


def _factors(model: PreTrainedModel) -> list[float]:
    """Numbers of the configuration that a part may be multiplied with, some of them over the root of the layers."""
    config = model.config.get_text_config()
    values = {value for value in config.to_dict().values() if isinstance(value, float) and value > 0}
    return sorted(values | {value / math.sqrt(config.num_hidden_layers) for value in values})


def _run(model: PreTrainedModel, blocks: nn.Module) -> list[_Record]:
    """Run a few tokens and record what happens in each block."""
    numbers = torch.arange(_SHAPE[0] * _SHAPE[1], device=model.device) * 7 + 11
    ids = numbers.remainder(embedding_rows(model)).view(_SHAPE)
    records = [_Record() for _ in blocks.children()]
    with evaluating(model), ExitStack() as stack:
        for block, record in zip(blocks.children(), records, strict=True):
            stack.callback(block.register_forward_pre_hook(_input_recorder(record), with_kwargs=True).remove)
            for path, module in block.named_modules():
                hook = _recorder(record, path, module)
                stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        try:
            model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        except Exception as error:
            line = str(error).strip().splitlines() or [""]
            raise ValueError(f"model: {type(model).__name__} cannot be run: {line[0][:160]}") from error
    return records


def _input_recorder(record: _Record) -> Callable[..., None]:
    def note(_module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given = block_input(arguments, named)
        if isinstance(given, Tensor) and _is_hidden(given):
            record.x = given.flatten(0, -2).clone()  # before a block writes over it

    return note


def _recorder(record: _Record, path: str, module: nn.Module) -> Callable[..., None]:
    ran = False

    def note(_module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        nonlocal ran
        found, given = first_of(output), block_input(arguments, named)
        again, ran = ran, True
        if again:  # what runs more than once in a pass has no one output
            record.events = [event for event in record.events if event.path != path]
            return
        if not isinstance(found, Tensor) or not _is_hidden(found):
            return
        record.outputs[path] = _Kept(found, found._version)
        after = found.flatten(0, -2).clone()
        if not path:
            record.y = after
            return
        before = given.flatten(0, -2).clone() if isinstance(given, Tensor) and given.numel() == found.numel() else None
        width = _matrix_width(module, arguments)
        if width is not None:
            record.inputs[path] = _Kept(given, given._version)
        is_leaf = not any(module.children())
        record.events.append(Event(path, type(module).__name__, before, after, is_leaf, width))

    return note


def _matrix_width(module: nn.Module, arguments: tuple[Any, ...]) -> int | None:
    """Width of the input of a module that is one matrix (a linear layer, GPT-2's Conv1D)."""
    weight = getattr(module, "weight", None)
    is_matrix = not any(module.children()) and isinstance(weight, Tensor) and weight.ndim == 2
    hidden = bool(arguments) and isinstance(arguments[0], Tensor) and _is_hidden(arguments[0])
    return int(arguments[0].shape[-1]) if is_matrix and hidden else None


def _is_hidden(found: Tensor) -> bool:
    """Whether a tensor has one vector per token; its axis of sequences may be missing."""
    return found.is_floating_point() and tuple(found.shape[:-1]) in (_SHAPE, (_SHAPE[0] * _SHAPE[1],))
