"""The version of an asset's code: a hash of its function and of whatever of ours that uses, and of nothing else.

Sources are read, not run. From a function on, each name is followed to where it is defined, in its own module or in one
that it is imported from, and so on; what is found is hashed without comments, docstrings and layout. Followed are the
rooms that compute and declare, and the groups' own modules. Stores, Dagster and what ties assets to them are not: no
asset is stale because its ledger row is written otherwise. Names in strings are not followed: texts of queries and the
like, which a function finds by name, are given to `@artifact` as `files`.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

ROOMS: Final = ("tracebank_models", "tracebank_benchmarks", "tracebank_schemas")
"""Packages that are followed as wholes; of `tracebank_assets` the groups are."""
_ASSETS: Final = "tracebank_assets"


class _Module:
    """What a module's source defines at its top level, and imports there and inside functions."""

    def __init__(self, name: str, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self.name = name
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.defined: dict[str, list[ast.stmt]] = {}
        for statement in _top_level(tree.body):
            for bound in _bound(statement):
                self.defined.setdefault(bound, []).append(statement)
        self._definitions: dict[str, tuple[str, list[tuple[str, str]]]] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        for node in _imports(tree):
            if isinstance(node, ast.ImportFrom):
                source = self._source(node)
                self.imported |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
            else:
                self.imported |= {alias.asname: (alias.name, "") for alias in node.names if alias.asname}

    def definition(self, name: str) -> tuple[str, list[tuple[str, str]]]:
        """What the module says of a name of its own, and the names that it uses for that."""
        if name not in self._definitions:
            said: list[str] = []
            uses: dict[tuple[str, str], None] = {}
            for statement in self.defined[name]:
                _read(statement, said, uses)
            self._definitions[name] = " ".join(said), list(uses)
        return self._definitions[name]

    def found(self, name: str, attribute: str) -> "Iterator[tuple[_Module, str]]":
        """Where a name of this module, or an attribute of a module that it names, is defined or imported from.

        Both, where a function imports what has the name of something of the module.
        """
        if not attribute and name in self.defined:
            yield self, name
        if name in self.imported:
            source, original = self.imported[name]
            wanted = attribute or original
            other = _module(f"{source}.{original}" if attribute and original else source)
            if other and wanted:
                yield other, wanted

    def imported_by_name(self, name: str) -> "Iterator[tuple[_Module, str]]":
        """All of the modules that a definition imports as f"package.{name}": those that a list names, or all of it."""
        _, uses = self.definition(name)
        if not {("importlib", "import_module"), ("import_module", "")} & set(uses):
            return
        lists = [node for use, _ in uses for one in self.defined.get(use, ()) for node in ast.walk(one)]
        named = {one.value for one in lists if isinstance(one, ast.Constant)}
        for node in (node for statement in self.defined[name] for node in ast.walk(statement)):
            if isinstance(node, ast.JoinedStr) and (folder := _module_folder(node, self.package)):
                package, stems = folder
                for stem in stems & named or stems:
                    other = _module(f"{package}.{stem}")
                    yield from ((other, one) for one in other.defined) if other else ()

    def _source(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parent = self.package.rsplit(".", node.level - 1)[0]
        return f"{parent}.{node.module}" if node.module else parent


def _top_level(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.If | ast.Try):
            yield from _top_level([*statement.body, *statement.orelse])
        else:
            yield statement


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports in a block and the blocks in it."""
    for block in ("body", "orelse", "finalbody", "handlers"):
        for one in getattr(node, block, ()):
            if isinstance(one, ast.Import | ast.ImportFrom):
                yield one
            else:
                yield from _imports(one)


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    return [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


@cache
def _module(name: str) -> _Module | None:
    """A module that is followed, by name; None where it is none. It is not imported: it may need torch."""
    room, _, inside = name.partition(".")
    group = inside.partition(".")[0]
    if room not in ROOMS and not (room == _ASSETS and any((base / group).is_dir() for base in _folders(room))):
        return None
    for base in _folders(room):
        stem = base.joinpath(*inside.split("."))
        for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if inside and path.is_file():
                return _Module(name, path)
    return None


def forget_sources() -> None:
    """Give back the memory of the sources that were read; they are read again when they are asked for."""
    _module.cache_clear()


def _module_folder(text: ast.JoinedStr, package: str) -> tuple[str, set[str]] | None:
    """The package in f"{__package__}.package.{name}" or f"package.{name}", and the modules in it."""
    said = [part.value for part in text.values]  # type: ignore[attr-defined]
    own = [package if isinstance(one, ast.Name) and one.id == "__package__" else one for one in said]
    prefix = "".join(one for one in own if isinstance(one, str)).removesuffix(".")
    room, _, inside = prefix.partition(".")
    folders = [base.joinpath(*inside.split(".")) for base in _folders(room)] if room in ROOMS and inside else []
    found = {path.stem for folder in folders for path in folder.glob("[!_]*.py")}
    return (prefix, found) if found else None


def _folders(room: str) -> list[Path]:
    return [Path(folder) for folder in importlib.import_module(room).__path__]


def code_version(function: Callable[..., Any], files: Iterable[Path] = ()) -> str:
    """Hash of a function's code and of what it uses: 16 hexadecimal digits.

    Args:
        function: has a source file; of one that is wrapped, the inner.
        files: that it reads beside it, or folders of such, as queries are.
    """
    function = inspect.unwrap(function)
    module = _Module(function.__module__, Path(inspect.getfile(function)))
    for statement in module.defined[function.__name__]:
        if isinstance(statement, ast.FunctionDef):
            statement.decorator_list = []  # how Dagster shows and runs it is not what it computes
    found = dict(_definitions(module, function.__name__))
    for file in files:
        for one in sorted(file.rglob("*") if file.is_dir() else [file]):
            if one.is_file() and one.suffix not in (".py", ".pyc"):
                digest = sha256(one.read_bytes()).hexdigest()
                found["file", one.name if one == file else one.relative_to(file).as_posix()] = digest
    return sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]


def _definitions(start: _Module, name: str) -> Iterator[tuple[tuple[str, str], str]]:
    """What modules say of a name, and of the names in that, each once."""
    todo, seen = [(start, name)], {(start.name, name)}
    while todo:
        module, name = todo.pop()
        uses = [(name, "")]
        if name in module.defined:
            said, uses = module.definition(name)
            yield (module.name, name), said
        found = [one for use in uses for one in module.found(*use)]
        for one in [*found, *(module.imported_by_name(name) if name in module.defined else ())]:
            if (key := (one[0].name, one[1])) not in seen:
                seen.add(key)
                todo.append(one)


def _read(node: ast.AST, said: list[str], uses: dict[tuple[str, str], None]) -> None:
    """Put down what a node says, without layout, comments and docstrings, and the names that it uses.

    This is what `ast.dump` does, but in one pass with the names: it is run over whole rooms whenever assets are loaded.
    """
    said.append(type(node).__name__)
    if isinstance(node, ast.Name):
        uses[node.id, ""] = None
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        uses[node.value.id, node.attr] = None
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            _read(value, said, uses)
        elif isinstance(value, list):
            for one in value[1:] if field == "body" and _is_docstring(value) else value:
                if isinstance(one, ast.AST):
                    _read(one, said, uses)
                else:
                    said.append(repr(one))
        elif value is not None:
            said.append(repr(value))


def _is_docstring(body: list[ast.stmt]) -> bool:
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
