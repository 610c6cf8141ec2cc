"""How well graphs say when their units fire, on texts that they were not made from, and whether look-ups say it better.

Every method is scored on the same tokens. A unit that never fires on those of a stratum has no recall and no F1 there,
whatever the method; one that is never called has no precision; a correlation needs two values that differ. Such scores
are null, and means are over the units that have one. A unit without a graph is never called by it: where it fires, its
F1 is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from tracebank_models.neuron_graphs.lookups import Predictor, Statistic, gram_values, looked_up

GRAPH: Final = "neuron_graph"
BASELINES: Final = {"token_maximum": 0, "ngram_5": 5}
"""Tokens before, of each look-up."""
TOP_TOKENS: Final = "top_tokens"
"""Method: the tokens that a unit fires on more often than on others, at its mean where it fires on them."""
SHUFFLED: Final = "shuffled"
"""Method: the graph of another unit."""
METHODS: Final = (GRAPH, *BASELINES, TOP_TOKENS, SHUFFLED)
METRICS: Final = ("precision", "recall", "f1", "correlation")
EVERY: Final = "all"
"""The stratum of all tokens, each counted once."""


def predictions(
    tokens: pl.DataFrame,
    train: pl.DataFrame,
    graphs: Mapping[int, Predictor],
    texts: pl.Series,
    written: pl.Series,
    top_tokens: pl.DataFrame,
    statistic: Statistic = "maximum",
) -> pl.DataFrame:
    """What each method expects on each token.

    Args:
        tokens: `WindowValues.tokens`: unit, window, token_id and others; windows one after the other.
        train: Columns unit, window, token_id and value (over the unit's maximum), of the windows that graphs are made
            of; those of a window in their order.
        graphs: Of each unit that has one.
        texts: Texts of the vocabulary, by id.
        written: The same as graphs write them (`normalized_texts`), by which look-ups tell tokens apart.
        top_tokens: Columns unit, token_id and value (over the unit's maximum), of executable explanations.
        statistic: Of look-ups.

    Returns:
        The tokens with a column a method.

    Raises:
        ValueError: A graph gives another number of values than there are tokens.
    """
    kind = written.rank("dense")  # tokens that are written alike are one
    numbered = tokens.with_columns(token=kind.gather(tokens["token_id"]))
    seen = train.with_columns(token=kind.gather(train["token_id"]))
    looked = {name: looked_up(numbered, gram_values(seen, n, statistic), n) for name, n in BASELINES.items()}
    others = shuffled(graphs) if len(graphs) > 1 else {}
    by_graph = {name: _of_graphs(tokens, known, texts) for name, known in ((GRAPH, graphs), (SHUFFLED, others))}
    expected = tokens.select("unit", "token_id").join(
        top_tokens, on=["unit", "token_id"], how="left", maintain_order="left"
    )
    return tokens.with_columns(**by_graph, **looked, top_tokens=expected["value"].fill_null(0.0))


def _of_graphs(tokens: pl.DataFrame, graphs: Mapping[int, Predictor], texts: pl.Series) -> pl.Series:
    windows = tokens.select("unit", "window", "position", text=texts.gather(tokens["token_id"]))
    values: list[float] = []
    told = windows.group_by("unit", "window", maintain_order=True).agg("text", pl.col("position").first())
    for unit, _, words, position in told.iter_rows():
        graph = graphs.get(unit)
        # A token that stands for none says that a window does not begin where its text does.
        before = [""] if position else []
        found = [0.0] * len(words) if graph is None else graph.predict([*before, *words])[len(before) :]
        if len(found) != len(words):
            raise ValueError(f"graphs: that of unit {unit} gives {len(found)} values: allowed is one for {len(words)}")
        values += found
    return pl.Series(values, dtype=pl.Float64)


def fires(column: str, threshold: float) -> pl.Expr:
    """Where values over the maximum mean firing: from this share on, or above 0 where it is 0."""
    return pl.col(column) >= threshold if threshold > 0 else pl.col(column) > 0


def unit_scores(predicted: pl.DataFrame, units: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Scores of every unit, stratum and method.

    Args:
        predicted: `predictions`, of which those that are `scored` count, each token once in a stratum, however many of
            its windows hold it.
        units: Columns unit and reason, of all units, tested or not; the reason says why there is no graph, or is null.
        threshold: From which share of its maximum a unit fires (0: above 0), said or real.

    Returns:
        Columns unit, stratum (`all` too), method, firing_threshold, tokens, fired, called, hits, those of `METRICS`
        (null where not defined: see above) and reason.
    """
    named = predicted.filter("scored").with_columns(pl.col("stratum").cast(pl.String))
    every = named.with_columns(stratum=pl.lit(EVERY))
    once = pl.concat([named, every]).unique(["unit", "stratum", "row"], keep="first", maintain_order=True)
    strata = once.select("stratum").unique(maintain_order=True)
    whole = units.select("unit", "reason").join(strata, how="cross")
    fired = fires("value", threshold)
    parts = []
    for method in METHODS:
        called = fires(method, threshold)
        counts = once.group_by("unit", "stratum").agg(
            pl.len().alias("tokens"),
            fired.sum().alias("fired"),
            called.sum().alias("called"),
            (fired & called).sum().alias("hits"),
            pl.corr(pl.col(method).cast(pl.Float64), pl.col("value").cast(pl.Float64))
            .fill_nan(None)
            .alias("correlation"),
        )
        parts.append(whole.join(counts, on=["unit", "stratum"], how="left").with_columns(method=pl.lit(method)))
    counted = pl.concat(parts).with_columns(pl.col("tokens", "fired", "called", "hits").fill_null(0).cast(pl.Int64))
    fires_at_all = pl.col("fired") > 0
    scored = counted.with_columns(
        firing_threshold=pl.lit(threshold, pl.Float64),
        precision=pl.when(pl.col("called") > 0).then(pl.col("hits") / pl.col("called")),
        recall=pl.when(fires_at_all).then(pl.col("hits") / pl.col("fired")),
        f1=pl.when(fires_at_all).then(2 * pl.col("hits") / (pl.col("fired") + pl.col("called"))),
    )
    columns = ["unit", "stratum", "method", "firing_threshold", "tokens", "fired", "called", "hits", *METRICS, "reason"]
    return scored.select(columns).sort("unit", "stratum", "method")


def shuffled(graphs: Mapping[int, Predictor], seed: int = 0) -> dict[int, Predictor]:
    """Each unit with the graph of another one: what graphs score that know nothing of their unit.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(graphs) < 2:
        raise ValueError(f"graphs: {len(graphs)} cannot be shuffled: allowed are 2 and more")
    order = np.random.default_rng(seed).permutation(np.array(list(graphs))).tolist()
    return {unit: graphs[other] for unit, other in zip(order, order[1:] + order[:1], strict=True)}
