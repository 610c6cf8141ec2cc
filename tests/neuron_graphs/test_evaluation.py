"""Scores of graphs and look-ups on the same tokens, and what a layer's claim to be better takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from tracebank_models.neuron_graphs.evaluation import METHODS, predictions, shuffled, unit_scores
from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.layer_scores import OTHERS, bootstrap_means, layer_scores, paired_differences
from tracebank_models.neuron_graphs.lookups import NGramLookup, TokenLookup
from tracebank_models.neuron_graphs.trie import START, Path, Step

WORDS = [f"w{number}" for number in range(24)]
TEXTS = pl.Series("token", WORDS, pl.String)
UNITS = 12
TOP = pl.DataFrame(
    {"unit": range(UNITS), "token_id": [2 * unit + 1 for unit in range(UNITS)], "value": [0.9] * UNITS},
    schema={"unit": pl.Int32, "token_id": pl.Int64, "value": pl.Float64},
)


@dataclass(frozen=True)
class Bigram:
    """A graph of one path: fires on a token after another."""

    before: str
    token: str

    def predict(self, tokens: Sequence[str]) -> list[float]:
        return [float(pair == (self.before, self.token)) for pair in zip(["", *tokens], tokens, strict=False)]


@dataclass(frozen=True)
class OnToken:
    """An explanation by top tokens: fires on one, whatever stands before it."""

    token: str

    def predict(self, tokens: Sequence[str]) -> list[float]:
        return [0.9 * (token == self.token) for token in tokens]


GRAPHS = {unit: Bigram(WORDS[2 * unit], WORDS[2 * unit + 1]) for unit in range(UNITS)}


def _tokens(seed: int, windows: int = 40, size: int = 20) -> pl.DataFrame:
    """Windows in which each unit fires on its token after its other one, and weakly on that token alone."""
    random = np.random.default_rng(seed)
    parts = []
    for unit in range(UNITS):
        ids = random.choice([2 * unit, 2 * unit + 1, *range(24)], windows * size)
        fires = (ids == 2 * unit + 1) & (np.roll(ids, 1) == 2 * unit)
        fires[::size] = False
        value = np.where(fires, 0.5 + random.random(ids.size) / 2, 0.4 * (ids == 2 * unit + 1))
        window = np.repeat(np.arange(windows), size) + unit * windows
        columns = {"window": window, "row": np.arange(ids.size), "token_id": ids, "value": value}
        stratum = pl.when(pl.col("window") % 2 == 0).then(pl.lit("top")).otherwise(pl.lit("random"))
        place = {"unit": pl.lit(unit), "position": pl.int_range(pl.len()) % size}
        parts.append(pl.DataFrame(columns).with_columns(stratum=stratum, scored=True, **place))
    return pl.concat(parts)


def _scores(graphs: dict[int, Bigram], threshold: float = 0.5) -> pl.DataFrame:
    predicted = predictions(_tokens(1), _tokens(0), graphs, TEXTS, TEXTS, TOP)
    reasons = [None if unit in graphs else "no path" for unit in range(UNITS)]
    return unit_scores(predicted, pl.DataFrame({"unit": range(UNITS), "reason": reasons}), threshold)


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    return _scores(GRAPHS)


def test_scores_are_those_of_counting_token_by_token(scores: pl.DataFrame) -> None:
    test, train = (
        [
            (stratum, [WORDS[token] for token in ids], values)
            for stratum, ids, values in _tokens(seed)
            .filter(unit=3)
            .group_by("window", maintain_order=True)
            .agg(pl.col("stratum").first(), "token_id", "value")
            .select("stratum", "token_id", "value")
            .iter_rows()
        ]
        for seed in (1, 0)
    )
    seen = [(words, values) for _, words, values in train]
    other = shuffled(GRAPHS)[3]
    said = (GRAPHS[3], TokenLookup(seen), NGramLookup(seen), OnToken(WORDS[7]), other)
    predictors = dict(zip(METHODS, said, strict=True))
    for stratum in ("top", "random", "all"):
        mine = [(words, values) for name, words, values in test if stratum in ("all", name)]
        real = np.concatenate([values for _, values in mine])
        for method, predictor in predictors.items():
            says = np.concatenate([predictor.predict(words) for words, _ in mine])
            hits, called, fired = ((says >= 0.5) & (real >= 0.5)).sum(), (says >= 0.5).sum(), (real >= 0.5).sum()
            row = scores.row(
                by_predicate=(pl.col("unit") == 3) & (pl.col("stratum") == stratum) & (pl.col("method") == method),
                named=True,
            )
            assert (row["tokens"], row["fired"], row["called"], row["hits"]) == (real.size, fired, called, hits)
            precision = hits / called if called else None
            expected = {"precision": precision, "recall": hits / fired, "f1": 2 * hits / (called + fired)}
            assert {name: row[name] for name in expected} == pytest.approx(expected)
            correlation = np.corrcoef(says, real)[0, 1] if says.any() else None
            assert row["correlation"] == pytest.approx(correlation)
            assert row["firing_threshold"] == 0.5


def test_a_graph_that_knows_the_context_is_better_than_look_ups(scores: pl.DataFrame) -> None:
    means = layer_scores(scores).filter(stratum="all", metric="f1")
    assert means.filter(method="neuron_graph").select("mean", "low", "high", "undefined").row(0) == (1, 1, 1, 0)
    found = paired_differences(scores)
    assert found["better"].all()
    assert (found["low"] > 0.1).all()
    assert found.height == 3 * len(OTHERS)


def test_graphs_shuffled_among_units_score_nothing_and_are_not_better() -> None:
    others = shuffled(GRAPHS)
    assert sorted(others) == sorted(GRAPHS)
    assert all(others[unit] is not GRAPHS[unit] for unit in GRAPHS)
    assert sorted(str(graph) for graph in others.values()) == sorted(str(graph) for graph in GRAPHS.values())
    scores = _scores(others)  # type: ignore[arg-type]
    mean = layer_scores(scores).filter(stratum="all", method="neuron_graph", metric="f1")["mean"].item()
    assert mean < 0.02
    assert not paired_differences(scores)["better"].any()
    with pytest.raises(ValueError, match="1 cannot be shuffled"):
        shuffled({0: GRAPHS[0]})


def test_a_unit_without_a_graph_counts_as_nothing_and_says_why(scores: pl.DataFrame) -> None:
    half = _scores({unit: graph for unit, graph in GRAPHS.items() if unit % 2})
    mine = half.filter(method="neuron_graph", stratum="all")
    assert mine["f1"].to_list() == [0, 1] * 6
    assert mine["precision"].to_list() == [None, 1] * 6
    assert mine["reason"].to_list() == ["no path", None] * 6
    row = layer_scores(half).filter(stratum="all", method="neuron_graph", metric="f1").row(0, named=True)
    assert (row["mean"], row["units"], row["undefined"], row["without_graph"]) == (0.5, 12, 0, 6)
    assert paired_differences(half).filter(stratum="all")["units"].to_list() == [12] * len(OTHERS)


def test_a_unit_that_never_fires_or_is_not_tested_has_no_f1_whatever_is_said() -> None:
    tokens = pl.DataFrame(
        {
            "unit": [0, 0, 1, 1],
            "stratum": ["top"] * 4,
            "scored": [True] * 4,
            "row": [0, 1, 0, 1],
            "value": [0.1, 0.2, 0.9, 0.1],
            "neuron_graph": [1.0, 0.0, 1.0, 0.0],
            "token_maximum": [0.0, 0.0, 1.0, 1.0],
            "ngram_5": [0.0, 0.0, 0.0, 0.0],
            "top_tokens": [0.0, 0.0, 0.0, 0.0],
            "shuffled": [0.0, 0.0, 0.0, 0.0],
        }
    )
    units = pl.DataFrame({"unit": [0, 1, 2], "reason": [None, None, "never fires"]})
    scores = unit_scores(tokens, units, 0.5).filter(stratum="top")
    assert scores.filter(unit=0)["f1"].to_list() == scores.filter(unit=2)["f1"].to_list() == [None] * len(METHODS)
    assert scores.filter(unit=0)["precision"].to_list() == [0, None, None, None, None]
    found = {row["method"]: row for row in scores.filter(unit=1).iter_rows(named=True)}
    assert (found["neuron_graph"]["f1"], found["ngram_5"]["f1"]) == (1, 0)
    assert found["token_maximum"]["f1"] == pytest.approx(2 / 3)
    assert found["token_maximum"]["correlation"] is None
    assert scores.filter(unit=2)["reason"].to_list() == ["never fires"] * len(METHODS)
    mean = layer_scores(scores).filter(method="neuron_graph", metric="f1").row(0, named=True)
    assert (mean["mean"], mean["units"], mean["undefined"], mean["low"]) == (1, 3, 2, None)
    pair = paired_differences(scores).row(0, named=True)
    assert (pair["units"], pair["low"], pair["better"]) == (1, None, False)


def test_a_token_in_two_windows_counts_once_and_a_code_fires_above_nothing() -> None:
    tokens = pl.DataFrame(
        {
            "unit": [0] * 5,
            "stratum": ["top", "top", "top", "random", "random"],
            "scored": [True, True, True, True, False],
            "row": [5, 6, 5, 6, 7],
            "value": [0.01, 0.0, 0.01, 0.0, 0.9],
            **{method: [0.3, 0.0, 0.3, 0.0, 0.0] for method in METHODS},
        }
    )
    units = pl.DataFrame({"unit": [0], "reason": [None]}, schema_overrides={"reason": pl.String})
    scores = unit_scores(tokens, units, 0).filter(method="neuron_graph")
    assert dict(scores.select("stratum", "tokens").iter_rows()) == {"top": 2, "random": 1, "all": 2}
    assert dict(scores.select("stratum", "f1").iter_rows()) == {"top": 1, "random": None, "all": 1}


def test_a_graph_has_to_say_a_value_a_token() -> None:
    class Short:
        def predict(self, tokens: Sequence[str]) -> list[float]:
            return [0.0]

    with pytest.raises(ValueError, match="that of unit 0 gives 1 values: allowed is one for 20"):
        predictions(_tokens(1), _tokens(0), {0: Short()}, TEXTS, TEXTS, TOP)


def test_intervals_of_many_units_are_those_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(1, 2, (2_000, 2))
    values[::4, 1] = np.nan
    mean, low, high = bootstrap_means(values, resamples=1_000)
    for column, size in ((0, 2_000), (1, 1_500)):
        defined = values[~np.isnan(values[:, column]), column]
        assert mean[column] == pytest.approx(defined.mean())
        assert (high - low)[column] == pytest.approx(2 * 1.96 * defined.std() / size**0.5, rel=0.1)
    assert np.isnan(bootstrap_means(np.full((3, 1), np.nan))).all()
    assert np.isnan(bootstrap_means(np.empty((0, 1)))).all()


@pytest.mark.parametrize("units", [5, 30])
def test_layers_without_a_difference_claim_one_in_twenty_at_most(units: int) -> None:
    """Each unit's two scores are drawn from one law, skewed and with many zeros as scores are."""
    random = np.random.default_rng(units)
    layers = 600
    drawn = np.where(random.random((2, units, layers)) < 0.3, 0, random.beta(0.7, 1.5, (2, units, layers)))
    _, low, _ = bootstrap_means(drawn[0] - drawn[1])
    assert (low > 0).mean() <= 0.05
    _, low, _ = bootstrap_means(drawn[0] - drawn[1] + 0.6)
    assert (low > 0).mean() > 0.4  # and a difference is seen


def test_four_units_support_no_claim(scores: pl.DataFrame) -> None:
    few = paired_differences(scores.filter(pl.col("unit") < 4))
    assert (few["low"] > 0).all()
    assert not few["better"].any()
    assert paired_differences(scores.filter(pl.col("unit") < 5))["better"].all()


def test_a_window_that_begins_within_a_text_is_not_taken_for_its_beginning() -> None:
    graph = NeuronGraph.of_paths([Path([Step("token", "w1"), START], 1.0)])
    columns = {"window": [0, 0, 1, 1], "row": [0, 1, 7, 8], "position": [0, 1, 5, 6], "token_id": [1, 2, 1, 2]}
    tokens = pl.DataFrame(columns).with_columns(unit=0, stratum=pl.lit("top"), scored=True, value=0.0)
    said = predictions(tokens, tokens, {0: graph}, TEXTS, TEXTS, TOP)["neuron_graph"]
    assert said.to_list() == [1.0, 0.0, 0.0, 0.0]
