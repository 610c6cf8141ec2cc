"""What a model reads of an example: the swap itself, and controls in which the body as it was stays right.

Each condition changes the first line alone; both bodies are the same in all of them.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal, get_args

from .examples import SwapExample, swap_line

Condition = Literal["swap", "no_swap", "unrelated", "alias", "twice"]
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)
"""The names are swapped; there is no such line; two names that the function does not use are swapped; both names get
another name each; the names are swapped twice, which changes nothing."""
_PLAIN: Final = (
    "abs", "all", "any", "bin", "bool", "bytes", "callable", "chr", "complex", "dict", "divmod", "enumerate",
    "filter", "float", "format", "frozenset", "hash", "hex", "id", "int", "isinstance", "iter", "len", "list", "map",
    "max", "min", "next", "oct", "open", "ord", "pow", "print", "range", "repr", "reversed", "round", "set",
    "sorted", "str", "sum", "tuple", "type", "zip",
)  # fmt: skip
"""Builtins of every Python, so that a control is the same text in all."""
Right = Literal["exchanged", "original"]
"""Which body is right: that with the names exchanged, or that as it was."""


@dataclass(frozen=True, slots=True)
class ConditionText:
    """What is read under a condition, and which body is right."""

    prompt: str
    right: Right


def condition_text(example: SwapExample, condition: Condition) -> ConditionText:
    """The prompt of an example under a condition.

    Raises:
        ValueError: The condition is unknown.
    """
    line, _, header = example.prompt.partition("\n")
    match condition:
        case "swap":
            return ConditionText(example.prompt, "exchanged")
        case "no_swap":
            return ConditionText(header, "original")
        case "unrelated":
            return ConditionText(f"{swap_line(*_unrelated(example))}\n{header}", "original")
        case "alias":
            new = ", ".join(_free_names(example))
            return ConditionText(f"{new} = {example.first}, {example.second}\n{header}", "original")
        case "twice":
            return ConditionText(f"{line}\n{line}\n{header}", "original")
    raise ValueError(f"condition: {condition!r} is not allowed; allowed: {', '.join(CONDITIONS)}")


def _unrelated(example: SwapExample) -> tuple[str, str]:
    """Two builtins that the function does not name, drawn by its example: functions and types, no exceptions."""
    first, second = random.Random(example.example).sample(sorted(set(_PLAIN) - _words(example)), 2)
    return first, second


def _free_names(example: SwapExample) -> tuple[str, str]:
    """`a, b` or, where the function names one of them, the first of `a1, b1`, `a2, b2`... that it does not."""
    used = _words(example)
    tried = (("a", "b") if not number else (f"a{number}", f"b{number}") for number in count())
    return next(pair for pair in tried if not used & set(pair))


def _words(example: SwapExample) -> set[str]:
    """Every identifier of the texts: a superset of the names, also of rows that are no Python."""
    return set(re.findall(r"\w+", example.prompt + example.good + example.bad))
