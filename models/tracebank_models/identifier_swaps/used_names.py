"""Which names a function calls, and which of its names do not mean what a module's line of assignment says they mean.

Nothing here knows of pairs or texts.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from typing import Final, Literal

Reason = Literal["header", "parameter", "assigned", "declared"]
REASONS: Final[tuple[Reason, ...]] = ("header", "parameter", "assigned", "declared")
"""Why a name is not swapped cleanly: it is evaluated in the header (decorators, defaults, annotations, bases), which is
printed unswapped; a parameter has it; the function binds it itself; `global` or `nonlocal` names it."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def callable_builtins() -> frozenset[str]:
    """Every callable of the running Python's `builtins`, types and exceptions among them."""
    return frozenset(name for name in dir(builtins) if callable(getattr(builtins, name)))


def called_names(function: ast.FunctionDef) -> set[str]:
    """Names that are called as such, anywhere in a function: `f(...)`, not `a.f(...)`."""
    return {
        node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def local_names(function: ast.FunctionDef) -> set[str]:
    """Names of inner functions and of targets of assignments and loops: what the paper leaves out of its second set."""
    inner = {node.name for node in ast.walk(function) if isinstance(node, _Function) and node is not function}
    return inner | {
        node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def unclean_names(function: ast.FunctionDef, owner: ast.ClassDef | None = None) -> dict[Reason, set[str]]:
    """Names by why they would not be swapped cleanly.

    Args:
        function: The function.
        owner: The class whose header is printed before a method.
    """
    nodes = list(ast.walk(function))
    return {
        "header": _names(_header(function, owner)),
        "parameter": {node.arg for node in nodes if isinstance(node, ast.arg)},
        "assigned": {name for node in nodes if node is not function for name in _bound(node)},
        "declared": {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names},
    }


def _header(function: ast.FunctionDef, owner: ast.ClassDef | None) -> Iterator[ast.AST]:
    yield from function.decorator_list
    yield function.args
    if function.returns is not None:
        yield function.returns
    yield from getattr(function, "type_params", ())  # from Python 3.12
    if owner is not None:
        yield from (*owner.bases, *owner.keywords)


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that a node binds, other than as a parameter."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case _ if isinstance(node, _SCOPES):
            yield node.name
