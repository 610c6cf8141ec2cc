"""Graphs in the forms of other programs, read back."""

from __future__ import annotations

import io
import json

import networkx
import pytest

from tracebank_models.neuron_graphs.export import exported
from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.trie import ANY, START, Path, Step

SMILE = "\U0001f642"
GRAPH = NeuronGraph.of_paths(
    [
        Path([Step("token", "\x00", 1.0, 0.9), ANY, Step("token", SMILE, 0.8), Step("token", 'say "x"\n\\', 0.9)], 0.9),
        Path([Step("token", "b", 1.0, 0.6), Step("gap", SMILE, 0.8, reach=7)], 0.6),
        Path([Step("token", "b", 1.0, 0.7), START], 0.7),
    ]
)


def test_equal_tokens_at_equal_depth_are_one() -> None:
    drawn = GRAPH.drawing()
    assert sorted(drawn) == ["1:token:\x00", "1:token:b", "2:gap:" + SMILE, "2:start:", "2:token:" + SMILE,
                             '3:token:say "x"\n\\']  # fmt: skip
    assert drawn.nodes["2:token:" + SMILE]["kind"] == "context"
    assert drawn.nodes["1:token:b"]["kind"] == "activating"
    assert [name for name, ends in drawn.nodes(data="ends") if ends] == [
        '3:token:say "x"\n\\', "2:gap:" + SMILE, "2:start:"]  # fmt: skip
    twice = NeuronGraph.of_paths([Path([Step("token", "b"), Step("token", "a", 0.8)], 0.6),
                                  Path([Step("token", "c"), Step("token", "a", 0.9)], 0.7)]).drawing()  # fmt: skip
    assert sorted(twice.edges) == [("2:token:a", "1:token:b"), ("2:token:a", "1:token:c")]
    assert twice.nodes["2:token:a"]["importance"] == 0.9


def test_node_link_is_read_back_whole() -> None:
    again = networkx.node_link_graph(json.loads(exported(GRAPH, "node_link")), edges="edges")
    assert networkx.utils.graphs_equal(again, GRAPH.drawing())


def test_graphml_is_read_back_with_what_xml_does_not_allow_escaped() -> None:
    again = networkx.read_graphml(io.BytesIO(exported(GRAPH, "graphml").encode()))
    assert dict(again.nodes(data="token"))["1:token:\\u0000"] == "\\u0000"
    assert {token for _, token in again.nodes(data="token")} == {"\\u0000", "b", SMILE, "", 'say "x"\n\\\\'}
    assert again.number_of_edges() == GRAPH.drawing().number_of_edges()


def test_dot_has_a_line_a_node_and_quotes_what_has_to_be() -> None:
    lines = exported(GRAPH, "dot").splitlines()
    assert "\x00" not in "".join(lines)
    assert len(lines) == 4 + GRAPH.drawing().number_of_nodes() + GRAPH.drawing().number_of_edges()
    assert any('label="say \\"x\\"\\n\\\\\\\\"' in line and "penwidth=3" in line for line in lines)
    assert any(f'label="{SMILE} (within 7)"' in line for line in lines)
    assert any('label="(start of text)"' in line for line in lines)
    assert any('label="b", fillcolor="0.0 0.600 1.0", penwidth=1' in line for line in lines)


def test_other_forms_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^format: 'svg' is not allowed; allowed: node_link, graphml, dot$"):
        exported(GRAPH, "svg")  # type: ignore[arg-type]
