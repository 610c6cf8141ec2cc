"""Which examples their own doctests vouch for: with the names swapped the good body passes and the bad one fails.

Each is run in a process of its own, see `doctest_process`, in an empty folder. Sources are imported and run here, and
only here: of trees that you do not trust, do not ask for this.
"""

from __future__ import annotations

import ast
import dataclasses
import doctest
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tracebank_models.checked_settings import whole

from .examples import SwapExample, swap_line
from .source_functions import PythonSources

VERDICTS: Final = (
    "no_doctest",
    "cannot_import",
    "original_fails",
    "good_fails",
    "bad_passes",
    "verified",
    "timed_out",
    "stopped",
)
"""What may come of it: the docstring has no example; the module or function cannot be imported; the function itself
does not pass; the good body fails; the bad one passes; both did what they should; time or another limit ran out."""
_PROCESS: Final = Path(__file__).with_name("doctest_process.py")


@dataclass(frozen=True, slots=True)
class DoctestLimits:
    """What the process of one example may use."""

    seconds: int = 5
    """For the doctests of one body; import and all bodies together may take four times as long."""
    memory: int = 2**30
    """Bytes of address space."""
    file_bytes: int = 2**20
    """Of the largest file that may be written, in a folder that is removed."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 1, 3_600, "seconds")
        whole(self, 2**26, 2**50, "memory")
        whole(self, 0, 2**40, "file_bytes")


def with_verdicts(
    examples: Iterable[SwapExample], sources: PythonSources, limits: DoctestLimits | None = None
) -> Iterator[SwapExample]:
    """The examples, each with its verdict, as they are done.

    Args:
        examples: Of `examples_of` on these sources.
        sources: Modules are imported from its folder; those of the standard library by their names.
        limits: None takes the defaults.
    """
    root = "" if sources.root is None else str(sources.root.resolve())
    for example in examples:
        yield dataclasses.replace(example, doctest=_verdict(example, root, limits or DoctestLimits()))


def _verdict(example: SwapExample, root: str, limits: DoctestLimits) -> str:
    docstring = _docstring(example)
    if not _has_examples(docstring):
        return "no_doctest"
    asked = {
        "root": root,
        "module": example.module.removesuffix(".__init__"),
        "path": example.qualified_name.split("."),
        "swap": swap_line(example.first, example.second),
        "header": example.prompt.partition("\n")[2],
        "good": example.good,
        "bad": example.bad,
        "docstring": docstring,
        "seconds": limits.seconds,
        "memory": limits.memory,
        "file_bytes": limits.file_bytes,
    }
    return _asked(asked, 4 * limits.seconds)


def _asked(asked: dict[str, Any], seconds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", str(_PROCESS)],
                input=json.dumps(asked),
                capture_output=True,
                text=True,
                timeout=seconds,
                cwd=folder,
                env={"HOME": folder, "TMPDIR": folder, "PATH": "", "LC_ALL": "C.UTF-8"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "timed_out"
    if done.returncode:
        return "stopped"
    verdict: str = json.loads(done.stdout)["verdict"]
    return verdict


def _docstring(example: SwapExample) -> str:
    node = ast.parse(example.prompt + example.bad).body[1]
    if isinstance(node, ast.ClassDef):
        node = node.body[0]
    assert isinstance(node, ast.FunctionDef)
    return ast.get_docstring(node, clean=False) or ""


def _has_examples(docstring: str) -> bool:
    try:
        return bool(doctest.DocTestParser().get_examples(docstring))
    except ValueError:  # prompts that are indented in no order
        return False
