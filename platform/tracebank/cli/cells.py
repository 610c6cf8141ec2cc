"""Values of an answer as text for a person's eyes: short where that is enough, and never a control sequence.

Rows do not go through Python's datetime, which ends at microseconds. How texts are laid out is `grid`'s business.
"""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import pyarrow as pa

SIGNIFICANT: Final = 6
"""Digits of a number that is not whole."""
LONGEST: Final = 300
"""Characters of a text."""
MOST: Final = 6
"""Elements of a list."""
BYTES: Final = 32
"""Bytes of a blob."""

_WHOLE: Final = 1e15
"""Below this no digit before the point is given up."""
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ESCAPES: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    """The text with what would steer a terminal (escapes, line ends, changes of direction) as escapes to read."""
    return _UNPRINTABLE.sub(lambda found: _escaped(found.group()), text)


def in_lines(text: str) -> str:
    """As `printable`, with line ends kept where they part lines, and told where they are all that there is."""
    inside = text.strip("\n")
    if "\n" not in inside:
        return printable(text)
    before, _, after = text.partition(inside)
    return printable(before) + "\n".join(map(printable, inside.split("\n"))) + printable(after)


def _escaped(character: str) -> str:
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


class Cells:
    """Texts of columns, and which of the columns were shortened."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.shortened: dict[str, None] = {}
        """Names of columns that hold more than their texts, in order."""
        self._name = ""

    def column(self, name: str, values: pa.ChunkedArray[Any] | pa.Array[Any]) -> list[str | None]:
        """A text for each value; None for null."""
        self._name = name
        chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
        return [text for chunk in chunks for text in self._texts(chunk)]

    def _short(self, text: str) -> str:
        self.shortened[self._name] = None
        return text

    def _texts(self, values: pa.Array[Any]) -> list[str | None]:
        kind = values.type
        if isinstance(values, pa.DictionaryArray):
            return self._texts(values.dictionary_decode())
        if pa.types.is_timestamp(kind):
            return _moments(values)
        if pa.types.is_date(kind) or pa.types.is_time(kind):
            return [None if text is None else str(text) for text in values.cast(pa.string()).to_pylist()]
        if isinstance(values, pa.StructArray):
            return self._structs(values)
        if pa.types.is_nested(kind):
            told = self._map if pa.types.is_map(kind) else self._list
            return [told(value) if value.is_valid else None for value in values]
        plain = self._plain(kind)
        return [None if value is None else plain(value) for value in values.to_pylist()]

    def _plain(self, kind: pa.DataType) -> Callable[[Any], str]:
        if pa.types.is_boolean(kind):
            return lambda value: "true" if value else "false"
        if pa.types.is_floating(kind):
            return self._float if pa.types.is_float64(kind) else self._narrow
        if pa.types.is_decimal(kind):
            return self._decimal
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            return self._blob
        return lambda value: self._text(str(value))

    def _float(self, value: float) -> str:
        return self._number(value, repr(value), float)

    def _narrow(self, value: float) -> str:
        """A float of 32 or 16 bits has fewer digits than Python's."""
        import numpy as np

        return self._number(float(value), str(np.float32(value)), np.float32)

    def _number(self, value: float, exact: str, parsed: Callable[[str], Any]) -> str:
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else exact
        if self.full:
            return exact
        text = f"{value:.{SIGNIFICANT}g}"
        if "e" in text and 1 <= abs(value) < _WHOLE:
            text = f"{value:.0f}"
        if parsed(text) != parsed(exact):
            return self._short(text)
        return text if "." in text or "e" in text else f"{text}.0"

    def _decimal(self, value: decimal.Decimal) -> str:
        if self.full or int(value.as_tuple().exponent) >= 0 or not value.is_finite():
            return f"{value:f}"
        text = f"{value.normalize():.{SIGNIFICANT}g}"
        text = f"{value:.0f}" if "e" in text and 1 <= abs(value) < _WHOLE else text
        return text if decimal.Decimal(text) == value else self._short(text)

    def _text(self, text: str) -> str:
        if self.full or len(text) <= LONGEST:
            return in_lines(text)
        return self._short(f"{in_lines(text[:LONGEST])}… ({len(text):,} characters)")

    def _blob(self, value: bytes) -> str:
        if self.full or len(value) <= BYTES:
            return f"0x{value.hex()}"
        return self._short(f"0x{value[:BYTES].hex()}… ({len(value):,} bytes)")

    def _list(self, value: Any) -> str:
        parts, left = self._first(value.values)
        return f"[{_joined(self._quoted(parts), left)}]"

    def _structs(self, values: pa.StructArray) -> list[str | None]:
        names = [field.name for field in values.type]
        if not names:
            return ["{}" if whole else None for whole in values.is_valid().to_pylist()]
        rows = zip(*(self._quoted(values.field(at)) for at in range(len(names))), strict=True)
        texts = ("{" + ", ".join(f"{name}: {one}" for name, one in zip(names, row, strict=True)) + "}" for row in rows)
        return [text if whole else None for text, whole in zip(texts, values.is_valid().to_pylist(), strict=True)]

    def _map(self, value: Any) -> str:
        parts, left = self._first(value.values)
        pairs = zip(self._quoted(parts.field(0)), self._quoted(parts.field(1)), strict=True)
        return f"{{{_joined([f'{key}: {one}' for key, one in pairs], left)}}}"

    def _first(self, values: Any) -> tuple[Any, int]:
        left = 0 if self.full else max(0, len(values) - MOST)
        if left:
            self.shortened[self._name] = None
        return values.slice(0, len(values) - left), left

    def _quoted(self, values: pa.Array[Any]) -> list[str]:
        mark = '"' if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) else ""
        texts = self._texts(values)
        return ["null" if text is None else f"{mark}{printable(text)}{mark}" for text in texts]


def _joined(parts: Iterable[str], left: int) -> str:
    return ", ".join([*parts, *([f"… {left:,} more"] if left else [])])


def _moments(values: pa.Array[Any]) -> list[str | None]:
    """Time stamps with as many digits of a second, in threes, as the finest of them has."""
    texts = [None if text is None else str(text).removesuffix("Z") for text in values.cast(pa.string()).to_pylist()]
    finest = max((len(text.partition(".")[2].rstrip("0")) for text in texts if text), default=0)
    kept = math.ceil(finest / 3) * 3
    return [None if text is None else _to(text, kept) for text in texts]


def _to(text: str, digits: int) -> str:
    second, _, fraction = text.partition(".")
    return f"{second}.{fraction[:digits]}" if digits else second
