"""The authors' released examples: a table of prompts and two bodies each, with its defects counted.

The bodies stand in triple quotes that are not raw and were read by `ast.literal_eval`: escapes within them became real
characters, and some rows are no Python any more. Both readings are kept: as evaluated, and repaired.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import polars as pl

from tracebank_models.language_model.table_files import Row, rows

from .dataset import COUNTS_SCHEMA, SwapDataset
from .examples import SwapExample, example_key, is_python, text_key
from .used_names import REASONS, Reason, unclean_names

Variant = Literal["as_evaluated", "repaired"]
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
COLUMNS: Final = ("prompt", "classes", "answer_index")
STEPS: Final = (
    "rows",
    "distinct_prompts",
    "altered",
    "not_python",
    *(f"names_{reason}" for reason in REASONS),
    "same_bodies",
    "examples",
)
"""What is counted: rows, different prompts, rows that escapes altered, rows that do not parse, rows that parse and have
a swapped name that is not clean, by reason, rows whose bodies are alike, and different examples."""

_LINE: Final = re.compile(r"(\w+), (\w+) = (\w+), (\w+)")
_RAW: Final = re.compile(r'\["""(.*)""", """(.*)"""\]', re.DOTALL)


def read_released(path: Path, variant: Variant) -> SwapDataset:
    """Read the table, packed or not. A row that does not parse stays and says so; one that says the same is left out.

    Args:
        path: Of the file.
        variant: `as_evaluated` reads the bodies as the authors' code did, `repaired` takes them as they are written.

    Raises:
        ValueError: The variant is unknown, or a row is none of this table; the line names it and what is allowed.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant: {variant!r} is not allowed; allowed: {', '.join(VARIANTS)}")
    counts: Counter[str] = Counter()
    source = path.name.partition(".")[0]
    found = [_example(row, number, source, variant, counts) for number, row in enumerate(rows(path), start=1)]
    first: dict[str, SwapExample] = {}
    for one in found:
        first.setdefault(one.example, one)
    examples = list(first.values())
    counts |= Counter(rows=len(found), distinct_prompts=len({one.prompt for one in found}), examples=len(examples))
    beside = (source, variant, "not stated", "")
    counted = pl.DataFrame([(*beside, step, counts[step]) for step in STEPS], schema=COUNTS_SCHEMA, orient="row")
    return SwapDataset(examples, counted)


@dataclass(frozen=True, slots=True)
class _Bodies:
    """Bodies of a row in both readings, bad and good."""

    as_evaluated: tuple[str, str]
    repaired: tuple[str, str]


def _example(row: Row, number: int, source: str, variant: Variant, counts: Counter[str]) -> SwapExample:
    if missing := [name for name in COLUMNS if name not in row]:
        raise ValueError(
            f"{row.place}: columns {', '.join(row)} are not allowed; allowed: {', '.join(COLUMNS)}"
            f" ({missing[0]} is missing)"
        )
    prompt, bodies = row.text("prompt"), _bodies(row)
    first, second = _names(row, prompt)
    if row["answer_index"] != "1":
        raise ValueError(f"{row.place}: answer_index is {row['answer_index']!r}; allowed: 1")
    counts["altered"] += bodies.as_evaluated != bodies.repaired
    bad, good = bodies.as_evaluated if variant == "as_evaluated" else bodies.repaired
    parses = is_python(prompt + bad) and is_python(prompt + good)
    counts["not_python"] += not parses
    counts["same_bodies"] += good == bad
    text = prompt.partition("\n")[2] + bodies.repaired[0]
    function, unclean = _function(row, text)
    for reason in REASONS:
        counts[f"names_{reason}"] += parses and bool({first, second} & unclean[reason])
    return SwapExample(
        example=example_key(prompt, good, bad),
        function=text_key(text),
        source=source,
        module=f"row {number}",
        qualified_name=function.name,
        line=number,
        licence="CC-BY-4.0",
        python_version="not stated",
        selection=variant,
        first=first,
        second=second,
        prompt=prompt,
        good=good,
        bad=bad,
        words=len(text.split()),
        documented=True,
        header_use=bool({first, second} & unclean["header"]),
        parses=parses,
    )


def _bodies(row: Row) -> _Bodies:
    text = row.text("classes")
    match = _RAW.fullmatch(text.strip())
    try:
        evaluated = ast.literal_eval(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        evaluated = None
    if match is None or not isinstance(evaluated, list) or len(evaluated) != 2:
        raise ValueError(f"{row.place}: classes is {text[:40]!r}; allowed: a list of two texts in triple quotes")
    return _Bodies((evaluated[0], evaluated[1]), (match[1], match[2]))


def _names(row: Row, prompt: str) -> tuple[str, str]:
    line = prompt.partition("\n")[0]
    match = _LINE.fullmatch(line.strip())
    if match is None or (match[1], match[2]) != (match[4], match[3]):
        raise ValueError(f"{row.place}: the prompt begins with {line[:40]!r}; allowed: a, b = b, a")
    return match[1], match[2]


def _function(row: Row, text: str) -> tuple[ast.FunctionDef, Mapping[Reason, set[str]]]:
    try:
        (found,) = ast.parse(text).body
    except (SyntaxError, ValueError):
        found = None
    if not isinstance(found, ast.FunctionDef):
        raise ValueError(f"{row.place}: prompt and body are {text[:40]!r}; allowed: one function")
    return found, unclean_names(found)
