"""Settings whose annotations say what is allowed (`msgspec.Meta`): checked when they are made, and read out of tables.

A table is what TOML gives. What is wrong is one line: the path of the field, the value and what is allowed. What a
field may be beside others is checked by `require`, `in_range` and `whole`.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec

Settings = TypeVar("Settings")

_MESSAGE = re.compile(r"(?P<said>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<kind>[^`]+)`(?P<more>[^,]*)")
_KINDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list"}
_KINDS |= {"null": "nothing", "object": "a table"}


def check_settings(settings: object) -> None:
    """Check every field of a dataclass against its annotation; for `__post_init__`.

    Raises:
        ValueError: One is not allowed; the line names the dataclass, the field, its value and what is allowed.
    """
    kind: Any = type(settings)
    for name, hint in _hints(kind).items():
        converted(getattr(settings, name), hint, f"{kind.__name__}.{name}")


def changed_settings(defaults: Settings, table: Mapping[str, Any], where: str) -> Settings:
    """Settings with the fields that a table names; a table within it changes settings within them.

    Args:
        defaults: A dataclass.
        table: New values by name of the field.
        where: Path of the table, for what is said of it.

    Raises:
        ValueError: A field is unknown or not allowed.
    """
    kind: Any = type(defaults)
    hints = _hints(kind)
    check_names(table, hints, where)
    changes: dict[str, Any] = {}
    for name, value in table.items():
        before, path = getattr(defaults, name), f"{where}.{name}"
        if dataclasses.is_dataclass(before):
            changes[name] = changed_settings(before, converted(value, dict[str, Any], path), path)
        else:
            changes[name] = converted(value, hints[name], path)
    try:
        return dataclasses.replace(defaults, **changes)  # type: ignore[type-var]
    except ValueError as error:  # what the fields may not be together
        raise ValueError(f"{where}{str(error).removeprefix(kind.__name__)}") from None


def read_settings(kind: type[Settings], table: Any, where: str) -> Settings:
    """Make a struct of a table.

    Raises:
        ValueError: A field is missing, unknown or not allowed.
    """
    if isinstance(table, Mapping):
        check_names(table, kind.__struct_fields__, where)  # type: ignore[attr-defined]
    made: Settings = converted(table, kind, where)
    return made


def check_names(table: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse what is no field.

    Raises:
        ValueError: A name is unknown; the line says the nearest, or all.
    """
    fields = list(known)
    for name in table:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1, 0.5)
            allowed = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(fields)}"
            raise ValueError(f"{where}.{name[:60]}: not known; {allowed}".lstrip("."))


def converted(value: Any, hint: Any, where: str) -> Any:
    """A value as what an annotation says.

    Raises:
        ValueError: It is not allowed; the line begins with `where` and names the field within it.
    """
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        message = _MESSAGE.fullmatch(str(error))
        assert message is not None
        path, said = message["path"] or "", message["said"]
        field = f"{where}{path}".lstrip(".")
        if missing := re.fullmatch(r"Object missing required field `(\w+)`", said):
            raise ValueError(f"{field}.{missing[1]}: missing".lstrip(".")) from None
        if not said.startswith(("Expected", "Invalid")):  # a check of its own
            raise ValueError(f"{field}: {said}") from None
        shown = _short(_inner(value, path))
        raise ValueError(f"{field}: {shown} is not allowed; allowed: {_allowed(said, hint, path)}") from None


def _allowed(said: str, hint: Any, path: str) -> str:
    expected = _EXPECTED.match(said)
    if expected is None:  # msgspec does not say what a choice is of
        info = msgspec.inspect.type_info(hint)
        for name in re.findall(r"\w+", path):
            info = next((field.type for field in getattr(info, "fields", ()) if field.name == name), info)
        return f"one of {', '.join(str(value) for value in getattr(info, 'values', ()))}"
    kinds = [_KINDS.get(kind.strip(), kind.strip()) for kind in expected["kind"].split("|")]
    return " or ".join(kind for kind in kinds if kind != "nothing") + expected["more"]


def _inner(value: Any, path: str) -> Any:
    """What stands at a path such as `.ppo.names[1]`."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def require(owner: object, name: str, allowed: str, ok: bool) -> None:
    """Refuse a field.

    Raises:
        ValueError: `ok` is false; the line names the dataclass, the field, its value and what is allowed.
    """
    if not ok:
        raise ValueError(f"{type(owner).__name__}.{name}: {getattr(owner, name)!r} is not allowed; allowed: {allowed}")


def in_range(owner: object, low: float, high: float, *names: str) -> None:
    """Refuse fields that are not numbers within bounds.

    Raises:
        ValueError: As `require`.
    """
    for name in names:
        value = getattr(owner, name)
        ok = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        require(owner, name, f"a number from {low:g} to {high:g}", ok)


def whole(owner: object, low: int, high: int, *names: str) -> None:
    """Refuse fields that are not whole numbers within bounds.

    Raises:
        ValueError: As `require`.
    """
    for name in names:
        value = getattr(owner, name)
        ok = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        require(owner, name, f"a whole number from {low} to {high}", ok)


def settings_hash(*settings: object) -> str:
    """SHA-256 (hex) of dataclasses, strings and numbers; the same settings give the same hash in any process."""
    return hashlib.sha256(json.dumps([_plain(one) for one in settings], sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **dataclasses.asdict(value)}
    return value
