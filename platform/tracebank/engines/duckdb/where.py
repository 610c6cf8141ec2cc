"""What a WHERE in DuckDB's SQL compares, read from sqlglot's tree of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from tracebank.query.conditions import DEEPEST, MIRRORED, Comparison, Condition, Group, Operator

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

_COMPARISONS: Final[dict[str, Operator]] = {
    "EQ": "=",
    "LT": "<",
    "LTE": "<=",
    "GT": ">",
    "GTE": ">=",
    "Like": "prefix",
    "StartsWith": "prefix",
}


def condition(node: Expr, parameters: Mapping[str, object], depth: int = 0) -> Condition | None:
    """What a node of the tree asks for; None where it is of another kind."""
    from sqlglot import expressions as exp

    if depth > DEEPEST:
        return None
    if name := _name(node):
        return Comparison(name, "=", (True,))
    match node:
        case exp.Paren():
            return condition(node.this, parameters, depth + 1)
        case exp.And() | exp.Or():
            parts = tuple(condition(part, parameters, depth + 1) for part in node.flatten())
            return Group(isinstance(node, exp.And), parts)
        case exp.Not() if name := _name(node.this):
            return Comparison(name, "=", (False,))
        case exp.Between():
            ends = ((">=", node.args["low"]), ("<=", node.args["high"]))
            return Group(True, tuple(_comparison(word, node.this, [end], parameters) for word, end in ends))  # type: ignore[arg-type]
        case exp.In():
            return _comparison("in", node.this, node.expressions, parameters)
    operator = _COMPARISONS.get(type(node).__name__)
    if operator is None:
        return None
    left, right = node.this, node.expression
    if not _name(left) and operator in MIRRORED:
        left, right, operator = right, left, MIRRORED[operator]
    return _comparison(operator, left, [right], parameters)


def _comparison(
    operator: Operator, left: Expr, right: list[Expr], parameters: Mapping[str, object]
) -> Condition | None:
    name, values = _name(left), tuple(_value(node, parameters) for node in right)
    return Comparison(name, operator, values) if name and values and None not in values else None


def _name(node: Any) -> tuple[str, ...]:
    from sqlglot import expressions as exp

    return tuple(part.name.lower() for part in node.parts) if isinstance(node, exp.Column) else ()


def _value(node: Expr, parameters: Mapping[str, object]) -> object:
    """What a node stands for; None where that is not known."""
    from sqlglot import expressions as exp

    match node:
        case exp.Literal():
            return node.name if node.is_string else int(node.name) if node.name.isdecimal() else None
        case exp.Neg():
            value = _value(node.this, parameters)
            return -value if type(value) is int else None
        case exp.Boolean():
            return bool(node.this)
        case exp.Placeholder():
            value = parameters.get(node.name)
            return value if isinstance(value, bool | int | str | date) else None
        case exp.Cast() if isinstance(value := _value(node.this, parameters), str):
            kind = str(node.to.this.name)
            if kind == "DATE" or (kind.startswith("TIMESTAMP") and len(value) > 10):
                return value
            return f"{value} 00:00:00" if kind.startswith("TIMESTAMP") else None
    return None
