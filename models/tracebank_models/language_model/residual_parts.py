"""Which outputs inside a block are what is added to the residual stream, found from one block's own numbers.

A block takes the stream x and gives y. Its parts are outputs c with y = x + sum of factor * c; where the block
normalises the stream itself on the way (as OPT-350m does), each addition is between two such normalisations. Names of
modules only say in what order candidates are tried: what does not add up is no part. No model is run here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import torch
from torch import Tensor

from tracebank_models.device import as_double

_ROLES: Final = {
    "attn": ("attention", "attn", "self_attn", "self_attention"),
    "mlp": ("mlp", "feed_forward", "ffn", "block_sparse_moe", "moe", "mlp_block", "fc2", "output"),
}
_ROUNDINGS: Final = 4
"""Roundings of a token's vector that a sum may be off by: a block adds two or three numbers."""
_MOST_CANDIDATES: Final = 8
"""Of one part."""
_MOST_NORMS: Final = 2


@dataclass(frozen=True, slots=True)
class Event:
    """A module that ran once in a block and gave out one vector per token."""

    path: str
    """From the block."""
    kind: str
    """Name of the module's class."""
    before: Tensor | None
    """Its input where that is of the output's shape, (tokens, width)."""
    after: Tensor
    """Its output, (tokens, width)."""
    is_leaf: bool
    matrix_width: int | None = None
    """Of a module that is one matrix: width of its input."""

    @property
    def is_norm(self) -> bool:
        """Whether it is a normalisation."""
        return self.is_leaf and "norm" in self.kind.lower()


@dataclass(frozen=True, slots=True)
class Part:
    """What is added to the stream: the output of a module, times a factor."""

    path: str
    factor: float = 1.0


def role_of(path: str) -> tuple[str, str] | None:
    """The role (`attn`, `mlp`) that a path's first telling name stands for, and the path up to that name."""
    names = path.split(".")
    for depth, name in enumerate(names):
        for role, known in _ROLES.items():
            if name in known:
                return role, ".".join(names[: depth + 1])
    return None


def residual_parts(
    x: Tensor, y: Tensor, events: Sequence[Event], factors: Sequence[float] = ()
) -> dict[str, Part] | None:
    """The parts of a block by name: `attn`, `mlp`, and other ones by the name of their module.

    Args:
        x: The stream before the block, (tokens, width).
        y: The stream after it.
        events: What ran in the block, in the order in which it ended.
        factors: What a part may be multiplied with, beside 1.

    Returns:
        None where nothing adds up.
    """
    events = [event for event in events if event.after.shape == x.shape]
    branches = _branches(events)
    norms = [event for event in events if event.is_norm and event.before is not None]
    for most in range(_MOST_NORMS + 1):
        found = _chain(x, y, branches, norms, most)
        if found is not None:
            return found
    return _with_factors(y - x, y, branches, factors)


def _branches(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Candidates of each part, those that say most by their place first; equal outputs once."""
    roots: dict[str, str] = {}  # root path by name
    found: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda one: (role_of(one.path) is None, one.path.count("."))):
        name = _named(event, roots)
        if name is not None:
            found.setdefault(name, []).append(event)
    for event in events:  # a norm or dropout after a part is of that part
        for candidates in found.values():
            if event.before is not None and event not in candidates and torch.equal(event.before, candidates[0].after):
                candidates.append(event)
    return {name: _distinct(candidates) for name, candidates in found.items()}


def _named(event: Event, roots: dict[str, str]) -> str | None:
    role = role_of(event.path)
    if role is None:
        if event.is_norm or "dropout" in event.kind.lower():
            return None
        root = event.path.partition(".")[0]
        name = "attn" if root == event.path and "attention" in event.kind.lower() else root
    else:
        name, root = role
    if roots.setdefault(name, root) != root:  # a second one of that role goes by its own name
        name = root.rpartition(".")[2]
        if roots.setdefault(name, root) != root:
            return None
    return next(known for known, path in roots.items() if path == root)


def _distinct(candidates: list[Event]) -> list[Event]:
    kept: list[Event] = []
    for event in candidates:
        if not any(torch.equal(event.after, other.after) for other in kept):
            kept.append(event)
    return kept[:_MOST_CANDIDATES]


def _choices(branches: Mapping[str, list[Event]]) -> Iterator[dict[str, Event]]:
    """One candidate of each branch or none, as many branches as can be first."""
    options = [[(name, event) for event in candidates] + [None] for name, candidates in branches.items()]
    found = [dict(one for one in choice if one is not None) for choice in product(*options)]
    yield from sorted((choice for choice in found if choice), key=len, reverse=True)


def _chain(
    stream: Tensor, y: Tensor, branches: Mapping[str, list[Event]], norms: Sequence[Event], most: int
) -> dict[str, Part] | None:
    """Parts that lead from a stream to y with at most that many normalisations of the stream between them."""
    for choice in _choices(branches):
        total = stream + sum(event.after for event in choice.values())
        parts = {name: Part(event.path) for name, event in choice.items()}
        if same_vectors(total, y):
            return parts
        for norm in norms if most else ():
            assert norm.before is not None
            if same_vectors(total, norm.before):
                if same_vectors(norm.after, y):
                    return parts
                rest = {name: events for name, events in branches.items() if name not in choice}
                others = _chain(norm.after, y, rest, norms, most - 1)
                if others is not None:
                    return parts | others
    if most:  # a norm of the stream as it comes
        for norm in norms:
            assert norm.before is not None
            if same_vectors(stream, norm.before):
                others = _chain(norm.after, y, branches, norms, most - 1)
                if others is not None:
                    return others
    return None


def _with_factors(
    delta: Tensor, y: Tensor, branches: Mapping[str, list[Event]], factors: Sequence[float]
) -> dict[str, Part] | None:
    """Parts with factors that the model's configuration names."""
    for choice in _choices(branches) if factors else ():
        columns = as_double(torch.stack([event.after.flatten() for event in choice.values()], dim=1))
        fitted = torch.linalg.lstsq(columns, as_double(delta.flatten())[:, None]).solution[:, 0].tolist()
        near = [_nearest(wanted, (1.0, *factors)) for wanted in fitted]
        total = sum(event.after * factor for event, factor in zip(choice.values(), near, strict=True))
        if same_vectors(y - delta + total, y):
            return {name: Part(event.path, f) for (name, event), f in zip(choice.items(), near, strict=True)}
    return None


def _nearest(wanted: float, known: Sequence[float]) -> float:
    return min(known, key=lambda one: abs(one - wanted))


def same_vectors(found: Tensor, wanted: Tensor) -> bool:
    """Whether two streams are the same but for rounding, token by token: some tokens' vectors dwarf all others'.

    The rounding is that of the wanted one's dtype.
    """
    exact = as_double(wanted)
    off = (as_double(found) - exact).norm(dim=1)
    return bool((off <= _ROUNDINGS * torch.finfo(wanted.dtype).eps * exact.norm(dim=1)).all())
