"""Graphs for other programs: NetworkX's node-link JSON, GraphML and DOT."""

from __future__ import annotations

import io
import json
import re
from typing import Any, Final, Literal

import networkx

from .graph import NeuronGraph

Format = Literal["node_link", "graphml", "dot"]
FORMATS: Final[tuple[Format, ...]] = ("node_link", "graphml", "dot")

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
_RED, _BLUE = "0.0", "0.6"
"""Hues of activating tokens and of their context."""


def exported(graph: NeuronGraph, form: Format) -> str:
    """A graph's drawing as text.

    Characters that XML does not allow, NUL among them, are written as `\\uXXXX` in GraphML and DOT.

    Raises:
        ValueError: The form is not known.
    """
    drawn = graph.drawing()
    if form == "node_link":
        return json.dumps(networkx.node_link_data(drawn, edges="edges"), ensure_ascii=False)
    if form == "graphml":
        buffer = io.BytesIO()
        networkx.write_graphml(_printable(drawn), buffer)
        return buffer.getvalue().decode()
    if form == "dot":
        return _dot(_printable(drawn))
    raise ValueError(f"format: {form!r} is not allowed; allowed: {', '.join(FORMATS)}")


def _printable(drawn: networkx.DiGraph) -> networkx.DiGraph:
    named = networkx.relabel_nodes(drawn, {name: _escaped(name) for name in drawn})
    for _, fields in named.nodes(data=True):
        fields["token"] = _escaped(fields["token"])
    return named


def _escaped(text: str) -> str:
    return _NOT_IN_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\\", "\\\\"))


def _dot(drawn: networkx.DiGraph) -> str:
    """The papers' picture: context in blue left of activating tokens in red, stronger ones darker, ends in bold."""
    lines = ["digraph {", "  rankdir=LR;", '  node [style="filled,rounded", shape=box];']
    for name, fields in drawn.nodes(data=True):
        lines.append(f"  {_quoted(name)} [{_looks(fields)}];")
    lines += [f"  {_quoted(source)} -> {_quoted(target)};" for source, target in drawn.edges]
    return "\n".join([*lines, "}", ""])


def _looks(fields: dict[str, Any]) -> str:
    active = fields["kind"] == "activating"
    strength = min(1.0, max(0.0, fields["value"] if active else fields["importance"]))
    label = {"start": "(start of text)"}.get(fields["kind"], fields["token"])
    label = {"gap": f"{label} (within {fields['reach']})", "negative": f"not {label}"}.get(fields["kind"], label)
    width = 3 if fields["ends"] else 1
    hue = _RED if active else _BLUE
    return f'label={_quoted(label)}, fillcolor="{hue} {strength:.3f} 1.0", penwidth={width}'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
