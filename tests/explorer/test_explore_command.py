"""`tracebank explore`: what it refuses to start with, several processes, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil
import pytest
from tests.upgraded import upgraded

from tracebank.explorer import serving
from tracebank.explorer.serving import address, check_options, check_stores
from tracebank.explorer.state import Options
from tracebank.explorer.worker import TOKEN
from tracebank.ports import PortTaken
from tracebank.settings import Settings, SettingsError
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import open_relational

SECRET = "a-token-of-a-test-0123456789"
_WAIT = 120.0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(host="0.0.0.0"), "--host: '0.0.0.0' is reached by others, so requests need a token"),
        (Options(host="pages.example"), "set TRACEBANK_EXPLORER_TOKEN or --token"),
        (Options(token="short"), "--token: use 16 characters"),
        (Options(origins=("pages.example",)), "--cors-origin: 'pages.example' is no origin"),
        (Options(origins=("https://pages.example/x",)), "is no origin"),
        (Options(origins=("*",)), "is no origin"),
    ],
)
def test_what_is_not_safe_is_refused(options: Options, says: str) -> None:
    with pytest.raises(SettingsError, match=r".*") as told:
        check_options(options)
    assert says in str(told.value)


def test_what_is_safe_is_taken() -> None:
    check_options(Options())
    check_options(Options(host="::1", origins=("http://localhost:3000",)))
    check_options(Options(host="0.0.0.0", token=SECRET))
    assert address(Options(host="::1", port=9)) == "http://[::1]:9"
    assert address(Options(host="0.0.0.0")) == "http://127.0.0.1:8080"


def test_what_is_missing_is_told_with_what_to_run(settings: Settings) -> None:
    if settings.relational.drivername == "sqlite":
        with pytest.raises(StoreError, match="no store yet; run 'tracebank demo'"):
            check_stores(settings)
    store = open_relational(settings)
    with store.connection() as connection:
        connection.exec_driver_sql("CREATE TABLE other (a int)")
    with pytest.raises(StoreError, match=r"stands at nothing, the newest is .*; run 'tracebank db upgrade'"):
        check_stores(settings)
    with store.connection() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0021')")
    store.close()
    with pytest.raises(StoreError, match=r"stands at 0021, the newest is .*; run 'tracebank db upgrade'"):
        check_stores(settings)


def test_a_port_that_is_taken_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "check_stores", lambda _: None)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"--port: {port} is in use by .*pid {os.getpid()}"):
            serving.serve(settings, Options(port=port))


@contextmanager
def _served(settings: Settings, *command: str, **options: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server of its own process, and where it is; it is waited for."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, **settings.environment(), TOKEN: SECRET}
    given = [part.replace("PORT", port) for part in command]
    process = subprocess.Popen([sys.executable, "-m", *given], env=environment, **options)  # type: ignore[call-overload]
    where, give_up = f"http://127.0.0.1:{port}", time.monotonic() + _WAIT
    try:
        while time.monotonic() < give_up:
            assert process.poll() is None, "it ended"
            try:
                _asked(f"{where}/static/tracebank.css")
                break
            except URLError:
                time.sleep(0.05)
        yield where, process
    finally:
        for one in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            one.kill()
        process.kill()
        process.wait()


def _asked(url: str) -> str:
    with urlopen(Request(url, headers={"Authorization": f"Bearer {SECRET}"}), timeout=_WAIT) as answer:
        return str(answer.read().decode())


def test_two_processes_answer_and_end_with_all_that_they_started(settings: Settings) -> None:
    upgraded(settings)
    with _served(settings, "tracebank", "explore", "--port", "PORT", "--workers", "2") as (where, process):
        with pytest.raises(URLError, match="401"):
            urlopen(f"{where}/doc", timeout=_WAIT)
        assert _asked(f"{where}/sql/answer.csv?q=SELECT+count()+AS+n+FROM+relational.notes") == '"n"\n0\n'
        started = psutil.Process(process.pid).children(recursive=True)
        commands = [" ".join(one.cmdline()) for one in started]
        assert sum("spawn_main" in command for command in commands) == 2
        assert sum("worker_process" in command for command in commands) == 1
        assert not any(SECRET in command for command in commands)
        own = [one for one, command in zip(started, commands, strict=True) if "clickhouse.owner" not in command]
        process.send_signal(signal.SIGTERM)
        process.wait(_WAIT)
        assert not psutil.wait_procs(own, _WAIT)[1]


def test_beside_another_program_it_ends_with_that(settings: Settings) -> None:
    upgraded(settings)
    command = "tracebank.explorer.serving", "PORT"
    with _served(settings, *command, stdin=subprocess.PIPE) as (_, process):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(_WAIT) == 0
