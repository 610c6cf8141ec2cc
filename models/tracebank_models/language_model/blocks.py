"""Where the blocks of a causal language model are, and what its modules give out in a forward pass.

One naming holds for every architecture. What is done with the outputs, and how they are stored, is not said here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PARTS: Final = {
    "mlp": ("mlp", "feed_forward", "ffn"),
    "attn": ("attention", "attn", "self_attn", "self_attention"),
}
Name = TypeVar("Name", bound=Hashable)


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
    return next((path for path, blocks in lists.items() if _parts(blocks[0])), next(iter(lists)))


def _parts(block: nn.Module) -> dict[str, str]:
    children = dict(block.named_children())
    return {part: name for part, names in _PARTS.items() for name in names if name in children}


def named_modules(model: PreTrainedModel) -> dict[str, str]:
    """Path of the module behind every name: `layers.N.resid` (a block's output), `layers.N.mlp` and `layers.N.attn`.

    Raises:
        ValueError: As `block_path`.
    """
    path = block_path(model)
    found: dict[str, str] = {}
    for number, block in enumerate(model.get_submodule(path).children()):
        found[f"layers.{number}.resid"] = f"{path}.{number}"
        for part, name in _parts(block).items():
            found[f"layers.{number}.{part}"] = f"{path}.{number}.{name}"
    return found


def hidden_states(name: Hashable, output: Any) -> Tensor:
    """The hidden states in what a module gave back: the tensor, or the first one of a tuple.

    Raises:
        ValueError: They are no tensor of the shape (sequences, positions, width); the line names the site.
    """
    found = output[0] if isinstance(output, tuple) else output
    if not isinstance(found, Tensor) or found.ndim != 3:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"sites: {name!r} gives {shape}: allowed is (sequences, positions, width)")
    return found


@contextmanager
def watched(model: PreTrainedModel, paths: Mapping[Name, str]) -> Iterator[dict[Name, Tensor]]:
    """Fill a dictionary with the output of each module (sequences, positions, width) at each forward pass.

    The hooks are gone when the context is left, however it is left.

    Args:
        model: The model.
        paths: By name, the path of a module.
    """
    seen: dict[Name, Tensor] = {}

    def watcher(name: Name) -> Callable[[nn.Module, Any, Any], None]:
        def watch(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen[name] = hidden_states(name, output).detach()

        return watch

    with ExitStack() as stack:
        for name, path in paths.items():
            stack.callback(model.get_submodule(path).register_forward_hook(watcher(name)).remove)
        yield seen


@contextmanager
def replaced(model: PreTrainedModel, changes: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Put a function of a module's output (sequences, positions, width) in its place at each forward pass.

    The hooks are gone when the context is left, however it is left.

    Args:
        model: The model.
        changes: By path of a module, what becomes of its output.
    """

    def changer(path: str, change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any, Any], Any]:
        def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            new = change(hidden_states(path, output))
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return replace

    with ExitStack() as stack:
        for path, change in changes.items():
            stack.callback(model.get_submodule(path).register_forward_hook(changer(path, change)).remove)
        yield


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Without gradients and without dropout; the model's mode is put back afterwards."""
    training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
