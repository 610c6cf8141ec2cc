"""How a graph is drawn: nodes, edges and DOT, out of its trie; neither a frame nor a library of graphs is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .trie import Kind, Node, Step, walk

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
_RED, _BLUE = "0.0", "0.6"
"""Hues of activating tokens and of their context."""


class NodeRow(Protocol):
    """A row of `NeuronGraph.nodes`."""

    @property
    def node(self) -> int: ...  # noqa: D102
    @property
    def parent(self) -> int | None: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def token(self) -> str: ...  # noqa: D102
    @property
    def importance(self) -> float: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def reach(self) -> int | None: ...  # noqa: D102


@dataclass(slots=True)
class Drawing:
    """Nodes by name, with token, kind, depth, importance, value, reach and ends; edges lead from the context on."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[tuple[str, str], None] = field(default_factory=dict)

    def printable(self) -> Drawing:
        """With characters that XML does not allow, NUL among them, written as `\\uXXXX`."""
        nodes = {escaped(name): {**fields, "token": escaped(fields["token"])} for name, fields in self.nodes.items()}
        return Drawing(nodes, {(escaped(source), escaped(target)): None for source, target in self.edges})

    def dot(self) -> str:
        """The papers' picture: context in blue left of activating tokens in red, stronger ones darker, ends in bold."""
        shown = self.printable()
        lines = ["digraph {", "  rankdir=LR;", '  node [style="filled,rounded", shape=box];']
        lines += [f"  {_quoted(name)} [{_looks(fields)}];" for name, fields in shown.nodes.items()]
        lines += [f"  {_quoted(source)} -> {_quoted(target)};" for source, target in shown.edges]
        return "\n".join([*lines, "}", ""])


def trie_of_rows(rows: Iterable[NodeRow]) -> Node:
    """The trie of the rows of `NeuronGraph.nodes` of one of them, parents first."""
    nodes: dict[int, Node] = {}
    for row in rows:
        if row.kind == "end" and row.parent is not None:
            nodes[row.parent].end = row.value
            continue
        kind: Kind = row.kind  # type: ignore[assignment]
        step = Step(kind, row.token, row.importance, row.value, row.reach or 0)
        nodes[row.node] = Node(step) if row.parent is None else nodes[row.parent].child(step)
    return nodes[0] if nodes else Node(Step("root"))


def drawn(root: Node) -> Drawing:
    """The trie to look at: equal tokens at equal depth are one; parts that do not hang together are behaviours."""
    found = Drawing()
    names: dict[int, str] = {}
    for node, parent, depth in walk(root):
        if parent is None:
            continue
        step = node.step
        name = f"{depth}:{step.kind}:{step.token}"
        names[id(node)] = name
        kind = {1: "activating"}.get(depth, "context") if step.kind == "token" else step.kind
        seen = found.nodes.get(name, {"importance": 0.0, "value": 0.0, "ends": False, "reach": 0})
        found.nodes[name] = {
            "token": step.token,
            "kind": kind,
            "depth": depth,
            "importance": max(seen["importance"], step.importance),
            "value": max(seen["value"], step.value),
            "reach": max(seen["reach"], step.reach),
            "ends": seen["ends"] or node.end is not None,
        }
        if depth > 1:
            found.edges[name, names[id(parent)]] = None
    return found


def escaped(text: str) -> str:
    """Text with what XML does not allow as `\\uXXXX`, and backslashes doubled."""
    return _NOT_IN_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\\", "\\\\"))


def _looks(fields: dict[str, Any]) -> str:
    active = fields["kind"] == "activating"
    strength = min(1.0, max(0.0, fields["value"] if active else fields["importance"]))
    label = {"start": "(start of text)"}.get(fields["kind"], fields["token"])
    label = {"gap": f"{label} (within {fields['reach']})", "negative": f"not {label}"}.get(fields["kind"], label)
    width = 3 if fields["ends"] else 1
    hue = _RED if active else _BLUE
    return f'label={_quoted(label)}, fillcolor="{hue} {strength:.3f} 1.0", penwidth={width}'


def _quoted(text: str) -> str:
    written = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{written}"'
