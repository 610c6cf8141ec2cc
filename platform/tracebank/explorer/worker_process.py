"""What the process of a worker runs: questions come on its input, answers go out on what was its output.

Usage: python -m tracebank.explorer.worker_process MODULE:NAME MEMORY
"""

from __future__ import annotations

import io
import os
import resource
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from queue import SimpleQueue
from typing import Any, BinaryIO

import msgspec

from tracebank.explorer.safety import without_paths
from tracebank.explorer.worker import FAULTS, HEAD, Unanswered
from tracebank.settings import Settings
from tracebank.stores.faults import StoreBusy

Question = list[Any]
_PIECE = 1 << 18
"""Bytes of a part of a stream."""


class _Parts(io.RawIOBase):
    """The file that a stream is written to: what has been written goes out at once, and waits until it is taken."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        _say(self._answers, "part", bytes(part))
        return len(part)


def main() -> None:
    """Answer until the input ends: then whoever asks is gone."""
    # What a library prints must not get between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if memory := int(sys.argv[2]):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    questions: SimpleQueue[Question] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, questions), daemon=True).start()
    try:
        settings = Settings.load()
        module, _, name = sys.argv[1].partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
    except Exception as error:
        _say(answers, "failed", f"the process that answers cannot be used: {_line(error)}")
        return
    _say(answers, "ready", None)
    while True:
        _answer(answers, settings, function, questions.get())


def _listen(questions: BinaryIO, into: SimpleQueue[Question]) -> None:
    """In a thread of its own, so that the end is heard while an answer is computed."""
    while len(head := questions.read(HEAD.size)) == HEAD.size:
        into.put(msgspec.msgpack.decode(questions.read(HEAD.unpack(head)[0]), type=list))
    os._exit(0)


def _answer(answers: BinaryIO, settings: Settings, function: Callable[..., Any], question: Question) -> None:
    try:
        answer = function(settings, *question)
        if callable(answer):
            with io.BufferedWriter(_Parts(answers), _PIECE) as file:
                answer(file)
            answer = None
        _say(answers, "answer", answer)
    except Unanswered as error:
        kind = next((name for name, fault in FAULTS.items() if isinstance(error, fault)), "failed")
        _say(answers, kind, without_paths(settings, str(error)))
    except StoreBusy as error:
        _say(answers, "busy", without_paths(settings, str(error)))
    except MemoryError:
        _say(answers, "refused", "the answer takes more memory than it may; ask for less")
    except ValueError as error:
        _say(answers, "refused", without_paths(settings, _line(error)))
    except Exception as error:
        sys.stderr.write(
            without_paths(settings, f"tracebank: {sys.argv[1]}: {type(error).__name__}: {_line(error)}") + "\n"
        )
        _say(answers, "failed", without_paths(settings, _line(error)))


def _say(answers: BinaryIO, kind: str, value: Any) -> None:
    message = msgspec.msgpack.encode((kind, value))
    answers.write(HEAD.pack(len(message)) + message)
    answers.flush()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


if __name__ == "__main__":
    main()
