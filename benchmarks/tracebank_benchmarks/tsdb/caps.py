"""Equal caps of processors and memory for every engine, as far as a process may set them for itself, and what was set.

An engine's process is held to some processors and told of them; its memory is held by the kernel's limit of a process's
data. A server has processes of its own, which nobody but its owner can hold: it is told by its sessions' settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pyarrow as pa

THREADS_VARIABLE: Final = "TRACEBANK_BENCH_THREADS"
"""Processors that an engine may use, for those that have a setting for it."""
MEMORY_VARIABLE: Final = "TRACEBANK_BENCH_MEMORY"
"""Bytes that an engine may use, likewise."""
_POOLS: Final = (THREADS_VARIABLE, "POLARS_MAX_THREADS", "OMP_NUM_THREADS")
_GB: Final = 1_000_000_000


@contextmanager
def started_with(threads: int) -> Iterator[None]:
    """Hold processes that this thread starts in the block: thread pools are made as soon as modules are imported.

    Args:
        threads: processors; 0 for all.
    """
    if not threads:
        yield
        return
    before = {name: os.environ.get(name) for name in _POOLS}
    os.environ.update(dict.fromkeys(_POOLS, str(threads)))
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if affinity:
        os.sched_setaffinity(0, sorted(affinity)[:threads])
    try:
        yield
    finally:
        if affinity:
            os.sched_setaffinity(0, affinity)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def cap(threads: int, memory: float) -> dict[str, str]:
    """Hold what is left to hold of this process, which was `started_with` so many processors.

    Args:
        threads: processors; 0 for all.
        memory: GB; 0 for no cap.

    Returns:
        What is set and what could not be, by what it holds; empty where nothing was asked for.
    """
    return (_told_threads(threads) if threads else {}) | (_cap_memory(memory) if memory else {})


def _told_threads(threads: int) -> dict[str, str]:
    pa.set_cpu_count(threads)
    found = {"pools": f"{threads} threads by {', '.join(_POOLS)}"}
    if not hasattr(os, "sched_getaffinity"):
        return found | {"processors": "not held: this system has no affinity"}
    return found | {"processors": f"{len(os.sched_getaffinity(0))} by affinity"}


def _cap_memory(memory: float) -> dict[str, str]:
    size = round(memory * _GB)
    os.environ[MEMORY_VARIABLE] = str(size)
    with suppress(ImportError, OSError, ValueError):
        import resource

        # Not the address space: engines reserve far more of it than they ever use.
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
        return {"memory": f"{size} bytes by RLIMIT_DATA and {MEMORY_VARIABLE}"}
    return {"memory": f"not held; told by {MEMORY_VARIABLE}"}
