"""Text found on any machine: docstrings and source files of Python's standard library, and the walk over such a tree.

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

EXCLUDED: Final = (
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "pydoc_data",
    "encodings",
)
"""Folders that are left out, wherever they lie: tests, what is installed, tables."""
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
    folder = root if root is not None else standard_library()
    files = python_files(folder)
    random.Random(f"standard_library/{seed}").shuffle(files)
    return _documents(folder, files[::-1] if backwards else files, kinds)


def standard_library() -> Path:
    """Folder of the running Python's library."""
    return Path(sysconfig.get_paths()["stdlib"])


def python_files(root: Path, excluded: Sequence[str] = EXCLUDED) -> list[Path]:
    """Python files of a folder and of those within it, in order of their paths.

    Args:
        root: The folder.
        excluded: Names of folders that are left out.

    Raises:
        ValueError: It holds no Python file.
    """
    left_out = set(excluded)
    found = [path for path in root.rglob("*.py") if not left_out & set(path.relative_to(root).parts) and path.is_file()]
    if not found:
        raise ValueError(f"root: {str(root)!r} holds no Python file; allowed: the folder of a standard library")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def module_name(root: Path, path: Path) -> str:
    """The name that a file is known by: its path with dots, `json.__init__` for a package's own."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def source_id(module: str) -> str:
    """Id of the document that is a module's source."""
    return f"stdlib/source/{module}"


def _documents(folder: Path, files: Sequence[Path], kinds: Sequence[str]) -> Iterator[Document]:
    for path in files:
        name = module_name(folder, path)
        try:
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text)
        except (UnicodeDecodeError, SyntaxError):
            continue
        if "docstrings" in kinds:
            yield from _docstrings(name, tree)
        if "sources" in kinds and text.strip():
            yield Document(source_id(name), "standard_library_sources", text)


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
