"""Runs the doctests of functions whose names are swapped: the body of the process that `doctests` starts, no more.

It reads one JSON object and writes one, and needs nothing but Python. What tests may do is held down before anything
is imported: time, memory and size of files by limits of the process; files outside the folder, other processes and the
network by an audit hook. That keeps accidents away; it is no wall against code that means harm.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

_FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.kill",
              "pty.", "ctypes.", "webbrowser.", "shutil.rmtree", "urllib.", "ftplib.", "smtplib.")  # fmt: skip
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.link",
            "os.symlink", "os.utime")  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _limit(seconds: int, memory: int, file_bytes: int) -> None:
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _too_long(_number: int, _frame: object) -> NoReturn:
    raise TimeoutError("a doctest takes too long")


def _guard(folder: str) -> None:
    def inside(path: object) -> bool:
        if not isinstance(path, (str, bytes)):
            return isinstance(path, int)  # a file that is open already
        return os.path.realpath(os.fsdecode(path)).startswith(folder + os.sep)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        refused = event.startswith(_FORBIDDEN)
        if event == "open":
            refused = bool(arguments[2] & _WRITES) and arguments[0] != os.devnull and not inside(arguments[0])
        elif event in _CHANGES:
            refused = not all(inside(one) for one in arguments[:2] if isinstance(one, (str, bytes)))
        if refused:
            raise PermissionError(f"{event} is not allowed in a doctest")

    sys.addaudithook(hook)


def _function(text: str, names: dict[str, Any], swap: str, path: list[str]) -> Any:
    """The function that a text defines, in a namespace where two names are swapped."""
    space = dict(names)
    exec(swap, space)
    exec(compile(text, "<swapped>", "exec"), space)
    return space[path[-1]] if len(path) == 1 else space[path[-2]].__dict__[path[-1]]


def _passes(module: Any, path: list[str], function: Any, docstring: str) -> bool:
    """Whether all examples pass with a function in the place of the module's; they themselves see no swap."""
    owner = module
    for name in path[:-1]:
        owner = getattr(owner, name)
    before = owner.__dict__[path[-1]]
    setattr(owner, path[-1], function)
    try:
        test = doctest.DocTestParser().get_doctest(docstring, dict(vars(module)), path[-1], None, 0)
        runner = doctest.DocTestRunner(verbose=False)
        return runner.run(test, out=lambda _: None, clear_globs=True).failed == 0
    finally:
        setattr(owner, path[-1], before)


def _verdict(asked: dict[str, Any]) -> str:
    """What the doctests say of the original without a swap, and of both bodies with it."""
    path = asked["path"]
    try:
        module = importlib.import_module(asked["module"])
        owner = module
        for name in path:
            owner = getattr(owner, name)
    except BaseException:  # whatever a module does when it is imported
        return "cannot_import"
    good, bad, swap = asked["good"], asked["bad"], asked["swap"]
    texts = {"original": ("", bad), "good": (swap, good), "bad": (swap, bad)}
    passed: dict[str, bool] = {}
    for name, (line, body) in texts.items():
        try:
            signal.alarm(asked["seconds"])
            function = _function(asked["header"] + body, vars(module), line, path)
            passed[name] = _passes(module, path, function, asked["docstring"])
        except BaseException:  # a body may not even define its function where names are swapped
            passed[name] = False
        finally:
            signal.alarm(0)
    if not passed["original"]:
        return "original_fails"
    if not passed["good"]:
        return "good_fails"
    return "bad_passes" if passed["bad"] else "verified"


def main() -> None:
    """Read what is asked, hold down what may be done, and answer with a verdict."""
    asked = json.load(sys.stdin)
    answer = sys.stdout
    _limit(4 * asked["seconds"], asked["memory"], asked["file_bytes"])
    if asked["root"]:
        sys.path.insert(0, asked["root"])
    signal.signal(signal.SIGALRM, _too_long)
    _guard(str(Path.cwd().resolve()))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        verdict = _verdict(asked)
    json.dump({"verdict": verdict}, answer)


if __name__ == "__main__":
    main()
