"""Hook sites of a causal language model: names that hold for every architecture, and the hooks themselves.

What is done with what a hook sees is not said here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from tracebank_models.activations.error import ActivationError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PARTS = {
    "mlp": ("mlp", "feed_forward", "ffn"),
    "attn": ("attention", "attn", "self_attn", "self_attention"),
}


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a model whose output is looked at."""

    name: str
    """The name it was asked for by."""
    module: str
    """Path of the module whose output it is."""


def block_path(model: PreTrainedModel) -> str:
    """Path of the list of a model's blocks, for example `gpt_neox.layers`.

    Raises:
        ActivationError: The model has no list of that many blocks.
    """
    layers = getattr(model.config, "num_hidden_layers", None)
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return str(path)
    raise ActivationError(f"model: {type(model).__name__} has no list of {layers} blocks; name sites by module path")


def named_sites(model: PreTrainedModel) -> dict[str, str]:
    """Path of the module behind every name: `layers.N.resid` (a block's output), `layers.N.mlp` and `layers.N.attn`."""
    path = block_path(model)
    found: dict[str, str] = {}
    for number, block in enumerate(model.get_submodule(path).children()):
        found[f"layers.{number}.resid"] = f"{path}.{number}"
        children = dict(block.named_children())
        for part, names in _PARTS.items():
            for name in names:
                if name in children:
                    found[f"layers.{number}.{part}"] = f"{path}.{number}.{name}"
    return found


def resolve_sites(model: PreTrainedModel, names: Iterable[str]) -> tuple[Site, ...]:
    """The sites behind names, in their order.

    Args:
        model: A causal language model of `transformers`.
        names: Names as `layers.3.mlp`, or paths of modules as `gpt_neox.layers.3.mlp`.

    Raises:
        ActivationError: A name is none of the model's, one is there twice, or there is none.
    """
    wanted = list(names)
    if not wanted or len(set(wanted)) < len(wanted):
        raise ActivationError(f"sites: {wanted} is not allowed: at least one site, each once")
    paths = {path for path, _ in model.named_modules() if path}
    known = named_sites(model)
    for name in wanted:
        if name not in known and name not in paths:
            raise ActivationError(_unknown(name, known, paths))
    return tuple(Site(name, known.get(name, name)) for name in wanted)


def _unknown(name: str, known: dict[str, str], paths: set[str]) -> str:
    parts = sorted({known_name.rpartition(".")[2] for known_name in known})
    last = max(int(known_name.split(".")[1]) for known_name in known)
    near = difflib.get_close_matches(name, [*known, *paths], n=3)
    meant = f" (near: {', '.join(near)})" if near else ""
    tops = ", ".join(sorted({".".join(path.split(".")[:2]) for path in paths}))
    return (
        f"sites: {name!r} is not known{meant}: allowed are layers.N.{{{','.join(parts)}}} with N from 0 to {last}, or"
        f" the path of a module, of which the topmost are {tops}"
    )


def first_output(site: Site, output: Any) -> Tensor:
    """The hidden states in what a module gave back: the tensor, or the first one of a tuple.

    Raises:
        ActivationError: They are no tensor of the shape (sequences, positions, width).
    """
    found = output[0] if isinstance(output, tuple) else output
    if not isinstance(found, Tensor) or found.ndim != 3:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ActivationError(f"sites: {site.name!r} gives {shape}: allowed is (sequences, positions, width)")
    return found


@contextmanager
def hooked(model: PreTrainedModel, sites: Iterable[Site]) -> Iterator[dict[str, Tensor]]:
    """Fill a dictionary with the output of every site (sequences, positions, width) at each forward pass.

    The hooks are gone when the context is left, however it is left.
    """
    seen: dict[str, Tensor] = {}

    def watcher(site: Site) -> Callable[[nn.Module, Any, Any], None]:
        def watch(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen[site.name] = first_output(site, output).detach()

        return watch

    handles = [model.get_submodule(site.module).register_forward_hook(watcher(site)) for site in sites]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def replaced(model: PreTrainedModel, changes: dict[Site, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Put a function of a site's output (sequences, positions, width) in its place at each forward pass.

    The hooks are gone when the context is left, however it is left.
    """

    def changer(site: Site, change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any, Any], Any]:
        def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            new = change(first_output(site, output))
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return replace

    handles = [
        model.get_submodule(site.module).register_forward_hook(changer(site, change))
        for site, change in changes.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
