"""What a sample says besides its time: CPU of the suite's own processes, load of others, when enough is enough."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tracebank_benchmarks.tsdb import measurement
from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.measurement import (
    LEAST_SAMPLES,
    MOST_SAMPLES,
    TAIL_SAMPLES,
    LoadWatch,
    enough,
    peers,
    timed_call,
)
from tracebank_schemas.benchmarks import BenchmarkEnvironment


class Machine:
    """Two processors, whose counters move as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.busy = 0.0
        self.used: dict[int, float] = {}
        monkeypatch.setattr(measurement, "_busy_seconds", lambda: self.busy)
        monkeypatch.setattr(measurement, "_seconds", lambda process, fine=False: self.used.get(process.pid, 0.0))
        clock = SimpleNamespace(perf_counter=lambda: self.wall, monotonic=lambda: self.wall)
        monkeypatch.setattr(measurement, "time", clock)
        monkeypatch.setattr(psutil, "cpu_count", lambda: 2)

    def goes_on(self, seconds: float, others: float = 0.0, **used: float) -> None:
        """Time passes, in which processes (`own`, and `p` and a pid) and others use seconds of processors."""
        self.wall += seconds
        self.busy += others + sum(used.values())
        for name, spent in used.items():
            pid = os.getpid() if name == "own" else int(name.removeprefix("p"))
            self.used[pid] = self.used.get(pid, 0.0) + spent


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_load_of_others_is_told_and_our_own_is_not(machine: Machine) -> None:
    child = os.getppid()
    strange, own = LoadWatch(), LoadWatch()
    own.add_process(child)
    before = strange.look(), own.look()
    machine.goes_on(1.0, others=0.5, own=0.25, **{f"p{child}": 0.75})
    after = strange.look(), own.look()
    assert strange.foreign_share(before[0], after[0]) == pytest.approx((0.5 + 0.75) / 2)
    assert own.foreign_share(before[1], after[1]) == pytest.approx(0.5 / 2)


def test_load_is_told_over_a_window_that_the_kernels_clock_bears(machine: Machine) -> None:
    watch = LoadWatch()
    watch.look()
    machine.goes_on(0.3, others=0.3)
    before = watch.look()
    machine.goes_on(0.01, others=0.02)
    assert watch.foreign_share(before, watch.look()) == pytest.approx(0.32 / (2 * 0.31))


def test_a_timed_call_splits_wall_time_into_the_engines_and_the_harness(machine: Machine) -> None:
    def work() -> tuple[float, float]:
        machine.goes_on(0.2, others=0.1, own=0.01)
        return 0.15, 0.01

    watch = LoadWatch()
    answer, cost = timed_call(watch, [], work, lambda found: found[0], lambda found: found[1])
    assert answer == (0.15, 0.01)
    assert cost.cpu_seconds == 0.01
    assert cost.harness_seconds == pytest.approx(0.05)
    assert cost.foreign_share == pytest.approx(0.1 / 0.4)
    assert cost.disturbed


def test_servers_count_with_the_processes_they_start() -> None:
    spin = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'for _ in range(10**7): pass'])"
    with subprocess.Popen([sys.executable, "-c", f"{spin}; print('on', flush=True); sys.stdin.read()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # fmt: skip
        watch = LoadWatch()
        roots = watch.add_servers([process.pid])
        assert roots == [process.pid], "this process has the same name, and is no server"
        before = watch.server_cpu(roots)
        assert process.stdout is not None
        process.stdout.readline()
        assert watch.server_cpu(roots) - before > 0
    assert watch.add_servers([2**22 - 1]) == []


def test_a_process_that_has_ended_is_no_load_of_others() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; t = time.time()\nwhile time.time() - t < .5: pass"])
    watch = LoadWatch()
    watch.add_process(process.pid)
    time.sleep(0.3)
    watch.look()
    spent = watch.look().own
    process.wait()
    assert watch.look().own >= spent


def test_servers_are_found_by_the_connections_to_them() -> None:
    before = set(peers(psutil.Process().pid))
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().split(b"port ")[1].split()[0])
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("HEAD", "/")
        connection.getresponse().read()
        if psutil.Process().net_connections(kind="tcp") == []:
            pytest.skip("this system does not show a process its own connections")
        found = set(peers(psutil.Process().pid)) - before
        assert found in ({server.pid}, set()), "no other process may be taken for the server"
        connection.close()
    finally:
        server.kill()
        server.wait()


def test_samples_are_enough_when_the_interval_is_narrow_or_there_are_very_many() -> None:
    assert not enough([0.1] * (LEAST_SAMPLES - 1), 99)
    assert enough([0.1] * LEAST_SAMPLES, LEAST_SAMPLES)
    assert not enough([0.001] * LEAST_SAMPLES, LEAST_SAMPLES), "a hundred short ones tell a p99"
    assert enough([0.001] * TAIL_SAMPLES, TAIL_SAMPLES)
    wide = [0.1 * 2 ** (n % 5) for n in range(MOST_SAMPLES)]
    assert not enough(wide[:10], 10)
    assert enough(wide, MOST_SAMPLES)
    assert enough([], MOST_SAMPLES), "a machine that is never quiet"


def test_the_environment_is_known_by_a_hash_of_what_matters(tmp_path: Path) -> None:
    first, second = environment(tmp_path), environment(tmp_path / "not" / "there" / "yet")
    assert first.environment == second.environment
    assert first.cores >= first.cpu_threads >= 1
    assert first.memory_bytes >= first.memory_limit_bytes > 1 << 20
    assert first.kernel
    assert first.details["python"].startswith("3.")
    assert set(first.row()) == {column.name for column in BenchmarkEnvironment.__table__.columns}


def test_the_harness_may_be_used_from_any_thread() -> None:
    watch, found = LoadWatch(), []
    thread = threading.Thread(target=lambda: found.append(watch.foreign_share(watch.look(), watch.look())))
    thread.start()
    thread.join()
    assert 0 <= found[0] <= 1
