"""Functions of a tree of Python sources: read and parsed, never imported or run.

Files that cannot be read or are no Python of the running version (broken ones, Python 2) are counted and left out.
"""

from __future__ import annotations

import ast
import platform
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tracebank_models.language_model.standard_library import EXCLUDED, module_name, python_files, standard_library

STANDARD_LIBRARY: Final = "standard_library"
PYTHON_VERSION: Final = platform.python_version()


@dataclass(frozen=True, slots=True)
class PythonSources:
    """A tree of sources, and what is said of it in every row."""

    root: Path | None = None
    """A folder; None takes the running Python's standard library."""
    licence: str = "not stated"
    """Of the sources, by its SPDX name; the standard library has its own."""
    excluded: tuple[str, ...] = EXCLUDED
    """Names of folders that are left out; it stands beside every count."""

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.root if self.root is not None else standard_library()

    @property
    def name(self) -> str:
        """What rows call it: a folder by its whole path, since many folders share their last name."""
        return STANDARD_LIBRARY if self.root is None else str(self.root.resolve())

    @property
    def spdx(self) -> str:
        """Its licence."""
        return "PSF-2.0" if self.root is None else self.licence


@dataclass(frozen=True, slots=True)
class SourceFunction:
    """A function, or a method with its class."""

    module: str
    """As `module_name` has it: a package's own is `json.__init__`."""
    qualified_name: str
    node: ast.FunctionDef
    owner: ast.ClassDef | None


def source_functions(sources: PythonSources, methods: bool, counts: Counter[str]) -> Iterator[SourceFunction]:
    """Functions at the top of modules, in order of files and lines; async ones are none.

    Args:
        sources: The tree.
        methods: Whether methods are taken too, those of classes within classes and functions included.
        counts: Where `files`, `unreadable` and `not_python` are counted.

    Raises:
        ValueError: The folder holds no Python file.
    """
    for path in python_files(sources.folder, sources.excluded):
        counts["files"] += 1
        tree = _parsed(path, counts)
        if tree is not None:
            yield from _functions(module_name(sources.folder, path), tree, methods)


def _parsed(path: Path, counts: Counter[str]) -> ast.Module | None:
    try:
        content = path.read_bytes()  # a first line may name the encoding
    except OSError:
        counts["unreadable"] += 1
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in other people's texts
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        counts["not_python"] += 1
        return None


def _functions(module: str, tree: ast.Module, methods: bool) -> Iterator[SourceFunction]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield SourceFunction(module, node.name, node, None)
    if methods:
        yield from _methods(module, "", tree)


def _methods(module: str, prefix: str, node: ast.AST) -> Iterator[SourceFunction]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):  # holds no statement, and may be nested very deeply
            continue
        name = f"{prefix}.{child.name}".lstrip(".") if isinstance(child, ast.ClassDef | ast.FunctionDef) else prefix
        if isinstance(node, ast.ClassDef) and isinstance(child, ast.FunctionDef):
            yield SourceFunction(module, name, child, node)
        yield from _methods(module, name, child)
