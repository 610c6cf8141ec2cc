"""Which device torch computes on: the names that every room takes, and what `auto` stands for on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

DEVICES: Final = ("auto", "cuda", "mps", "cpu")
"""Accepted names; `auto` takes CUDA, then MPS, then the CPU. One of several GPUs is `cuda:1`."""


def as_double(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in fp64, where it lies; of MPS, which has no fp64, on the CPU."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def resolved_device(name: str) -> torch.device:
    """The device that a name of `DEVICES` stands for here.

    Raises:
        ValueError: The name is unknown or there is no such device.
    """
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        name = next(kind for kind, count in counts.items() if count)
    kind, colon, index = name.partition(":")
    if not counts.get(kind) or (colon and not (index.isdecimal() and int(index) < counts[kind])):
        found = ", ".join(["auto", *(kind for kind, count in counts.items() if count)])
        raise ValueError(f"device: {name!r} is not allowed; allowed here: {found}")
    return torch.device(name)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread for a while: networks of a few thousand parameters lose by more, tenfold."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
