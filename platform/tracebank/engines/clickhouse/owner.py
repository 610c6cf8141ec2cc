"""The process that owns an embedded store: it alone holds chDB, and serves everybody else over two Unix sockets.

Started on demand (`reach`), it finishes or sweeps what killed writers left, serves, and goes when nobody has asked for
a while, or when the store's folder is gone. Usage: python -m tracebank.engines.clickhouse.owner FOLDER
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import Timeout

from tracebank.engines.clickhouse.reach import HELD, beside, owner_lock, socket_address
from tracebank.settings import Settings, SettingsError
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from tracebank.engines.clickhouse.body import Body
    from tracebank.engines.clickhouse.front import Front
    from tracebank.query.contract import Limits

DATABASE: Final = "series"
_SWEEP_SECONDS: Final = 5.0
_RELATIONAL: Final = re.compile(r"\brelational\b", re.IGNORECASE)


class Owner:
    """The engine, who works with it, and what it reaches."""

    database = DATABASE

    def __init__(self, folder: Path, settings: Settings) -> None:
        import clickhouse_connect

        from tracebank.engines.clickhouse.local import Local

        self.folder = folder
        self._place = folder.stat().st_ino
        self.engine = Local(folder)
        self._settings = settings
        self._client = clickhouse_connect.get_client(interface="chdb", path=os.path.realpath(folder))
        self._attaching = threading.Condition()
        self._working = 0
        self._changed = threading.Condition()
        self._since = time.monotonic()
        self._leaving = self._ended = False
        self._reached = ("", "")
        self._reaching = 0
        self._damaged = False

    @property
    def limits(self) -> Limits:
        """Of a reader that brings none of its own."""
        from tracebank.query.contract import Limits

        return Limits(self._settings.query_timeout, self._settings.query_memory)

    def recover(self) -> None:
        """Finish and sweep what writers left; nobody else works yet."""
        from tracebank.engines.clickhouse.commit import damaged, forget_writers

        self.engine.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        forget_writers(self._client, DATABASE, self.folder)
        self._damaged = bool(self._client.query(damaged(DATABASE)).result_rows)
        spool = beside(self.folder, "spool")
        for path in spool.glob("*.body"):
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        from clickhouse_connect.driver.exceptions import Error

        from tracebank.engines.clickhouse.commit import recover

        with suppress(Error, OSError, StoreError, SettingsError):  # what fails now is tried again
            recover(self._client, DATABASE, self.folder)

    def check_whole(self, text: str) -> None:
        """Refuse a query of a table of which rows are missing.

        Raises:
            StoreError: names the table, and what to do.
        """
        if not self._damaged:
            return
        from tracebank.engines.clickhouse.commit import damaged

        found = self._client.query(damaged(DATABASE)).result_rows
        self._damaged = bool(found)
        for table, partition, _ in found:
            if re.search(rf"\b{re.escape(table)}\b", text):
                raise StoreError(
                    f"series.{table}: rows of partition {partition} are damaged and missing from every answer;"
                    " materialise it again, or give them up by 'tracebank db repair'"
                )

    @contextmanager
    def attached(self, text: str, relational: str = "", activations: str = "") -> Iterator[tuple[str, str]]:
        """Make what a query may mean reachable, for the length of the block.

        The engine reaches one relational store and one folder of shards at a time: a query that means others waits for
        those that are under way.

        Args:
            text: the query.
            relational: URL of the relational store; the owner's own where none is given.
            activations: root of the shards; the owner's own where none is given.

        Returns:
            Dialect of the relational store, where it is reached and the query may mean it; and why
            `series.activations` is not there, where the query may mean that.

        Raises:
            StoreError: the relational store cannot be attached.
        """
        from tracebank.engines.clickhouse import activations as shards

        if not (_RELATIONAL.search(text) or shards.named_in(text)):
            yield "", ""
            return
        url = relational or self._settings.relational.render_as_string(hide_password=False)
        wanted = url, activations or str(self._settings.activations)
        with self._attaching:
            self._attaching.wait_for(lambda: not self._reaching or self._reached == wanted)
            found = self._attach(text, *wanted)
            self._reached = wanted
            self._reaching += 1
        try:
            yield found
        finally:
            with self._attaching:
                self._reaching -= 1
                self._attaching.notify_all()

    def _attach(self, text: str, relational: str, root: str) -> tuple[str, str]:
        from sqlalchemy.engine import make_url

        from tracebank.engines.clickhouse import activations as shards
        from tracebank.engines.clickhouse.relational import attach

        dialect, url = "", make_url(relational)
        if _RELATIONAL.search(text) and attach(self._client, url, embedded=True):
            dialect = url.get_backend_name()
        absent = shards.attach(self._client, DATABASE, Path(root), embedded=True) if shards.named_in(text) else ""
        return dialect, absent

    @contextmanager
    def spooled(self, rows: Body) -> Iterator[Path]:
        """A file of an INSERT's rows, below the home and for the engine alone."""
        from tracebank.engines.clickhouse.body import PIECE

        folder = beside(self.folder, "spool")
        folder.mkdir(exist_ok=True, mode=0o700)
        path = folder / f"{uuid.uuid4().hex}.body"
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(rows, file, PIECE)
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def at_work(self) -> Iterator[bool]:
        """A request under way; False where it comes too late, and must go unanswered."""
        with self._changed:
            if self._ended or not self.is_in_place():
                is_late = True
            else:
                is_late = False
                self._working += 1
        if is_late:
            yield False
            return
        try:
            yield True
        finally:
            with self._changed:
                self._working -= 1
                self._since = time.monotonic()
                self._changed.notify_all()

    def leave(self) -> None:
        """Go as soon as nothing is under way."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()

    def wait(self, idle: float) -> None:
        """Clear up after killed writers now and then; return when it is time to go."""
        swept = time.monotonic()
        while True:
            if time.monotonic() - swept > _SWEEP_SECONDS:
                self._sweep()
                swept = time.monotonic()
            with self._changed:
                self._changed.wait(timeout=min(idle, 1.0))
                quiet = not self._working and time.monotonic() - self._since > idle
                if self._leaving or quiet or not self.is_in_place():
                    return

    def is_in_place(self) -> bool:
        """Whether the folder is still the one that was opened: the engine makes a new one where it was moved away."""
        try:
            return self.folder.stat().st_ino == self._place
        except FileNotFoundError:
            return False

    def end(self, seconds: float) -> None:
        """Wait for what is under way, and let the engine go."""
        with self._changed:
            # The request to stop is one of those under way.
            self._changed.wait_for(lambda: self._working == 0, timeout=seconds)
            self._ended = True
        self._client.close()
        self.engine.close()


def _front(owner: Owner, role: str, *, fenced: bool) -> Front:
    from tracebank.engines.clickhouse.front import Front

    path = beside(owner.folder, f"{role}.sock")
    path.unlink(missing_ok=True)
    with socket_address(path) as address:
        front = Front(address, owner, fenced=fenced)
    path.chmod(0o600)
    threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.2}, name=role, daemon=True).start()
    return front


def serve(folder: Path, settings: Settings) -> None:
    """Own a store until it is time to go.

    Raises:
        Timeout: somebody else owns it.
        StoreError: the engine does not open it.
    """
    os.umask(0o077)
    with ExitStack() as stack:
        stack.enter_context(owner_lock(folder, 1.0))
        try:
            owner = Owner(folder, settings)
            owner.recover()
        except Exception as error:
            from tracebank.query.errors import one_line

            raise StoreError(f"cannot be opened: {one_line(str(error))}") from error
        signal.signal(signal.SIGTERM, lambda *_: owner.leave())
        stack.callback(owner.end, 30.0)
        beside(folder, "pid").write_text(str(os.getpid()), encoding="ascii")
        for role, fenced in (("engine", False), ("reader", True)):
            front = _front(owner, role, fenced=fenced)
            stack.callback(front.shutdown)
            # First, so that who comes now waits for the lock and starts another owner.
            stack.callback(beside(folder, f"{role}.sock").unlink, missing_ok=True)
        owner.wait(settings.owner_idle)


def main() -> None:
    """Own the store named on the command line; what fails is the last line of the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        serve(Path(sys.argv[1]), Settings.load())
    except Timeout:
        os._exit(HELD)
    except (StoreError, SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(0)  # the engine's threads need no farewell


if __name__ == "__main__":
    main()
