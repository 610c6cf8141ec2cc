"""What a piece of work cost: wall seconds, CPU seconds and peak memory of this process."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Meter:
    """Cost of the work inside a `metered` block, as last read; complete when the block has ended."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0
    """Wall time, s."""
    cpu_seconds: float = 0.0
    """CPU time of all threads of this process, s."""
    peak_memory: int = 0
    """Peak resident memory in bytes: of the block on Linux, of the process's life elsewhere."""
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=time.process_time)

    def read(self) -> None:
        """Take what the work cost until now."""
        self.seconds = time.perf_counter() - self._wall
        self.cpu_seconds = time.process_time() - self._cpu
        self.peak_memory = _peak_memory()
        self.finished_at = datetime.now(UTC)


@contextmanager
def metered() -> Iterator[Meter]:
    """Measure the block; also when it fails."""
    _reset_peak()
    meter = Meter()
    try:
        yield meter
    finally:
        meter.read()


def _reset_peak() -> None:
    if os.access(_CLEAR, os.W_OK):
        try:
            _CLEAR.write_text("5", encoding="ascii")
        except OSError:
            return  # some containers refuse it: the peak is then that of the process's life


def _peak_memory() -> int:
    if _STATUS.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"))):
        return int(found[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
