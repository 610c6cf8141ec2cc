"""Names of a home that one process at a time holds, with a note of who it is: what must not run twice, and what lives.

A name is a file under `<home>/held`, locked by the system for as long as its holder lives: whoever is killed lets go at
once, no process id is compared (they are used again, and every container counts its own), and containers that share the
folder see each other. A file that nobody has locked was left behind by a holder that died.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
from filelock import lock_descriptor

from tracebank.settings import SettingsError

_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_SHOWN: Final = 60
"""Characters of a command that are shown."""


class Held(RuntimeError):
    """Another process holds the name: one line that says which, since when, and what to do."""


@dataclass(slots=True)
class Hold:
    """A name that this process holds until `release`, or its death."""

    path: Path
    descriptor: int

    def keep_over_exec(self) -> None:
        """Let the program that takes this process's place hold the name too; its own children do not."""
        os.set_inheritable(self.descriptor, True)

    def release(self) -> None:
        """Let go; the file goes first, so that whoever finds it without its lock knows that its holder died."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def hold(home: Path, name: str) -> Hold:
    """Hold a name of a home.

    Args:
        home: the folder; made if it is not there.
        name: what is held; may have folders in it.

    Raises:
        Held: another process holds it.
        SettingsError: the home lies on a file system without locks.
    """
    path = home / "held" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    while (descriptor := _locked(path, home, create=True)) is None:
        if (who := holder(path)) is not None:
            raise Held(f"{name}: {who} has {home}; wait until it has ended, or stop it")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, _note().encode(), 0)
    return Hold(path, descriptor)


@contextlib.contextmanager
def held(home: Path, name: str) -> Iterator[None]:
    """Hold a name of a home for the length of the block; see `hold`."""
    found = hold(home, name)
    try:
        yield
    finally:
        found.release()


def holder(path: Path) -> str | None:
    """Who holds a file of `held`, or held it when it died: command, process and since when; None where it is gone."""
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except FileNotFoundError:
        return None


def is_held(path: Path, home: Path) -> bool:
    """Whether whoever made a file of `held` lives; of a file that is not there, that is not known to be otherwise."""
    with left_behind(path, home) as who:
        return who is None


@contextlib.contextmanager
def left_behind(path: Path, home: Path) -> Iterator[str | None]:
    """Who left a file of `held` behind; None where its holder lives, or nothing is there.

    Nobody else finds it left behind during the block, which may remove it.
    """
    # A file without a note is being made: it is left alone.
    descriptor = _locked(path, home, create=False) if _size(path) else None
    try:
        yield None if descriptor is None else holder(path)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def locker(path: Path) -> str:
    """The process that has a lock on a file, as far as the system tells: command, process and since when."""
    try:
        found = path.stat()
        number = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        locks = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
        pid = next(int(line[4]) for line in locks if line[1] != "->" and line[5] == number)
        process = psutil.Process(pid)
        since = datetime.fromtimestamp(process.create_time(), UTC)
        return f"'{_shown(process.cmdline() or [process.name()])}' (pid {pid}, since {since:%Y-%m-%d %H:%M:%S} UTC)"
    except (OSError, StopIteration, ValueError, IndexError, psutil.Error):
        return "another process"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _locked(path: Path, home: Path, *, create: bool) -> int | None:
    """A descriptor that has the lock of the file that stands at the path; None where another has it or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
    except FileNotFoundError:
        return None
    try:
        if lock_descriptor(descriptor, blocking=False) and _stands(path, descriptor):
            return descriptor
    except OSError as error:
        os.close(descriptor)
        if error.errno not in _NO_LOCKS:
            raise
        raise SettingsError(
            f"TRACEBANK_HOME: '{home}' lies on a file system without locks ({error.strerror}); use a local disk"
        ) from None
    os.close(descriptor)
    return None


def _stands(path: Path, descriptor: int) -> bool:
    """Whether the path still names the locked file: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _note() -> str:
    where = f"pid {os.getpid()} on {socket.gethostname()}"
    return f"'{_shown(sys.argv)}' ({where}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)"


def _shown(command: Sequence[str]) -> str:
    program = Path(command[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    text = shlex.join([name, *command[1:]])
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
