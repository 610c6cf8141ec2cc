"""What a WHERE in ClickHouse's SQL compares, read from the tree that the engine's own parser makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from tracebank.query.conditions import DEEPEST, MIRRORED, Comparison, Condition, Group, Operator

_COMPARISONS: Final[dict[str, Operator]] = {
    "equals": "=",
    "less": "<",
    "lessOrEquals": "<=",
    "greater": ">",
    "greaterOrEquals": ">=",
    "in": "in",
    "like": "prefix",
    "startsWith": "prefix",
}
_DAYS: Final = ("toDate", "toDate32")
_MOMENTS: Final = ("toDateTime", "toDateTime64")
_TEXT_TYPE: Final = re.compile(r"String|Date(32|Time(64)?)?(\(.*\))?")
_WHOLE_TYPE: Final = re.compile(r"U?Int\d+")


def condition(node: dict[str, Any], parameters: Mapping[str, object], depth: int = 0) -> Condition | None:
    """What a node of the tree asks for; None where it is of another kind."""
    if depth > DEEPEST:
        return None
    if name := _name(node):
        return Comparison(name, "=", (True,))
    arguments = node.get("arguments", {}).get("children", [])
    match node.get("name"), len(arguments):
        case "and" | "or" as word, _:
            return Group(word == "and", tuple(condition(part, parameters, depth + 1) for part in arguments))
        case "not", 1 if name := _name(arguments[0]):
            return Comparison(name, "=", (False,))
        case str(word), 2 if word in _COMPARISONS:
            return _comparison(_COMPARISONS[word], arguments[0], arguments[1], parameters)
    return None


def _comparison(
    operator: Operator, left: dict[str, Any], right: dict[str, Any], parameters: Mapping[str, object]
) -> Condition | None:
    name, values = _name(left), _values(right, parameters)
    if not name and operator in MIRRORED:
        name, values, operator = _name(right), _values(left, parameters), MIRRORED[operator]
    if not name or not values or (operator != "in" and len(values) > 1):
        return None
    return Comparison(name, operator, values)


def _name(node: dict[str, Any]) -> tuple[str, ...]:
    if node["type"] != "Identifier":
        return ()
    return tuple(node.get("name_parts") or [node.get("name", "")])


def _values(node: dict[str, Any], parameters: Mapping[str, object]) -> tuple[object, ...]:
    """Values that a node stands for; none where they are not known."""
    arguments = node.get("arguments", {}).get("children", [])
    if node["type"] == "Literal":
        return _literals(node["value"])
    if node["type"] == "QueryParameter":
        return _given(str(node["param_type"]), parameters.get(str(node["name"])))
    if node["type"] == "Function" and arguments and node["name"] in _DAYS + _MOMENTS:
        values = _values(arguments[0], parameters)
        is_day = node["name"] in _DAYS
        return tuple(v if is_day or len(v) > 10 else f"{v} 00:00:00" for v in values if isinstance(v, str))
    if node["type"] == "Function" and arguments and node["name"] in ("tuple", "array"):
        parts = [_values(part, parameters) for part in arguments]
        return tuple(part[0] for part in parts) if all(len(part) == 1 for part in parts) else ()
    return ()


def _literals(field: dict[str, Any]) -> tuple[object, ...]:
    value = field.get("value")
    match field["field_type"]:
        case "String" | "UInt64" | "Int64" | "Bool":
            return (value,)
        case "Tuple" | "Array" if isinstance(value, list):
            parts = [_literals(part) for part in value]
            return tuple(part[0] for part in parts) if all(len(part) == 1 for part in parts) else ()
    return ()


def _given(kind: str, value: object) -> tuple[object, ...]:
    """A parameter's value where it is of the kind that the query names."""
    if kind.startswith("Array(") and isinstance(value, list | tuple):
        parts = [_given(kind.removeprefix("Array(").removesuffix(")"), part) for part in value]
        return tuple(part[0] for part in parts) if all(parts) else ()
    fits = (
        (isinstance(value, bool) and kind == "Bool")
        or (type(value) is int and _WHOLE_TYPE.fullmatch(kind))
        or (isinstance(value, str | date) and _TEXT_TYPE.fullmatch(kind))
    )
    return (value,) if fits else ()
