"""A graph in words, as an explanation of its unit: `fires on "import" after "from" … (1.0)`."""

from __future__ import annotations

import json
from typing import Final

from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.trie import Node, walk

NO_GRAPH: Final = "has no graph"


def told(graph: NeuronGraph | None, most: int = 8) -> str:
    """The strongest ends of a graph, those of shorter contexts first where they are as strong.

    Args:
        graph: A unit's; None where it has none.
        most: Ends that are told.
    """
    if graph is None:
        return NO_GRAPH
    parents = {id(node): (node, parent) for node, parent, _ in walk(graph.match)}
    ends = [(node.end, _way(node, parents)) for node, _, _ in walk(graph.match) if node.end is not None]
    ends.sort(key=lambda one: (-one[0], len(one[1]), one[1]))
    listed = "; ".join(f"{way} ({value:.2g})" for value, way in ends[:most])
    more = f"; and {len(ends) - most} more" if len(ends) > most else ""
    return f"fires on {listed}{more}"


def _way(node: Node, parents: dict[int, tuple[Node, Node | None]]) -> str:
    """What stands before an activating token, as it is read, left to right."""
    context: list[str] = []
    here: Node | None = node
    while here is not None and here.step.kind != "root":
        context.append(_step(here))
        here = parents[id(here)][1]
    *before, activating = context
    silent = [_step(child) for child in node.children.values() if child.step.kind == "negative"]
    return f"{activating}{' after ' + ' '.join(before) if before else ''}{''.join(f' {one}' for one in silent)}"


def _step(node: Node) -> str:
    step = node.step
    quoted = json.dumps(step.token, ensure_ascii=False)
    if step.kind == "any":
        return "…"
    if step.kind == "start":
        return "the beginning"
    if step.kind == "gap":
        return f"{quoted} within {step.reach}"
    return f"unless {quoted} within {step.reach}" if step.kind == "negative" else quoted
