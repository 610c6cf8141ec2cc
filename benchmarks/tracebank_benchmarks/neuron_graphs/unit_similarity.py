"""How long it takes to find all pairs of similar units among many, beside comparing all pairs of a few.

Run `python -m tracebank_benchmarks.neuron_graphs.unit_similarity`. Units are random: the tokens of each are drawn by
Zipf's law, a fifth of them fire whatever stands before, and a tenth differ from another one by a few tokens. Seconds
are of CPU time. Every pair of the first few units is compared as well, and must be found.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Annotated

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tracebank_models.neuron_graphs.similarity import similar_units

_SHARE = 0.9


def random_units(units: int, vocabulary: int, seed: int) -> pl.DataFrame:
    """Rows as `search.unit_tokens` gives them."""
    random = np.random.default_rng(seed)
    parts = [_sets(random, "fires_on", units, vocabulary, most=8), _sets(random, "after", units, vocabulary, most=40)]
    drawn = pl.concat(parts)
    silent = pl.Series(random.choice(units, units // 5, replace=False))
    drawn = drawn.filter((pl.col("role") == "fires_on") | ~pl.col("feature").is_in(silent.implode()))
    near = pl.DataFrame(random.choice(units, (units // 10, 2), replace=False), schema=["feature", "as"])
    copies = near.join(drawn, left_on="as", right_on="feature").drop("as")
    kept = copies.filter(pl.Series(random.random(copies.height) < 0.98))
    others = drawn.join(near, on="feature", how="anti")
    return pl.concat([others, kept.select(drawn.columns)]).with_columns(
        dictionary=pl.format("m/layers.{}.neurons", pl.col("feature") % 6)
    )


def _sets(random: np.random.Generator, role: str, units: int, vocabulary: int, most: int) -> pl.DataFrame:
    sizes = random.integers(1, most + 1, units)
    share = 1 / np.arange(1, vocabulary + 1)
    token = np.searchsorted(np.cumsum(share / share.sum()), random.random(int(sizes.sum())))
    unit: NDArray[np.int64] = np.repeat(np.arange(units), sizes)
    return (
        pl.DataFrame({"feature": unit, "token": token})
        .unique(maintain_order=True)
        .select("feature", pl.format("w{}", "token").alias("token"), pl.lit(role).alias("role"))
    )


def pairs_of_all(tokens: pl.DataFrame) -> set[tuple[int, int]]:
    """Both numbers of each pair, by comparing all."""
    sets: dict[int, tuple[set[str], set[str]]] = {}
    for feature, role, token in tokens.select("feature", "role", "token").iter_rows():
        sets.setdefault(feature, (set(), set()))[role == "after"].add(token)
    return {
        (min(one, other), max(one, other))
        for (one, mine), (other, its) in itertools.combinations(sets.items(), 2)
        if all(_share(a, b) >= _SHARE for a, b in zip(mine, its, strict=True))
    }


def _share(one: set[str], other: set[str]) -> float:
    if not one and not other:
        return 1.0
    return len(one & other) / max(min(len(one), len(other)), 1)


def measured(units: int, vocabulary: int, compared: int, seed: int) -> dict[str, float]:
    """Figures by name."""
    tokens = random_units(units, vocabulary, seed)
    start = time.process_time()
    found = similar_units(tokens, _SHARE)
    seconds = time.process_time() - start
    few = tokens.filter(pl.col("feature") < compared)
    start = time.process_time()
    expected = pairs_of_all(few)
    all_pairs = time.process_time() - start
    mine = similar_units(few, _SHARE).pairs.select("feature", "other_feature").iter_rows()
    assert {(min(pair), max(pair)) for pair in mine} == expected
    counts = found.pairs["relation"].value_counts()
    return {
        "units": units,
        "tokens": tokens.height,
        "cpu_seconds": round(seconds, 2),
        **{f"{name}_pairs": count for name, count in sorted(counts.iter_rows())},
        "units_with_pairs_left_out": found.left_out.height,
        "units_compared_with_all": compared,
        "cpu_seconds_of_comparing_all": round(all_pairs, 2),
        "pairs_of_those": len(expected),
    }


def main(
    units: Annotated[int, typer.Option(min=10)] = 20_000,
    vocabulary: Annotated[int, typer.Option(min=100)] = 50_000,
    compared: Annotated[int, typer.Option(min=2, help="Units of which all pairs are compared as well.")] = 1_000,
    seed: Annotated[int, typer.Option()] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure the search for similar units."""
    figures = measured(units, vocabulary, compared, seed)
    if as_json:
        typer.echo(json.dumps(figures))
        return
    shown = Table("figure", "value", title="similar units by inverted lists")
    for name, value in figures.items():
        shown.add_row(name.replace("_", " "), f"{value:,}")
    Console(width=None if sys.stdout.isatty() else 80).print(shown)


if __name__ == "__main__":
    typer.run(main)
