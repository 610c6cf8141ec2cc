"""The dataset: functions of a tree of sources that call two names or more, pairs of these names, and their examples.

It depends on contents and seed alone, never on the order of files. Every step of the selection is counted, with the
list of excluded folders beside each count.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import polars as pl

from .examples import SwapExample, example_key, is_python, printed, swapped_texts, text_key
from .selection import SwapSelection
from .source_functions import PYTHON_VERSION, PythonSources, SourceFunction, source_functions
from .used_names import REASONS, callable_builtins, called_names, local_names, unclean_names

STEPS: Final = (
    "files",
    "unreadable",
    "not_python",
    "functions",
    "documented",
    "two_names",
    "short",
    *(f"names_{reason}" for reason in REASONS),
    "clean",
    "unique",
    "not_printed",
    "same_bodies",
    "functions_used",
    "examples",
)
"""What is counted: files found, and those left out; functions left after each rule; functions with a called name that
is not clean, by reason; functions whose two names are clean, and different ones among them; what could not be printed
as Python, and pairs whose bodies are alike; functions with an example, and examples."""
COUNTS_SCHEMA: Final = {
    "source": pl.String,
    "selection": pl.String,
    "python_version": pl.String,
    "excluded": pl.String,
    "step": pl.String,
    "count": pl.Int64,
}


@dataclass(frozen=True, slots=True)
class SwapDataset:
    """Examples, and how many were left at each step."""

    examples: list[SwapExample]
    counts: pl.DataFrame
    """Rows of `COUNTS_SCHEMA`, one for each of `STEPS`."""


def examples_of(sources: PythonSources, selection: SwapSelection) -> SwapDataset:
    """Build the dataset of a tree.

    Raises:
        ValueError: The folder holds no Python file.
    """
    counts: Counter[str] = Counter()
    examples = [one for found in _chosen(sources, selection, counts) for one in found]
    counts["examples"] = len(examples)
    beside = (sources.name, selection.name, PYTHON_VERSION, ", ".join(sources.excluded))
    rows = [(*beside, step, counts[step]) for step in STEPS]
    return SwapDataset(examples, pl.DataFrame(rows, schema=COUNTS_SCHEMA, orient="row"))


def _chosen(sources: PythonSources, selection: SwapSelection, counts: Counter[str]) -> Iterator[list[SwapExample]]:
    seen: set[str] = set()
    for function in source_functions(sources, selection.methods, counts):
        names = _called(function, selection, counts)
        if names is None:
            continue
        text = _text(function, selection, counts)
        if text is None:
            continue
        usable = _usable(function, names, selection, counts)
        if len(usable) < 2:
            continue
        counts["clean"] += 1
        if (key := text_key(text)) in seen:
            continue
        seen.add(key)
        counts["unique"] += 1
        found = _examples(sources, selection, _Chosen(function, key, len(text.split()), usable), counts)
        counts["functions_used"] += bool(found)
        yield found


def _called(function: SourceFunction, selection: SwapSelection, counts: Counter[str]) -> set[str] | None:
    """Called names of a function with at least two of them, and a docstring where it needs one."""
    counts["functions"] += 1
    if selection.documented and not _documented(function):
        return None
    counts["documented"] += 1
    called = called_names(function.node)
    if selection.names == "builtins":
        called &= callable_builtins()
    else:
        called -= callable_builtins() | local_names(function.node)
    if len(called) < 2:
        return None
    counts["two_names"] += 1
    return called


def _documented(function: SourceFunction) -> bool:
    return ast.get_docstring(function.node, clean=False) is not None


def _text(function: SourceFunction, selection: SwapSelection, counts: Counter[str]) -> str | None:
    try:
        text = printed(function.node, function.owner)
    except (ValueError, RecursionError):
        counts["not_printed"] += 1
        return None
    if len(text.split()) > selection.longest_words:
        return None
    counts["short"] += 1
    return text


def _usable(
    function: SourceFunction, called: set[str], selection: SwapSelection, counts: Counter[str]
) -> dict[str, bool]:
    """Names that may be swapped, and whether each is evaluated in the header."""
    unclean = unclean_names(function.node, function.owner)
    for reason in REASONS:
        counts[f"names_{reason}"] += bool(called & unclean[reason])
    left_out = set().union(*unclean.values()) if selection.clean else set()
    return {name: name in unclean["header"] for name in sorted(called - left_out)}


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A function that is taken."""

    function: SourceFunction
    key: str
    words: int
    names: dict[str, bool]


def _examples(
    sources: PythonSources, selection: SwapSelection, chosen: _Chosen, counts: Counter[str]
) -> list[SwapExample]:
    """Examples of different pairs, in an order that function and seed decide: fewer are the beginning of more."""
    chance = random.Random(f"{selection.seed}/{chosen.key}")
    pairs = list(combinations(chosen.names, 2))
    chance.shuffle(pairs)
    found: list[SwapExample] = []
    for pair in pairs:
        first, second = chance.sample(pair, 2)
        example = _example(sources, selection, chosen, (first, second), counts)
        if example is not None:
            found.append(example)
        if len(found) == selection.pairs:
            break
    return found


def _example(
    sources: PythonSources, selection: SwapSelection, chosen: _Chosen, pair: tuple[str, str], counts: Counter[str]
) -> SwapExample | None:
    function = chosen.function
    try:
        prompt, good, bad = swapped_texts(function.node, function.owner, *pair)
    except (ValueError, RecursionError):
        counts["not_printed"] += 1
        return None
    if good == bad:  # both names are in the header alone
        counts["same_bodies"] += 1
        return None
    if not (is_python(prompt + good) and is_python(prompt + bad)):
        counts["not_printed"] += 1
        return None
    return SwapExample(
        example=example_key(prompt, good, bad),
        function=chosen.key,
        source=sources.name,
        module=function.module,
        qualified_name=function.qualified_name,
        line=function.node.lineno,
        licence=sources.spdx,
        python_version=PYTHON_VERSION,
        selection=selection.name,
        first=pair[0],
        second=pair[1],
        prompt=prompt,
        good=good,
        bad=bad,
        words=chosen.words,
        documented=_documented(function),
        header_use=any(chosen.names[name] for name in pair),
    )
