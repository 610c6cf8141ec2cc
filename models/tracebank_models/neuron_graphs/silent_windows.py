"""What windows teach in which a unit is silent: ends that are wrong too often go, tokens that silence it are learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .graph import NeuronGraph
from .settings import GraphSettings
from .shared_runs import Runs
from .trie import Node, Step, walk
from .windows import Ids, UnitWindows, Window, fitted


def drop_wrong_ends(graph: NeuronGraph, one: UnitWindows, texts: Sequence[str], settings: GraphSettings) -> None:
    """Drop the ends that decide wrongly on too large a share of the pivots that they decide on."""
    right: dict[int, int] = {}
    wrong: dict[int, int] = {}
    ends: dict[int, Node] = {}
    for counts, windows in ((right, fires(one, settings)), (wrong, one.silent)):
        for window in windows:
            matches = graph.matches(graph.normalized([texts[token] for token in window.ids]), window.pivot)
            if matches:
                node = max(matches, key=lambda match: match.span).node
                ends[id(node)] = node
                counts[id(node)] = counts.get(id(node), 0) + 1
    bad = {key for key in ends if right.get(key, 0) < settings.end_precision * (right.get(key, 0) + wrong.get(key, 0))}
    if bad:
        _drop(graph, bad)


def _drop(graph: NeuronGraph, bad: set[int]) -> None:
    """Take ends, by the identity of their nodes, out of both tries."""
    kept, gone = set(), set()
    names: dict[int, tuple[str, ...]] = {}
    for node, parent, _ in walk(graph.match):
        above = names[id(parent)] if parent is not None else ()
        names[id(node)] = above if node.step.kind in ("root", "any") else (*above, node.step.token)
        if id(node) in bad:
            node.end = None
            gone.add(names[id(node)])
        elif node.end is not None:
            kept.add(names[id(node)])
    for named in gone - kept:
        if (drawn := _drawn(graph.draw, named)) is not None:
            drawn.end = None
    _without_dead_ends(graph.match)
    _without_dead_ends(graph.draw)


def _drawn(node: Node, named: tuple[str, ...]) -> Node | None:
    """The node of these tokens; None where they are put together from several paths, and are drawn nowhere."""
    for token in named:
        found = next((child for child in node.children.values() if child.step.token == token), None)
        if found is None:
            return None
        node = found
    return node


def fires(one: UnitWindows, settings: GraphSettings) -> list[Window]:
    """Windows at whose pivot the unit is active by the settings' threshold."""
    return [window for window in one.windows if window.activation > settings.activation_threshold * one.maximum]


def _without_dead_ends(node: Node) -> bool:
    """Remove what leads to no end; whether anything is left."""
    for key, child in list(node.children.items()):
        if not _without_dead_ends(child):
            del node.children[key]
    return node.end is not None or bool(node.children)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A silent window on which a graph fires."""

    one: UnitWindows
    ids: Ids


def learn_silencers(
    runs: Runs, graphs: Mapping[int, NeuronGraph], examples: Sequence[UnitWindows], settings: GraphSettings
) -> None:
    """Find tokens that silence units and put them into their graphs as negative contexts.

    Each token before the pivot is masked in turn; where that alone wakes the unit, the token silences it.
    """
    texts = runs.reader.texts
    doubts = [
        _Doubt(one, window.ids[max(0, window.pivot + 1 - settings.cutoff) : window.pivot + 1])
        for one in examples
        if one.unit in graphs
        for window in (fitted(silent, runs.room, 0) for silent in one.silent)
        if graphs[one.unit].matches(graphs[one.unit].normalized([texts[at] for at in window.ids]), window.pivot)
    ]
    plain = runs.values([(doubt.ids, doubt.one.unit) for doubt in doubts])
    quiet = [
        doubt
        for doubt, values in zip(doubts, plain, strict=True)
        if len(doubt.ids) > 1 and values[-1] <= settings.activation_threshold * doubt.one.maximum
    ]
    for doubt, masked in zip(quiet, runs.masked([(one.ids, one.one.unit) for one in quiet]), strict=True):
        awake = masked[:-1, -1]
        at = int(awake.argmax())
        if awake[at] > settings.activation_threshold * doubt.one.maximum:
            _silence(graphs[doubt.one.unit], doubt, at, texts, settings)


def _silence(graph: NeuronGraph, doubt: _Doubt, at: int, texts: Sequence[str], settings: GraphSettings) -> None:
    """Put a negative context at every end that these tokens lead to, unless it would silence a window that fires."""
    tokens = graph.normalized([texts[token] for token in doubt.ids])
    step = Step("negative", tokens[at], reach=len(tokens) - 1 - at)
    for window in fires(doubt.one, settings):
        before = graph.normalized([texts[token] for token in window.ids[: window.pivot]])
        if step.token in before[-step.reach :]:
            return
    for match in graph.matches(tokens, len(tokens) - 1):
        known = next((child for child in match.node.children.values() if _is(child, step)), None)
        if known is not None and known.step.reach < step.reach:
            del match.node.children[known.step.key]
        match.node.child(step)
    top = graph.draw.children.get(("token", tokens[-1], 0))
    if top is not None:
        top.child(step)


def _is(child: Node, step: Step) -> bool:
    return child.step.kind == "negative" and child.step.token == step.token
