"""Graphs of many units at once say what each of them says alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.many_graphs import ManyGraphs
from tracebank_models.neuron_graphs.trie import Node, Path, Step

UNITS = 6


def _step(chance: np.random.Generator, first: bool) -> Step:
    token = str(chance.choice(list("abc")))
    if first:
        return Step("token", token, 1, 1) if chance.random() < 0.8 else Step("any")
    kinds = (Step("token", token, 1, 1), Step("any"), Step("gap", token, 1, 1, int(chance.integers(1, 5))))
    return kinds[int(chance.choice(3, p=[0.5, 0.25, 0.25]))]


def _path(chance: np.random.Generator) -> Path:
    steps = [_step(chance, first=not number) for number in range(chance.integers(1, 6))]
    if chance.random() < 0.2:
        steps.append(Step("start"))
    return Path(steps, float(chance.random()))


def _silence(chance: np.random.Generator, node: Node) -> None:
    for child in list(node.children.values()):
        _silence(chance, child)
    if chance.random() < 0.15:
        node.child(Step("negative", str(chance.choice(list("abc"))), 1, 0, int(chance.integers(1, 4))))


def _graph(chance: np.random.Generator) -> NeuronGraph:
    graph = NeuronGraph.of_paths([_path(chance) for _ in range(chance.integers(1, 12))])
    for child in graph.match.children.values():
        _silence(chance, child)
    return NeuronGraph.of_nodes(graph.nodes())


def _nodes(graphs: dict[int, NeuronGraph]) -> pl.DataFrame:
    return pl.concat([graph.nodes().with_columns(feature=pl.lit(unit)) for unit, graph in graphs.items()])


@pytest.mark.parametrize("seed", range(40))
def test_many_say_what_each_says_alone(seed: int) -> None:
    chance = np.random.default_rng(seed)
    graphs = {unit: _graph(chance) for unit in range(UNITS)}
    many = ManyGraphs(_nodes(graphs).sample(fraction=1, shuffle=True, seed=seed))
    assert many.features.tolist() == list(range(UNITS))
    for length in (1, 3, 12):
        tokens = chance.choice(list("abcd"), length).tolist()
        found = many.predicted(tokens)
        dense = np.zeros((UNITS, length))
        dense[found["feature"].to_numpy(), found["position"].to_numpy()] = found["value"].to_numpy()
        expected = np.array([graphs[unit].predict(tokens) for unit in range(UNITS)])
        assert np.array_equal(dense, expected)
        assert length < 12 or expected.any(), "nothing was compared"


def test_tokens_are_normalised_where_the_graphs_are() -> None:
    graph = NeuronGraph.of_paths([Path([Step("token", "from", 1, 1)], 0.5)])
    nodes = _nodes({4: graph})
    assert ManyGraphs(nodes).predicted([" From", "x"]).rows() == [(4, 0, 0.5)]
    assert ManyGraphs(nodes, normalize_tokens=False).predicted([" From", "x"]).is_empty()


def test_no_graph_and_no_token_say_nothing() -> None:
    graph = NeuronGraph.of_paths([Path([Step("token", "a", 1, 1)], 0.5)])
    assert ManyGraphs(_nodes({0: graph}).clear()).predicted(["a"]).is_empty()
    assert ManyGraphs(_nodes({0: graph})).predicted([]).is_empty()
