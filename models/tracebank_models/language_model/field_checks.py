"""Checks that the configuration dataclasses of this room make of their own fields. One clear line per refusal."""

from __future__ import annotations


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
