"""The device that models run on, and how many threads torch may use there."""

import os
from typing import TYPE_CHECKING, Final

from tracebank.processors import usable_processors
from tracebank.settings import Settings

if TYPE_CHECKING:
    import torch


_SMALL: Final = 20_000_000
"""Parameters up to which a second thread costs a model more than it gives."""


def threads_for(parameters: int) -> int | None:
    """Most threads for a model of so many parameters; None where it may have every processor."""
    return 1 if parameters <= _SMALL else None


def prepared_device(settings: Settings, threads: int | None = None) -> "torch.device":
    """The device that `TRACEBANK_DEVICE` stands for, with torch's threads set.

    Args:
        settings: names the device.
        threads: most threads, for nets too small to share; None takes every processor that is ours.

    Raises:
        ValueError: there is no such device here.
    """
    # Read when torch is loaded. Waiting threads that spin take the core from whoever they wait for: with two threads on
    # two busy cores a step of the small model took 4.4 s, against 0.35 s where they sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from tracebank_models.device import resolved_device

    # Torch counts the machine's cores, not those that a container or an affinity leaves to this process.
    torch.set_num_threads(min(threads or usable_processors(), usable_processors()))
    return resolved_device(settings.device)
