"""Hook sites of a causal language model: from names to the modules behind them, and what is put in their place.

Where an architecture has them is `language_model.blocks`' to say, the hooks themselves are in `language_model.hooks`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from tracebank_models.language_model import hooks
from tracebank_models.language_model.blocks import block_taps
from tracebank_models.language_model.hooks import Tap

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a model that is looked at."""

    name: str
    """The name it was asked for by."""
    tap: Tap
    """Where it is."""


def resolve_sites(model: PreTrainedModel, names: Iterable[str]) -> tuple[Site, ...]:
    """The sites behind names, in their order.

    Args:
        model: A causal language model of `transformers`.
        names: Names as `layers.3.mlp`, or paths of modules as `gpt_neox.layers.3.mlp`.

    Raises:
        ValueError: A name is none of the model's, one is there twice, or there is none.
    """
    wanted = list(names)
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"sites: {wanted} is not allowed: at least one site, each once")
    paths = {path for path, _ in model.named_modules() if path}
    # Paths need no list of blocks, which some architecture may not have.
    known = block_taps(model) if any(name not in paths for name in wanted) else {}
    for name in wanted:
        if name not in known and name not in paths:
            raise ValueError(_no_neurons(model, name, known) or _unknown(name, known, paths))
    return tuple(Site(name, known.get(name) or Tap(name, written_over=True)) for name in wanted)


def _no_neurons(model: PreTrainedModel, name: str, known: Mapping[str, Tap]) -> str | None:
    block, _, part = name.rpartition(".")
    if part != "neurons" or f"{block}.resid" not in known:
        return None
    others = ",".join(sorted(other.rpartition(".")[2] for other in known if other.startswith(f"{block}.")))
    return (
        f"sites: {name!r} is not there: that block of {type(model).__name__} has no MLP of two matrices; allowed:"
        f" {block}.{{{others}}}"
    )


def _unknown(name: str, known: Mapping[str, Tap], paths: set[str]) -> str:
    parts = sorted({known_name.rpartition(".")[2] for known_name in known})
    last = max(int(known_name.split(".")[1]) for known_name in known)
    near = difflib.get_close_matches(name, [*known, *paths], n=3)
    meant = f" (near: {', '.join(near)})" if near else ""
    tops = ", ".join(sorted({".".join(path.split(".")[:2]) for path in paths}))
    return (
        f"sites: {name!r} is not known{meant}: allowed are layers.N.{{{','.join(parts)}}} with N from 0 to {last}, or"
        f" the path of a module, of which the topmost are {tops}"
    )


@contextmanager
def replaced(model: PreTrainedModel, changes: dict[Site, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Put a function of what is at a site (sequences, positions, width) in its place at each forward pass.

    The hooks are gone when the context is left, however it is left.
    """
    with hooks.replaced(model, {site.tap: change for site, change in changes.items()}):
        yield
