"""Hooks on a causal language model: what is read at a place of its forward pass, and what is put there instead.

Which places a model has is `blocks`' to say. Every hook is gone when its context is left, however it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Tap:
    """A place in a forward pass: what a module gives or is given, as it is or as the model uses it."""

    module: str
    """Path of the module."""
    factor: float = 1.0
    """What the model multiplies the output with before it is used."""
    block: str | None = None
    """Of a tensor without an axis of sequences, (tokens, width): path of the block whose input has that axis."""
    written_over: bool = False
    """Whether the model later writes something else into the same memory."""
    of_input: bool = False
    """Whether it is the first thing that the module is given, not its output."""
    once: bool = False
    """Whether the module is proved to run once in a forward pass."""


def hidden_states(name: Hashable, output: Any) -> Tensor:
    """The hidden states in what a module gave back: the tensor, or the first one of a tuple.

    Raises:
        ValueError: They are no tensor of the shape (sequences, positions, width); the line names the site.
    """
    found = first_of(output)
    if not isinstance(found, Tensor) or found.ndim != 3:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"sites: {name!r} gives {shape}: allowed is (sequences, positions, width)")
    return found


def first_of(output: Any) -> Any:
    """What a module gave back, or the first part of it."""
    return output[0] if isinstance(output, (tuple, list)) and output else output


def block_input(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """The hidden states that a block was called with."""
    return arguments[0] if arguments else named.get("hidden_states")


class _Reading:
    """What is at a tap, in the shape (sequences, positions, width) and in the model's own."""

    def __init__(self, name: Hashable, tap: Tap) -> None:
        self.name, self.tap = name, tap
        self.leading: tuple[int, ...] = ()

    def note(self, _module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Remember sequences and positions of the block's input."""
        self.leading = tuple(block_input(arguments, named).shape[:-1])

    def read(self, output: Any) -> Tensor:
        """What the model uses of an output."""
        found = first_of(output)
        if self.tap.block is not None:
            found = found.unflatten(0, self.leading)
        found = hidden_states(self.name, found)
        return found if self.tap.factor == 1.0 else found * self.tap.factor

    def written(self, new: Tensor, output: Any) -> Any:
        """An output of which the model uses something new."""
        raw = new if self.tap.factor == 1.0 else new / self.tap.factor
        raw = raw.flatten(0, 1) if self.tap.block is not None else raw
        return type(output)((raw, *output[1:])) if isinstance(output, (tuple, list)) else raw


@contextmanager
def watched(model: PreTrainedModel, taps: Mapping[Name, Tap]) -> Iterator[dict[Name, Tensor]]:
    """Fill a dictionary with what is at each tap (sequences, positions, width) at each forward pass.

    Args:
        model: The model.
        taps: By name, where to look.
    """
    seen: dict[Name, Tensor] = {}

    def watcher(name: Name, tap: Tap, reading: _Reading) -> Callable[[nn.Module, Any, Any], None]:
        def watch(_module: nn.Module, _inputs: Any, output: Any) -> None:
            found = reading.read(output).detach()
            seen[name] = found.clone() if tap.written_over else found

        return watch

    with ExitStack() as stack:
        for name, tap in taps.items():
            reading = _Reading(name, tap)
            _hook(model, stack, reading, watcher(name, tap, reading))
        yield seen


@contextmanager
def replaced(model: PreTrainedModel, changes: Mapping[Tap, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Put a function of what is at a tap (sequences, positions, width) in its place at each forward pass.

    Args:
        model: The model.
        changes: By tap, what becomes of it.
    """

    def changer(reading: _Reading, change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any, Any], Any]:
        def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            return reading.written(change(reading.read(output)), output)

        return replace

    with ExitStack() as stack:
        for tap, change in changes.items():
            reading = _Reading(tap.module, tap)
            _hook(model, stack, reading, changer(reading, change))
        yield


def _hook(model: PreTrainedModel, stack: ExitStack, reading: _Reading, hook: Callable[..., Any]) -> None:
    if reading.tap.block is not None:
        block = model.get_submodule(reading.tap.block)
        stack.callback(block.register_forward_pre_hook(reading.note, with_kwargs=True).remove)
    _at(model, stack, reading.tap, hook)


def _at(model: PreTrainedModel, stack: ExitStack, tap: Tap, hook: Callable[..., Any]) -> None:
    module = model.get_submodule(tap.module)
    if tap.of_input:
        handle = module.register_forward_pre_hook(lambda one, given: hook(one, (), given))
    else:
        handle = module.register_forward_hook(hook)
    stack.callback(handle.remove)


class _Stopped(BaseException):
    """Ends a forward pass; no `Exception`, so that no handler in a model's code takes it for a failure."""


@contextmanager
def stopping_after(model: PreTrainedModel, taps: Iterable[Tap]) -> Iterator[None]:
    """End the forward pass inside this context, and the context, once each tap has run: the rest is not computed.

    Goes inside of `watched` and `replaced`, as hooks that are made later do not run where it stops. Where a tap is not
    proved to run once (see `Tap.once`), the pass goes on to its end.

    Args:
        model: The model.
        taps: What has to run.
    """
    pending, stop = set(taps), _Stopped()

    def noter(tap: Tap) -> Callable[..., None]:
        def note(*_: Any) -> None:
            pending.discard(tap)
            if not pending:
                raise stop

        return note

    try:
        with ExitStack() as stack:
            for tap in tuple(pending) if all(tap.once for tap in pending) else ():
                _at(model, stack, tap, noter(tap))
            yield
    except _Stopped as error:
        error.__traceback__ = None  # it holds the pass's frames, and with them its tensors, in a cycle
        if error is not stop:
            raise


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
