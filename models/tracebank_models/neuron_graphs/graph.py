"""The executable graph of a unit: what it predicts of tokens, its rows, and how it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import networkx
import polars as pl

from .drawing import drawn, trie_of_rows
from .token_normalization import normalized_token
from .trie import ANY, START, Node, Path, Step, merge_any, trie_of, walk

Rule = Literal["longest", "maximum", "first"]
"""Which of the ends on the way to the left is answered: the longest context's (released code), the strongest (paper),
the shortest context's (OpenAI's variant)."""

NODE_COLUMNS: Final[dict[str, pl.DataType]] = {
    "trie": pl.String(),
    "node": pl.Int32(),
    "parent": pl.Int32(),
    "depth": pl.Int32(),
    "kind": pl.String(),
    "token": pl.String(),
    "importance": pl.Float64(),
    "value": pl.Float64(),
    "reach": pl.Int32(),
}
"""A row of `NeuronGraph.nodes`. `trie` is `match`, which predicts, or `draw`, which has no `any`."""


class _Row(NamedTuple):
    trie: str
    node: int
    parent: int | None
    depth: int
    kind: str
    token: str
    importance: float
    value: float
    reach: int | None


class Match(NamedTuple):
    """An end that some tokens lead to."""

    span: int
    """Tokens from the activating one to the leftmost that is needed; one more where the text has to begin there."""
    node: Node
    value: float


class NeuronGraph:
    """A unit's graph."""

    def __init__(self, match: Node, draw: Node, *, normalize_tokens: bool = True) -> None:
        """Take the two tries of a unit: the one that predicts, and the one without `any` that is drawn."""
        self.match, self.draw, self.normalize_tokens = match, draw, normalize_tokens

    @classmethod
    def of_paths(cls, paths: Sequence[Path], *, normalize_tokens: bool = True) -> NeuronGraph:
        """The graph of paths, in which the order decides whose value stays where two end at one node."""
        match = trie_of(paths)
        merge_any(match)
        named = [Path([step for step in path.steps if step.kind != "any"], path.end) for path in paths]
        return cls(match, trie_of(named), normalize_tokens=normalize_tokens)

    def predict(self, tokens: Sequence[str], rule: Rule = "longest") -> list[float]:
        """Normalised values at each token; 0 where nothing matches.

        Args:
            tokens: Texts of tokens, from the beginning of a text, without a start token.
            rule: See `Rule`.

        Raises:
            ValueError: The rule is not known.
        """
        if rule not in ("longest", "maximum", "first"):
            raise ValueError(f"rule: {rule!r} is not allowed; allowed: longest, maximum, first")
        known = self.normalized(tokens)
        return [_answer(self.matches(known, at), rule) for at in range(len(known))]

    def normalized(self, tokens: Sequence[str]) -> list[str]:
        """Tokens as this graph holds them."""
        return [normalized_token(token) for token in tokens] if self.normalize_tokens else list(tokens)

    def matches(self, tokens: Sequence[str], position: int) -> list[Match]:
        """Ends that `normalized` tokens up to a position lead to."""
        tops = (self.match.children.get(key) for key in (("token", tokens[position], 0), ANY.key))
        return [match for top in tops if top is not None for match in _descend(top, tokens, position, position)]

    def nodes(self) -> pl.DataFrame:
        """A row a node of each trie, and a row of kind `end` where a path may end: see `NODE_COLUMNS`.

        Equal graphs have equal rows, in whatever order their paths came.
        """
        rows = [row for name in ("match", "draw") for row in _rows(name, getattr(self, name))]
        return pl.DataFrame(rows, schema=NODE_COLUMNS, orient="row")

    @classmethod
    def of_nodes(cls, frame: pl.DataFrame, *, normalize_tokens: bool = True) -> NeuronGraph:
        """The graph of the rows of `nodes`, in any order."""
        tries = {
            name: trie_of_rows(_Row(**row) for row in frame.filter(trie=name).sort("node").iter_rows(named=True))
            for name in ("match", "draw")
        }
        return cls(tries["match"], tries["draw"], normalize_tokens=normalize_tokens)

    def drawing(self) -> networkx.DiGraph:
        """The graph to look at: equal tokens at equal depth are one; parts that do not hang together are behaviours.

        Nodes have token, kind (`activating`, `context`, `gap`, `start` or `negative`), depth, importance, value and
        `ends`, which says whether a path may end there; edges go from the context to the right.
        """
        shown, drawing = drawn(self.draw), networkx.DiGraph()
        drawing.add_nodes_from(shown.nodes.items())
        drawing.add_edges_from(shown.edges)
        return drawing


def _answer(matches: Sequence[Match], rule: Rule) -> float:
    if not matches:
        return 0.0
    if rule == "maximum":
        return max(match.value for match in matches)
    return (max if rule == "longest" else min)(matches, key=lambda match: match.span).value


def _descend(node: Node, tokens: Sequence[str], position: int, at: int) -> Iterator[Match]:
    """Ends at or below a node that has matched the token `at`."""
    children = node.children
    if node.end is not None and not _silenced(node, tokens, position):
        yield Match(position - at + 1, node, node.end)
    if at == 0:
        start = children.get(START.key)
        if start is not None and start.end is not None and not _silenced(start, tokens, position):
            yield Match(position + 2, start, start.end)
        return
    below = children.get(("token", tokens[at - 1], 0)) or children.get(ANY.key)
    if below is not None:
        yield from _descend(below, tokens, position, at - 1)
    for child in children.values():
        if child.step.kind == "gap":
            found = _nearest(child.step, tokens, at)
            if found is not None:
                yield from _descend(child, tokens, position, found)


def _nearest(step: Step, tokens: Sequence[str], before: int) -> int | None:
    """Where a token stands last within its reach."""
    places = range(before - 1, max(-1, before - 1 - step.reach), -1)
    return next((at for at in places if tokens[at] == step.token), None)


def _silenced(node: Node, tokens: Sequence[str], position: int) -> bool:
    return any(
        _nearest(child.step, tokens, position) is not None
        for child in node.children.values()
        if child.step.kind == "negative"
    )


def _rows(name: str, root: Node) -> Iterator[tuple[object, ...]]:
    numbers: dict[int, int] = {}
    number = 0
    for node, parent, depth in walk(root):
        step = node.step
        numbers[id(node)] = own = number
        above = None if parent is None else numbers[id(parent)]
        reach = step.reach or None
        yield name, own, above, depth, step.kind, step.token, step.importance, step.value, reach
        number += 1
        if node.end is not None:
            yield name, number, own, depth + 1, "end", "", 0.0, node.end, None
            number += 1
