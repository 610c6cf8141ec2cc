"""What an engine uses of its process: memory, CPU time and I/O while it works, without what the harness brings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pyarrow as pa


class Usage:
    """Begins before the engine is there: what the process holds then is the harness's own."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._base = self._resident()
        self._brought = 0
        self._load_peak = 0
        self._cpu = 0.0
        self._io = [0, 0]

    def bring(self, size_before: int) -> None:
        """Rows for a load are in memory now, which was of such a size before."""
        self._brought = max(0, self._resident() - size_before)
        _reset_peak()

    def loaded(self) -> None:
        """The rows of a load have been taken, and are freed."""
        self._load_peak = max(self._load_peak, _peak() - self._base - self._brought)
        self._resident()
        _reset_peak()

    def size(self) -> int:
        """Bytes in memory."""
        return self._resident()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """The engine works in the block."""
        cpu, io = time.process_time(), self._counters()
        try:
            yield
        finally:
            self._cpu += time.process_time() - cpu
            self._io = [had + now - then for had, now, then in zip(self._io, self._counters(), io, strict=True)]

    def told(self, answers: int) -> dict[str, float]:
        """Figures of M1.

        Args:
            answers: bytes of answers that the harness keeps.
        """
        reads = max(0, _peak() - self._base - answers)
        return {
            "peak_memory_bytes": float(max(reads, self._load_peak)),
            "load_peak_memory_bytes": float(self._load_peak),
            "reads_peak_memory_bytes": float(reads),
            "cpu_seconds": self._cpu,
            "read_bytes": float(self._io[0]),
            "written_bytes": float(self._io[1]),
        }

    def _resident(self) -> int:
        pa.default_memory_pool().release_unused()
        return int(self._process.memory_info().rss)

    def _counters(self) -> tuple[int, int]:
        if not hasattr(self._process, "io_counters"):
            return 0, 0
        found = self._process.io_counters()
        return found.read_bytes, found.write_bytes


def memory_of(processes: Iterable[psutil.Process]) -> int:
    """Bytes of processes together; memory that they share counts once, where the system tells."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            try:
                total += int(process.memory_full_info().pss)
            except (psutil.AccessDenied, AttributeError):
                total += int(process.memory_info().rss)
    return total


def _reset_peak() -> None:
    """Count the peak anew, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_of(pid: int) -> int:
    """The most that a process had in memory, bytes; 0 where the system does not tell."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _peak() -> int:
    """The most that was in memory, bytes, since `_reset_peak`."""
    if found := peak_of(os.getpid()):
        return found
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
