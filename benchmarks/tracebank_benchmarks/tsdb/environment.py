"""What the machine is and how it is set up: read from the kernel, hashed, so that only like is compared with like."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tracebank.processors import usable_processors
from tracebank_schemas.benchmarks import BenchmarkEnvironment

_CPU = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


def environment(folder: Path, *, threads: int = 0, memory: float = 0.0) -> BenchmarkEnvironment:
    """Look at this machine; what cannot be read is empty. Other caps make another environment.

    Args:
        folder: where embedded engines keep their files; its disk and file system are recorded.
        threads: processors that every engine is held to; 0 for all.
        memory: GB that every engine is held to; 0 for no cap.
    """
    total = psutil.virtual_memory().total
    held = round(memory * 1e9) or total
    device, file_system = _disk(folder)
    columns: dict[str, Any] = {
        "cpu_model": _cpu_model()[:128],
        "cores": psutil.cpu_count() or 1,
        "cpu_threads": min(threads, usable_processors()) if threads else usable_processors(),
        "memory_bytes": total,
        "memory_limit_bytes": min(total, _memory_limit() or total, held),
        "kernel": f"{platform.system()} {platform.release()}"[:128],
        "governor": _text(_CPU / "cpu0/cpufreq/scaling_governor")[:32],
        "huge_pages": _chosen(_text(Path("/sys/kernel/mm/transparent_hugepage/enabled")))[:32],
        "numa_nodes": len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1,
        "file_system": file_system[:32],
        "disk": device[:128],
    }
    text = json.dumps(columns, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return BenchmarkEnvironment(
        environment=key, **columns, details=_details() | _caps(threads, memory), first_seen=datetime.now(UTC)
    )


def _caps(threads: int, memory: float) -> dict[str, str]:
    """What engines are held to; what each could be held to in fact stands with the engine in the run's record."""
    return {
        "threads_cap": str(threads) if threads else "none",
        "memory_cap": f"{memory:g} GB" if memory else "none",
        "caps_of_servers": "by their sessions' settings alone: their processes are not the suite's",
    }


def _memory_limit() -> int | None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        if (found := _text(_CGROUP / name)).isdigit():
            return int(found)
    return None


def _details() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "smt": _text(_CPU / "smt/control"),
        "boost": _text(_CPU / "cpufreq/boost"),
        "numa_balancing": _text(Path("/proc/sys/kernel/numa_balancing")),
        "swappiness": _text(Path("/proc/sys/vm/swappiness")),
        "cache": _text(_CPU / "cpu0/cache/index3/size"),
        "load_at_start": " ".join(f"{load:.2f}" for load in psutil.getloadavg()),
        "virtual": "yes" if "hypervisor" in _text(Path("/proc/cpuinfo")) else "no",
    }


def _cpu_model() -> str:
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _disk(folder: Path) -> tuple[str, str]:
    """Device and file system of the longest mount point above the folder."""
    while not folder.exists():
        folder = folder.parent
    found = [
        partition
        for partition in psutil.disk_partitions(all=True)
        if folder.resolve().is_relative_to(partition.mountpoint)
    ]
    if not found:
        return "", ""
    best = max(found, key=lambda partition: len(partition.mountpoint))
    name = Path(best.device).name
    for block in (name, name.rstrip("0123456789"), name.rpartition("p")[0]):
        if block and (model := _text(Path("/sys/class/block") / block / "device/model")):
            return model, best.fstype
    return best.device, best.fstype


def _chosen(text: str) -> str:
    """The option in brackets: `always [madvise] never`."""
    return text.partition("[")[2].partition("]")[0] or text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
