"""What workers of tests answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import BinaryIO

from tracebank.explorer.worker import Busy
from tracebank.settings import Settings


def echo(_: Settings, *arguments: object) -> list[object]:
    """What was asked, after the number of the process; what is printed is no part of it."""
    print("not a part of the answer")  # noqa: T201
    return [os.getpid(), *arguments]


def act(settings: Settings, what: str) -> str | Callable[[BinaryIO], object]:
    """Do as one is told."""
    if what == "sleep":
        time.sleep(60)
    if what == "die":
        os._exit(9)
    if what == "refuse":
        raise ValueError("what: 'refuse' is\nnot allowed")
    if what == "busy":
        raise Busy("'somebody' (pid 1) has it")
    if what == "fail":
        raise RuntimeError(f"of {settings.relational.render_as_string(hide_password=False)}")
    if what == "stream":
        return lambda file: [file.write(bytes([number]) * 300_000) for number in range(200)]
    if what == "eat":
        return str(len(bytearray(8 << 30)))
    return what
