"""Units with known rules: the graph is the rule, and predicts other texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import networkx
import polars as pl
import pytest
from tests.neuron_graphs.planted import TEXTS, PlantedUnits, Rule, f1, random_text, windows_of

from tracebank_models.neuron_graphs.build import BuiltGraph, build_graphs
from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.settings import PAPERS, GraphSettings
from tracebank_models.neuron_graphs.words import MaskedWord

EVERYTHING = GraphSettings(case_variants=True, negative_contexts=True)
SMILE = "\U0001f642"
RULES: dict[str, tuple[Rule, list[str]]] = {
    "a token": (lambda t, i: float(t[i] == "bee"), ["bee"]),
    "a bigram": (lambda t, i: float(t[i] == "bee" and i > 0 and t[i - 1] == "ant"), ["ant", "bee"]),
    "any distance": (lambda t, i: float(t[i] == "cat" and "ant" in t[:i]), ["cat"]),
    "at the start": (lambda t, i: float(t[i] == "ant" and i == 0), ["ant"]),
    "whatever starts": (lambda t, i: float(i == 0), []),
    "two behaviours": (
        lambda t, i: float((t[i] == "bee" and t[i - 1 : i] == ["ant"]) or t[i] == "owl"),
        ["ant", "bee", "owl"],
    ),
    "a negative context": (lambda t, i: float(t[i] == "bee" and "not" not in t[max(0, i - 3) : i]), ["bee", "not"]),
    "any case": (lambda t, i: float(t[i].lower() == "cat"), ["cat"]),
    "nul after emoji": (lambda t, i: float(t[i] == "\x00" and t[i - 1 : i] == [SMILE]), ["\x00", SMILE]),
}  # fmt: skip
PATHS = {
    "a token": {("token bee",)},
    "a bigram": {("token bee", "token ant")},
    "any distance": {("token cat", "gap ant")},
    "at the start": {("token ant", "start ")},
    "whatever starts": {("any ", "start ")},
    "two behaviours": {("token bee", "token ant"), ("token owl",)},
    "a negative context": {("token bee",)},
    "any case": {("token cat",), ("token CAT",)},
    "nul after emoji": {("token \x00", f"token {SMILE}")},
}


class NoSubstitutes:
    def __call__(self, words: Sequence[MaskedWord]) -> list[list[str]]:
        return [[] for _ in words]


@pytest.fixture(scope="module")
def built() -> dict[str, BuiltGraph]:
    reader = PlantedUnits(*(rule for rule, _ in RULES.values()))
    examples = [windows_of(unit, rule, plant) for unit, (rule, plant) in enumerate(RULES.values())]
    return dict(zip(RULES, build_graphs(reader, examples, EVERYTHING, NoSubstitutes()), strict=True))


def score(graph: NeuronGraph | None, name: str) -> float:
    """F1 of firing on fresh random texts."""
    rule, plant = RULES[name]
    rng, predicted, true = random.Random(99), [], []
    for _ in range(40):
        ids = random_text(rng, plant)
        tokens = [TEXTS[token].strip(" ") for token in ids]
        true += [rule(tokens, at) for at in range(len(tokens))]
        predicted += [0.0] * len(ids) if graph is None else graph.predict([TEXTS[token] for token in ids])
    return f1(predicted, true)


def ends(graph: NeuronGraph) -> set[tuple[str, ...]]:
    """Paths of the trie that predicts, from the activating token to each end."""
    rows = {row["node"]: row for row in graph.nodes().filter(pl.col("trie") == "match").iter_rows(named=True)}
    found = set()
    for row in rows.values():
        if row["kind"] == "end":
            path, at = [], rows[row["parent"]]
            while at["kind"] != "root":
                path.append(f"{at['kind']} {at['token']}")
                at = rows[at["parent"]]
            found.add(tuple(reversed(path)))
    return found


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_recovered(built: dict[str, BuiltGraph], name: str) -> None:
    graph = built[name].graph
    assert graph is not None, built[name].reason
    assert ends(graph) == PATHS[name]
    assert score(graph, name) >= 0.95


def test_a_gap_reaches_farther_than_windows_have_shown(built: dict[str, BuiltGraph]) -> None:
    graph = built["any distance"].graph
    assert graph is not None
    spread = [" ant", *[" bee"] * 40, " cat"]
    assert graph.predict(spread) == [*[0.0] * 41, 1.0]
    assert graph.predict([" ant", " bee", " bee", " cat"]) == [0.0, 0.0, 0.0, 1.0]
    assert graph.predict([" bee", " cat"]) == [0.0, 0.0]


def test_a_silencer_is_known_with_its_reach(built: dict[str, BuiltGraph]) -> None:
    graph = built["a negative context"].graph
    assert graph is not None
    negative = graph.nodes().filter(trie="match", kind="negative")
    assert negative.select("token", "reach").rows() == [("not", 3)]
    assert graph.predict([" not", " bee", " ant", " bee", " bee"]) == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_two_behaviours_are_drawn_apart(built: dict[str, BuiltGraph]) -> None:
    graph = built["two behaviours"].graph
    assert graph is not None
    parts = [sorted(part) for part in networkx.weakly_connected_components(graph.drawing())]
    assert sorted(parts) == [["1:token:bee", "2:token:ant"], ["1:token:owl"]]


def test_graphs_of_other_units_score_nothing(built: dict[str, BuiltGraph]) -> None:
    alone = ("a token", "at the start", "any case", "nul after emoji")
    others = dict(zip(alone, [*alone[1:], alone[0]], strict=True))
    scores = [score(built[others[name]].graph, name) for name in alone]
    assert max(scores) < 0.05


def test_activating_tokens_alone_score_less(built: dict[str, BuiltGraph]) -> None:
    names = ("a bigram", "any distance", "at the start", "nul after emoji")
    for name in names:
        graph = built[name].graph
        assert graph is not None
        rows = graph.nodes()
        roots = rows.filter(pl.col("depth") <= 1, pl.col("kind") != "end")
        last = roots.group_by("trie").agg(pl.col("node").max()).rows()
        end = [{"trie": trie, "node": 999, "parent": node, "depth": 2, "kind": "end", "token": "", "importance": 0.0,
                "value": 1.0, "reach": None} for trie, node in last]  # fmt: skip
        tokens_alone = NeuronGraph.of_nodes(pl.concat([roots, pl.DataFrame(end, schema=rows.schema)]))
        assert score(tokens_alone, name) < score(graph, name) - 0.2


def test_the_papers_alone_do_not_see_gaps_starts_and_silencers() -> None:
    names = ("any distance", "at the start", "a negative context")
    reader = PlantedUnits(*(RULES[name][0] for name in names))
    examples = [windows_of(unit, *RULES[name]) for unit, name in enumerate(names)]
    for name, one in zip(names, build_graphs(reader, examples, PAPERS, NoSubstitutes()), strict=True):
        assert score(one.graph, name) < 0.9


def test_a_start_token_is_no_token_of_the_text() -> None:
    """The unit fires right after the start token; texts to predict on have none."""
    rule: Rule = lambda t, i: float(t[i] == "ant" and i == 1 and t[0] == "<pad>")  # noqa: E731
    reader = PlantedUnits(rule)
    reader.start_id, reader.padding_id = 0, len(TEXTS) - 1
    plain = windows_of(0, lambda t, i: float(t[i] == "ant" and i == 0), ["ant"])
    (one,) = build_graphs(reader, [plain], GraphSettings(), None)
    assert one.graph is not None
    assert ends(one.graph) == {("token ant", "start ")}
    (without,) = build_graphs(reader, [plain], GraphSettings(start_token=False), None)
    assert (without.graph, without.reason) == (None, "no pivot of its windows has an activation above 0")


def test_rows_give_the_same_graph(built: dict[str, BuiltGraph]) -> None:
    for one in built.values():
        assert one.graph is not None
        rows = one.graph.nodes()
        again = NeuronGraph.of_nodes(rows.sample(fraction=1.0, shuffle=True, seed=3))
        assert again.nodes().equals(rows)
