"""Text found on any machine: docstrings and source files of Python's standard library.

Sources are parsed and never imported or run. Texts differ between Python versions; the corpus hash says which one it
was.
"""

from __future__ import annotations

import ast
import random
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from .corpus import Document

KINDS: Final = ("docstrings", "sources")
"""Kinds of documents."""

_SKIPPED = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "pydoc_data", "encodings"}
_SHORTEST_DOCSTRING = 80


def standard_library_documents(
    kinds: Sequence[str] = KINDS, seed: int = 0, root: Path | None = None, *, backwards: bool = False
) -> Iterator[Document]:
    """Docstrings and sources in an order drawn by seed; ids are `stdlib/KIND/MODULE[:QUALIFIED.NAME]`.

    A docstring shorter than 80 characters is left out, as are tests, tables of encodings and files that do not parse
    (there are some, on purpose).

    Args:
        kinds: Of `KINDS`.
        seed: Seed of the order of files.
        root: Folder of the library; None takes the running Python's.
        backwards: Begin with the last file, which a corpus of limited size does not come to.

    Raises:
        ValueError: A kind is unknown, or the folder holds no Python file.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"kinds: {unknown or list(kinds)} is not allowed; allowed: one or more of {', '.join(KINDS)}")
    folder = root if root is not None else Path(sysconfig.get_paths()["stdlib"])
    files = _python_files(folder)
    if not files:
        raise ValueError(f"root: {str(folder)!r} holds no Python file; allowed: the folder of a standard library")
    random.Random(f"standard_library/{seed}").shuffle(files)
    return _documents(folder, files[::-1] if backwards else files, kinds)


def _python_files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*.py") if not _SKIPPED & set(path.relative_to(folder).parts))
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _documents(folder: Path, files: Sequence[Path], kinds: Sequence[str]) -> Iterator[Document]:
    for path in files:
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        try:
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text)
        except (UnicodeDecodeError, SyntaxError):
            continue
        if "docstrings" in kinds:
            yield from _docstrings(name, tree)
        if "sources" in kinds and text.strip():
            yield Document(f"stdlib/source/{name}", "standard_library_sources", text)


def _docstrings(module: str, tree: ast.Module) -> Iterator[Document]:
    seen: set[str] = set()
    for qualified, node in _documented("", tree):
        text = ast.get_docstring(node)
        # A name defined twice (in two branches of an `if`) keeps its first docstring.
        if text is None or len(text) < _SHORTEST_DOCSTRING or qualified in seen:
            continue
        seen.add(qualified)
        name = f"{module}:{qualified}" if qualified else module
        yield Document(f"stdlib/docstring/{name}", "standard_library_docstrings", text)


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _documented(prefix: str, node: ast.AST) -> Iterator[tuple[str, _Documented]]:
    if isinstance(node, ast.Module):
        yield prefix, node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{child.name}" if prefix else child.name
            yield name, child
            yield from _documented(name, child)
        else:
            yield from _documented(prefix, child)
