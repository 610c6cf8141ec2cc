"""What a sample says besides its time: CPU of the suite's own processes, load of others, when enough is enough."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.measurement import LEAST_SAMPLES, MOST_SAMPLES, LoadWatch, enough, peers, timed_call
from tracebank_schemas.benchmarks import BenchmarkEnvironment

SPIN = "import sys; print('on', flush=True)\nwhile True: pass"


@pytest.fixture
def spinner() -> Iterator[subprocess.Popen[bytes]]:
    """A process that uses one processor."""
    process = subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def _share(watch: LoadWatch) -> float:
    before = watch.look()
    time.sleep(0.6)
    return watch.foreign_share(before, watch.look())


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def test_load_of_others_is_told_and_our_own_is_not(spinner: subprocess.Popen[bytes]) -> None:
    strange, own = LoadWatch(), LoadWatch()
    own.add_process(spinner.pid)
    before, spun = (strange.look(), own.look()), _cpu_seconds(spinner.pid)
    began = time.perf_counter()
    time.sleep(1)
    after, spun = (strange.look(), own.look()), _cpu_seconds(spinner.pid) - spun
    spun /= (time.perf_counter() - began) * (psutil.cpu_count() or 1)
    theirs, ours = strange.foreign_share(before[0], after[0]), own.foreign_share(before[1], after[1])
    # Whatever else this machine does is in both; what the spinner got of its processors is in one only.
    assert theirs - ours == pytest.approx(spun, rel=0.2, abs=0.03)
    assert spun > 0.05


def test_servers_count_with_the_processes_they_start(spinner: subprocess.Popen[bytes]) -> None:
    watch = LoadWatch()
    roots = watch.add_servers([spinner.pid])
    assert len(roots) == 1
    before = watch.server_cpu(roots)
    time.sleep(0.4)
    assert watch.server_cpu(roots) - before > 0.05
    assert watch.add_servers([2**22 - 1]) == []


def test_a_timed_call_splits_wall_time_into_the_engines_and_the_harness() -> None:
    def work() -> tuple[float, float]:
        time.sleep(0.2)
        return 0.15, 0.01

    answer, cost = timed_call(LoadWatch(), [], work, lambda found: found[0], lambda found: found[1])
    assert answer == (0.15, 0.01)
    assert cost.cpu_seconds == 0.01
    assert 0.05 <= cost.harness_seconds < 0.5


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
    assert not enough([0.1] * (LEAST_SAMPLES - 1))
    assert enough([0.1] * LEAST_SAMPLES)
    wide = [0.1 * 2 ** (n % 5) for n in range(MOST_SAMPLES)]
    assert not enough(wide[:10])
    assert enough(wide)


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
    thread = threading.Thread(target=lambda: found.append(_share(watch)))
    thread.start()
    thread.join()
    assert 0 <= found[0] <= 1
