"""Doctests run in a namespace where two names are swapped, in a process that may do little."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.identifier_swaps.conftest import write

from tracebank_models.identifier_swaps.dataset import examples_of
from tracebank_models.identifier_swaps.doctests import DoctestLimits, with_verdicts
from tracebank_models.identifier_swaps.selection import SwapSelection
from tracebank_models.identifier_swaps.source_functions import PythonSources

_MODULE = '''
import os, socket, subprocess

_DOUBLE = 2

def verified(items):
    """Doctests see the builtins as they are.

    >>> list(map(len, ["ab"])), verified([1, 2])
    ([2], [1, 2, 4])
    """
    return list(items) + [len(items) * _DOUBLE]

def endless(items):
    """
    >>> endless([5])
    1
    """
    while len(items) > sum([1]):
        pass
    return 1

def bad_passes(items):
    """
    >>> bad_passes([])
    0
    """
    if items:
        return len(str(items))
    return 0

def good_fails(items):
    """
    >>> good_fails([3])
    ('1', '3')
    """
    return eval("str(1)"), str(items[0])  # a name in a text is not exchanged

def original_fails(items):
    """
    >>> original_fails("abc")
    4
    """
    return len(str(items))

def no_doctest(items):
    """Nothing to run."""
    return len(str(items))

def _outside(items):
    """
    >>> _outside("abc")
    3
    """
    open(OUTSIDE, str("w")).write("x")
    return len(items)

def _moves(items):
    """
    >>> _moves("abc")
    3
    """
    with open(str("here.txt"), "w") as file:
        os.rename("here.txt", OUTSIDE)
    return len(items)

def _connects(items):
    """
    >>> _connects("abc")
    3
    """
    socket.create_connection((str("127.0.0.1"), PORT), timeout=1)
    return len(items)

def _starts(items):
    """
    >>> _starts("abc")
    3
    """
    subprocess.run(["true", str("")])
    return len(items)

def inside(items):
    """
    >>> inside("abc")
    3
    """
    with open(str("here.txt"), "w") as file:
        file.write("x" * len(items))
    return os.path.getsize("here.txt")

class A:
    @staticmethod
    def method(items):
        """
        >>> A.method([3, 4])
        '2'
        """
        return str(len(items))
'''


def _verdicts(folder: Path, seconds: int = 1) -> dict[str, str | None]:
    """Verdicts of one pair of each function."""
    sources = PythonSources(folder)
    examples = examples_of(sources, SwapSelection(methods=True)).examples
    found = with_verdicts(examples, sources, DoctestLimits(seconds=seconds))
    return {one.qualified_name: one.doctest for one in found}


def test_every_verdict_is_told(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    sources = tmp_path / "sources"
    (sources / "package").mkdir(parents=True)
    write(sources / "package", __init__=_MODULE.replace("OUTSIDE", repr(str(outside))).replace("PORT", "9"))
    found = _verdicts(sources)
    refused = {name: found.pop(name) for name in ("_outside", "_moves", "_connects", "_starts")}
    assert set(refused.values()) == {"original_fails"}
    assert not outside.exists()
    assert found.pop("A.method") == found.pop("inside") == found.pop("endless") == "verified"
    assert found == {name: name for name in found}
    assert set(found) == {"verified", "bad_passes", "good_fails", "original_fails", "no_doctest"}


@pytest.mark.parametrize(
    ("first_line", "verdict"),
    [
        ("raise SystemExit", "cannot_import"),
        ("import a_module_that_is_nowhere", "cannot_import"),
        ("import os; os._exit(3)", "stopped"),
        ("import time; time.sleep(60)", "timed_out"),
    ],
)
def test_modules_that_cannot_be_imported(tmp_path: Path, first_line: str, verdict: str) -> None:
    function = 'def f(items):\n    """\n    >>> f(1)\n    1\n    """\n    return len(str(items))\n'
    write(tmp_path, one=f"{first_line}\n{function}")
    assert _verdicts(tmp_path) == {"f": verdict}


def test_memory_is_limited(tmp_path: Path) -> None:
    function = (
        'def f(items):\n    """\n    >>> f(1)\n    1\n    """\n    x = bytearray(2**31)\n    return len(str(items))\n'
    )
    write(tmp_path, one=function)
    assert _verdicts(tmp_path) == {"f": "original_fails"}
    with pytest.raises(ValueError, match=r"^DoctestLimits\.seconds: 0 is not allowed"):
        DoctestLimits(seconds=0)
