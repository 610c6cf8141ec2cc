"""Asset `identifier_swaps/examples`: functions of a tree of Python sources, or the released examples."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.artifacts import artifact
from tracebank_assets.identifier_swaps.keys import GROUP
from tracebank_assets.materialised import materialised
from tracebank_schemas.identifier_swaps import SwapCount, SwapExample

if TYPE_CHECKING:
    from tracebank_models.identifier_swaps.dataset import SwapDataset
    from tracebank_models.identifier_swaps.examples import SwapExample as Example

_PARSE = "both_bodies_are_python"
CHECKS = {_PARSE: "Prompt and body parse as Python, for both bodies of every example."}


class ExamplesConfig(dg.Config):
    """Which functions and names are taken."""

    root: str = Field(default="", description="Folder of sources; empty: the running Python's standard library.")
    licence: str = Field(default="not stated", description="Of such a folder, by its SPDX name.")
    released: str = Field(default="", description="File of the released examples, read in place of sources.")
    variant: str = Field(default="repaired", description="Of that file: repaired, or as_evaluated.")
    names: str = Field(default="builtins", description="Called names that are swapped: builtins, or others.")
    methods: bool = Field(default=False, description="Take methods too.")
    documented: bool = Field(default=True, description="Take only functions with a docstring, as the paper does.")
    clean: bool = Field(default=True, description="Leave out names in headers, and shadowed or assigned ones.")
    pairs: int = Field(default=1, ge=1, description="Most pairs of names of one function.")
    doctests: bool = Field(default=False, description="Run doctests with the names swapped, in a process of limits.")
    seed: int = Field(default=42, ge=0, description="Of the choice of pairs.")


@artifact(GROUP, SwapExample, SwapCount, checks=CHECKS, not_empty=True, kinds={"python"})
def examples(context: dg.AssetExecutionContext, config: ExamplesConfig, stores: Stores) -> dg.MaterializeResult:
    """Functions with two of their called names swapped, and how many were left at each step.

    Examples of another tree or rule stand beside these.
    """
    with materialised(context, stores) as made:
        dataset = _dataset(config)
        source, selection = dataset.counts.select("source", "selection").row(0)
        mine = (SwapExample.source == source) & (SwapExample.selection == selection)
        made.into(SwapExample, mine).write([asdict(one) for one in dataset.examples])
        counted = (SwapCount.source == source) & (SwapCount.selection == selection)
        made.into(SwapCount, counted).write(dataset.counts.with_columns(place=pl.int_range(pl.len())))
    broken = sum(not one.parses for one in dataset.examples)
    functions = len({one.function for one in dataset.examples})
    check = dg.AssetCheckResult(
        check_name=_PARSE,
        passed=broken == 0,
        severity=dg.AssetCheckSeverity.WARN if config.released else dg.AssetCheckSeverity.ERROR,
        metadata={"do_not_parse": broken},
    )
    return made.result({"source": source, "selection": selection, "functions": functions}, [check])


def _dataset(config: ExamplesConfig) -> "SwapDataset":
    from tracebank_models.checked_settings import converted
    from tracebank_models.identifier_swaps.dataset import examples_of
    from tracebank_models.identifier_swaps.doctests import with_verdicts
    from tracebank_models.identifier_swaps.released import read_released
    from tracebank_models.identifier_swaps.selection import SwapSelection
    from tracebank_models.identifier_swaps.source_functions import PythonSources

    if config.released:
        return read_released(Path(config.released), config.variant)  # type: ignore[arg-type]
    sources = PythonSources(Path(config.root) if config.root else None, config.licence)
    asked = config.model_dump(include={"names", "methods", "documented", "clean", "pairs", "seed"})
    dataset = examples_of(sources, converted(asked, SwapSelection, "examples"))
    if not config.doctests:
        return dataset
    found = []
    with track("running doctests", len(dataset.examples)) as advance:
        for one in with_verdicts(dataset.examples, sources):
            found.append(one)
            advance(1)
    return replace(dataset, examples=found)


def stored_examples(relational: RelationalStore, source: str, selection: str, count: int | None) -> "list[Example]":
    """Examples of a tree and rule, the first so many by their key.

    Raises:
        dg.Failure: there is none.
    """
    from sqlalchemy import select

    from tracebank_models.identifier_swaps.examples import SwapExample as Example

    query = select(SwapExample).where(SwapExample.source == source, SwapExample.selection == selection)
    with relational.reading() as session:
        rows = [row.row() for row in session.scalars(query.order_by(SwapExample.example).limit(count))]
    if not rows:
        raise dg.Failure(f"{source!r} has no examples of {selection!r}; materialise identifier_swaps/examples first")
    return [Example(**row) for row in rows]
