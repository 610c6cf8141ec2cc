"""The way to the owner of an embedded store: its Unix sockets, and a process that is started where none listens.

The owner (`owner`) holds chDB for everybody. `engine` is its socket for the store's own work and the queries of
`tracebank`; on `reader`, for other programs (`serve`), nothing but reading is let through. Both lie beside the store,
for this user alone.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from filelock import FileLock, Timeout

from tracebank.holds import locker
from tracebank.stores.faults import StoreBusy, StoreError

if TYPE_CHECKING:
    from urllib3 import PoolManager

Role = Literal["engine", "reader"]

HELD: Final = 75
"""Exit code of an owner that finds another one at work."""
_LONGEST: Final = 100
"""Bytes that the path of a Unix socket may have on every system."""
_PULSE: Final = 0.01
_PULSE_MS: Final = 200
_ABSENT: Final = (FileNotFoundError, ConnectionRefusedError, ConnectionResetError)


def beside(folder: Path, kind: str) -> Path:
    """A file of the owner's beside the store: `lock`, `log`, `engine.sock`, `reader.sock`."""
    return folder.with_name(f"{folder.name}.{kind}")


def owner_lock(folder: Path, timeout: float = 0) -> FileLock:
    """The lock that an owner holds for its life. A file system without locks is refused: a lock that is only a file
    would stay behind a killed process."""
    return FileLock(beside(folder, "lock"), timeout=timeout, thread_local=False, fallback_to_soft=False)


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """The path as the system takes it: a long one by way of its folder's handle, where the system has that.

    Raises:
        StoreError: the path is too long for a socket here.
    """
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    if sys.platform != "linux" or len(os.fsencode(path.name)) > _LONGEST - 32:
        raise StoreError(
            f"TRACEBANK_HOME: the socket path {path} has {len(os.fsencode(path))} bytes;"
            f" at most {_LONGEST} are taken, use a shorter folder"
        )
    handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def connected(folder: Path, role: Role, timeout: float) -> socket.socket:
    """A connection to the owner of `folder`, which is started where there is none.

    Args:
        folder: absolute path of the store; made if need be.
        role: which socket.
        timeout: seconds to wait for an owner to be ready, or for somebody else to let the store go.

    Raises:
        StoreBusy: somebody holds the store and does not listen.
        StoreError: the owner cannot be started; its own reason.
    """
    give_up, started = time.monotonic() + timeout, None
    while True:
        try:
            return _connect(beside(folder, f"{role}.sock"))
        except _ABSENT:
            pass
        except OSError as error:
            raise StoreError(f"series store {folder}: cannot be reached: {error.strerror}") from None
        if started is None or started.poll() == HELD:
            started = _start(folder) if _is_free(folder) else None
        elif started.poll() is not None:
            raise StoreError(f"series store {folder}: {_last_words(folder, started.returncode)}")
        if time.monotonic() > give_up:
            raise StoreBusy(f"series store {folder}: its owner does not answer; waited {timeout:g} s")
        time.sleep(_PULSE)


def check_heard(folder: Path, patience: float) -> None:
    """Refuse a store that somebody holds who does not listen. One that nobody holds is none of those.

    Args:
        folder: absolute path of the store.
        patience: seconds that an owner has to begin to listen.

    Raises:
        StoreBusy: names who holds it.
    """
    give_up = time.monotonic() + patience
    while True:
        with suppress(*_ABSENT):
            _connect(beside(folder, "engine.sock")).close()
            return
        if not folder.exists() or _is_free(folder):
            return
        if time.monotonic() > give_up:
            who = locker(beside(folder, "lock"))
            raise StoreBusy(f"series store {folder}: held by {who}, which does not answer; waited {patience:g} s")
        time.sleep(_PULSE)


def _connect(path: Path) -> socket.socket:
    reached = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_address(path) as address:
            reached.connect(address)
    except BaseException:
        reached.close()
        raise
    return reached


def _is_free(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with owner_lock(folder):
            return True
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        reason = f"cannot be opened: {_reason(error)}; TRACEBANK_HOME names a folder that may be written"
        raise StoreError(f"series store {folder}: {reason}") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """An owner that outlives this process, and hears nothing of its terminal."""
    try:
        with beside(folder, "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tracebank.engines.clickhouse.owner", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
    except OSError as error:
        raise StoreError(f"series store {folder}: its owner cannot be started: {_reason(error)}") from None


def _last_words(folder: Path, code: int) -> str:
    try:
        said = beside(folder, "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        said = []
    return said[-1] if said else f"its owner ended with code {code}"


class Asked:
    """One request to the owner, and the body of its answer as it comes; to be closed.

    Waiting is done in short steps, so that Ctrl-C is heard whichever thread the signal goes to.
    """

    def __init__(self, reached: socket.socket, path: str, body: bytes = b"") -> None:
        self._socket = reached
        self._ready = select.poll()
        self._ready.register(reached, select.POLLIN)
        head = f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        reached.sendall(head.encode() + body)
        line = bytearray()
        while not line.endswith(b"\r\n\r\n"):
            byte = bytearray(1)
            if not self.readinto(byte):
                raise ConnectionResetError("its owner ended")
            line += byte

    def readinto(self, into: bytearray | memoryview) -> int:
        """Bytes of the body; 0 at its end."""
        while not self._ready.poll(_PULSE_MS):
            pass
        return self._socket.recv_into(into)

    def close(self) -> None:
        """Leave; what still runs for this request is stopped."""
        self._socket.close()


def owner_of(folder: Path) -> int:
    """Process of the owner that is at work.

    Raises:
        StoreError: there is none.
    """
    try:
        return int(beside(folder, "pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise StoreError(f"series store {folder}: nobody owns it just now") from None


def stop(folder: Path, timeout: float = 60.0) -> bool:
    """Ask the owner to end, and wait for it.

    Returns:
        False where none was at work.

    Raises:
        StoreBusy: it did not end in time.
    """
    asked = False
    with suppress(*_ABSENT):
        Asked(_connect(beside(folder, "engine.sock")), "/stop").close()
        asked = True
    with suppress(Timeout), owner_lock(folder):
        return asked
    try:  # it is on its way out, or starts
        with owner_lock(folder, timeout):
            return True
    except Timeout:
        raise StoreBusy(f"series store {folder}: its owner did not end within {timeout:g} s") from None


@cache
def pool(folder: Path, role: Role, timeout: float) -> PoolManager:
    """Connections for an unmodified `clickhouse_connect` client, kept open for the life of this process."""
    import urllib3
    from urllib3.connection import HTTPConnection

    class UnixConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connected(folder, role, timeout)

    class UnixPool(urllib3.HTTPConnectionPool):
        ConnectionCls = UnixConnection

    class UnixPools(urllib3.PoolManager):
        def connection_from_host(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
            return single

    single = UnixPool("localhost", maxsize=32)
    return UnixPools()


os.register_at_fork(after_in_child=pool.cache_clear)
