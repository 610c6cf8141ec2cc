"""Names that one process at a time holds in a home, the commands that hold one, and ports that are in use."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tracebank import holds
from tracebank.cli.app import app
from tracebank.cli.faults import report
from tracebank.holds import Held, held, hold, holder, is_held, left_behind
from tracebank.ports import PortTaken, check_free
from tracebank.settings import SettingsError

HOLDER = """
import sys, time
from pathlib import Path
from tracebank.holds import hold
ours = hold(Path(sys.argv[1]), "demo")
"""
SLEEPS = "import sys, time; sys.stdout.write('held'); sys.stdout.flush(); time.sleep(600)"
EXEC = f"""
import os
ours.keep_over_exec()
os.execv(sys.executable, [sys.executable, "-c", {SLEEPS!r}])
"""


@contextmanager
def _holder(home: Path, then: str = SLEEPS) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds `demo`."""
    command = [sys.executable, "-c", HOLDER + then, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(4) == b"held"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("then", [SLEEPS, EXEC], ids=["as it is", "after exec"])
def test_a_name_is_held_until_its_process_is_killed(tmp_path: Path, then: str) -> None:
    path = tmp_path / "held" / "demo"
    with _holder(tmp_path, then) as process:
        with pytest.raises(
            Held, match=rf"^demo: '.*' \(pid {process.pid} on .*, since 20.* UTC\) has {tmp_path}; "
        ) as told:
            hold(tmp_path, "demo")
        assert report(told.value) == 2
        assert is_held(path, tmp_path)
        with left_behind(path, tmp_path) as who:
            assert who is None
        with held(tmp_path, "another name"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with left_behind(path, tmp_path) as who:
        assert who is not None
        assert f"(pid {process.pid} on " in who
    assert not is_held(path, tmp_path)
    with held(tmp_path, "demo"):
        assert f"(pid {os.getpid()} on " in str(holder(path))
    assert list(path.parent.iterdir()) == []


def test_a_file_that_is_being_made_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "held" / "made"
    path.parent.mkdir()
    path.touch()
    with left_behind(path, tmp_path) as who:
        assert who is None
    assert is_held(path, tmp_path)


def test_a_home_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(holds, "lock_descriptor", refuse)
    with pytest.raises(SettingsError, match=f"^TRACEBANK_HOME: '{tmp_path}' lies on a file system without locks"):
        hold(tmp_path, "demo")


@pytest.mark.parametrize(
    ("name", "command"), [("dev", ["dev"]), ("demo", ["demo"]), ("bench run", ["bench", "run"])], ids=lambda it: str(it)
)
def test_a_second_command_on_one_home_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: list[str]
) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path))
    with held(tmp_path, name), pytest.raises(Held, match=rf"^{name}: .*\(pid {os.getpid()} on "):
        app(command, standalone_mode=False)
    assert [path.name for path in tmp_path.iterdir()] == ["held"]


def test_dev_on_a_port_in_use_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"^--port: {port} is in use by '.*' \(pid {os.getpid()}, since") as told:
            app(["dev", "--port", str(port)], standalone_mode=False)
    assert report(told.value) == 2
    assert list(tmp_path.rglob("*")) == [tmp_path / "held"]
    check_free("127.0.0.1", port)


def test_an_address_of_another_machine_is_one_line() -> None:
    with pytest.raises(PortTaken, match=r"^--host, --port: cannot listen on 192\.0\.2\.1:3000: "):
        check_free("192.0.2.1", 3000)
