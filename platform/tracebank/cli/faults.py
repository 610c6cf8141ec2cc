"""From an exception to one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Final

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130


def report(error: BaseException) -> int:
    """Say what went wrong, in one line without passwords.

    Returns:
        The exit code.
    """
    import click

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _say("interrupted")
        return INTERRUPTED
    if _is_broken_pipe(error):
        # The reader of our output is gone; the interpreter must not try to flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if isinstance(error, click.ClickException):
        if error.format_message():  # else the help page has been shown
            _say(error.format_message())
        return error.exit_code
    return _known(error)


def _is_broken_pipe(error: BaseException) -> bool:
    """Polars hands the system's error on as text."""
    return isinstance(error, OSError) and (error.errno == errno.EPIPE or f"os error {errno.EPIPE}" in str(error))


def _known(error: BaseException) -> int:
    from tracebank.holds import Held
    from tracebank.ports import PortTaken
    from tracebank.query.errors import SqlCancelled, SqlError, SqlLimit
    from tracebank.settings import SettingsError
    from tracebank.stores.faults import FrameRefused, StoreError

    if isinstance(error, SqlCancelled):
        _say(str(error))
        return INTERRUPTED
    if isinstance(error, SqlLimit):
        _say(str(error))
        return FAILED
    if isinstance(error, SettingsError | SqlError | FrameRefused | Held | PortTaken):
        _say(str(error))
        return BAD_INPUT
    if isinstance(error, StoreError):
        _say(str(error))
        return FAILED
    if isinstance(error, OSError):
        _say(f"{error.filename}: {error.strerror}{_elsewhere(error)}" if error.filename else str(error))
        return FAILED
    _say(f"{type(error).__name__}: {error} (TRACEBANK_DEBUG=1 shows where)")
    return FAILED


def _elsewhere(error: OSError) -> str:
    """The way out where the home itself cannot be made or written."""
    from tracebank.settings import Settings, SettingsError

    try:
        home = Settings.load().home
    except SettingsError:
        return ""
    path = Path(os.fsdecode(error.filename))
    is_closed = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and home in path.parents
    return "; TRACEBANK_HOME names a folder that may be written" if is_closed or path == home else ""


def _say(message: str) -> None:
    from tracebank.settings import Settings, SettingsError

    text = " ".join(message.split())
    # Where the settings themselves are at fault, the message about them is already without passwords.
    with contextlib.suppress(SettingsError):
        text = Settings.load().redact(text)
    sys.stderr.write(f"tracebank: {text}\n")
