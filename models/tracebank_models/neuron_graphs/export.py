"""Graphs for other programs: NetworkX's node-link JSON, GraphML and DOT."""

from __future__ import annotations

import io
import json
from typing import Final, Literal

import networkx

from .drawing import drawn, escaped
from .graph import NeuronGraph

Format = Literal["node_link", "graphml", "dot"]
FORMATS: Final[tuple[Format, ...]] = ("node_link", "graphml", "dot")


def exported(graph: NeuronGraph, form: Format) -> str:
    """A graph's drawing as text.

    Characters that XML does not allow, NUL among them, are written as `\\uXXXX` in GraphML and DOT.

    Raises:
        ValueError: The form is not known.
    """
    if form == "node_link":
        return json.dumps(networkx.node_link_data(graph.drawing(), edges="edges"), ensure_ascii=False)
    if form == "graphml":
        buffer = io.BytesIO()
        networkx.write_graphml(_printable(graph.drawing()), buffer)
        return buffer.getvalue().decode()
    if form == "dot":
        return drawn(graph.draw).dot()
    raise ValueError(f"format: {form!r} is not allowed; allowed: {', '.join(FORMATS)}")


def _printable(drawing: networkx.DiGraph) -> networkx.DiGraph:
    named = networkx.relabel_nodes(drawing, {name: escaped(name) for name in drawing})
    for _, fields in named.nodes(data=True):
        fields["token"] = escaped(fields["token"])
    return named
