"""What the graphs of many units predict of one text at once: the answers of `NeuronGraph.predict`, level by level.

All units and tokens descend together, a step of the tries at a time, so that a question costs by what matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.neuron_graphs.token_normalization import normalized_token

Ints = NDArray[np.int64]
NODES: Final = ("feature", "node", "parent", "kind", "token", "value", "reach")
"""What is read of `NODE_COLUMNS`, and the number of the unit."""
_ROOT: Final = "root"


class _Children(NamedTuple):
    """Children of one kind, of nodes in their order."""

    first: Ints
    """Of each node, (nodes,)."""
    children: Ints
    """How many each node has, (nodes,)."""
    node: Ints
    token: Ints
    reach: Ints


class _Front(NamedTuple):
    """Descents that have come to one level."""

    node: Ints
    position: Ints
    """Of the token that is asked about."""
    at: Ints
    """Of the token that the node has matched."""
    path: Ints
    """Which branch was taken at each level, in the order in which a descent would take them: (descents, levels)."""

    def below(self, which: Ints, node: Ints, at: Ints, branch: Ints | int) -> _Front:
        """Go on to other nodes."""
        step = np.broadcast_to(np.asarray(branch, np.int64), which.shape)[:, None]
        return _Front(node, self.position[which], at, np.concatenate([self.path[which], step], axis=1))


class _Text(NamedTuple):
    """A text, by numbers of tokens; -1 is one that no graph knows."""

    tokens: Ints
    places: Ints
    """Of known tokens token times length plus position, sorted."""

    def nearest(self, token: Ints, before: Ints, reach: Ints) -> Ints:
        """Where tokens stand last before places, within reaches; -1 where they do not."""
        length = len(self.tokens)
        if not self.places.size:
            return np.full(token.shape, -1)
        found = self.places[np.maximum(np.searchsorted(self.places, token * length + before) - 1, 0)] - token * length
        return np.where((found < before) & (found >= np.maximum(before - reach, 0)), found, -1)


class ManyGraphs:
    """The tries that predict, of many units."""

    def __init__(self, nodes: pl.DataFrame, *, normalize_tokens: bool = True) -> None:
        """Take graphs.

        Args:
            nodes: `NeuronGraph.nodes` of all units, with the column feature, in any order; the trie `match` is read.
            normalize_tokens: Whether graphs hold tokens as `normalized_token` writes them.
        """
        if "trie" in nodes.columns:
            nodes = nodes.filter(trie="match")
        nodes = nodes.select(NODES).sort("feature", "node").with_row_index("own")
        above = nodes.select("feature", pl.col("node").alias("parent"), pl.col("own").alias("above"))
        nodes = nodes.join(above, on=["feature", "parent"], how="left", maintain_order="left")
        self._normalize, self._count = normalize_tokens, nodes.height
        self._tokens = nodes.select(pl.col("token").unique(maintain_order=True)).with_row_index("number")
        number = nodes.join(self._tokens, on="token", how="left", maintain_order="left")["number"]
        self._feature = nodes["feature"].to_numpy().astype(np.int64)
        self.features = np.unique(self._feature)
        """Numbers of the units."""
        self._parent = nodes["above"].fill_null(0).to_numpy().astype(np.int64)
        self._token = number.to_numpy().astype(np.int64)
        self._reach = nodes["reach"].fill_null(0).to_numpy().astype(np.int64)
        self._kind = nodes["kind"].to_numpy()
        ends = np.flatnonzero(self._kind == "end")
        self._end = np.full(self._count, np.nan)
        self._end[self._parent[ends]] = nodes["value"].to_numpy()[ends]
        self._any, self._start = self._only("any"), self._only("start")
        self._gaps, self._negatives = self._children("gap"), self._children("negative")
        exact = np.flatnonzero(self._kind == "token")
        keys = self._key(self._parent[exact], self._token[exact])
        order = np.argsort(keys, kind="stable")
        self._exact_keys, self._exact = keys[order], exact[order]

    def predicted(self, tokens: Sequence[str]) -> pl.DataFrame:
        """Values at the tokens of a text, from its beginning, by the rule `longest`.

        Returns:
            Columns feature, position and value, sorted; what is not there is 0.
        """
        text = self._read(tokens)
        front = self._tops(text)
        found: list[tuple[_Front, Ints, NDArray[np.float64]]] = []
        while front.node.size:
            found += self._ends(front, text)
            front = self._steps(front, text)
        return self._answers(found)

    def _read(self, tokens: Sequence[str]) -> _Text:
        known = [normalized_token(token) for token in tokens] if self._normalize else list(tokens)
        numbers = pl.DataFrame({"token": known}, schema={"token": pl.String}).join(
            self._tokens, on="token", how="left", maintain_order="left"
        )
        ids = numbers["number"].cast(pl.Int64).fill_null(-1).to_numpy().astype(np.int64)
        at = np.flatnonzero(ids >= 0)
        return _Text(ids, np.sort(ids[at] * len(ids) + at))

    def _tops(self, text: _Text) -> _Front:
        """Every token below the roots, where it stands, and `any`, which stands everywhere."""
        top = self._kind[self._parent] == _ROOT
        length = len(text.tokens)
        named = np.flatnonzero(top & (self._kind == "token"))
        low, high = (np.searchsorted(text.places, (self._token[named] + one) * length) for one in (0, 1))
        named, places = np.repeat(named, high - low), text.places[_ranges(low, high - low)]
        wild = np.flatnonzero(top & (self._kind == "any"))
        node = np.concatenate([named, np.repeat(wild, length)])
        position = np.concatenate([places - self._token[named] * length, np.tile(np.arange(length), wild.size)])
        branch = np.repeat([0, 1], [named.size, node.size - named.size])
        return _Front(node, position, position, branch[:, None])

    def _ends(self, front: _Front, text: _Text) -> list[tuple[_Front, Ints, NDArray[np.float64]]]:
        """Descents that may end where they are, or at the beginning of the text, with spans and values."""
        found = []
        starts = np.where(front.at == 0, self._start[front.node], -1)
        for branch, node, more in ((0, front.node, 1), (1, starts, 2)):
            which = np.flatnonzero(node >= 0)
            which = which[~np.isnan(self._end[node[which]])]
            which = which[~self._silenced(node[which], front.position[which], text)]
            first = front.at[which] if branch == 0 else np.zeros(which.size, np.int64)
            ended = front.below(which, node[which], first, branch)
            found.append((ended, ended.position - first + more, self._end[node[which]]))
        return found

    def _steps(self, front: _Front, text: _Text) -> _Front:
        """Descents a token further: by the token itself or else by `any`, and by gaps."""
        inside = np.flatnonzero(front.at > 0)
        node, at = front.node[inside], front.at[inside]
        near = self._child(node, text.tokens[at - 1])
        near = np.where(near >= 0, near, self._any[node])
        there = np.flatnonzero(near >= 0)
        direct = front.below(inside[there], near[there], at[there] - 1, 1)
        owner, child, branch = _expanded(self._gaps, node)
        place = text.nearest(self._gaps.token[child], at[owner], self._gaps.reach[child])
        seen = np.flatnonzero(place >= 0)
        far = front.below(inside[owner[seen]], self._gaps.node[child[seen]], place[seen], branch[seen] + 2)
        return _Front(*(np.concatenate(parts) for parts in zip(direct, far, strict=True)))

    def _silenced(self, node: Ints, position: Ints, text: _Text) -> NDArray[np.bool_]:
        owner, child, _ = _expanded(self._negatives, node)
        place = text.nearest(self._negatives.token[child], position[owner], self._negatives.reach[child])
        return np.bincount(owner[place >= 0], minlength=node.size) > 0

    def _answers(self, found: list[tuple[_Front, Ints, NDArray[np.float64]]]) -> pl.DataFrame:
        depth = max((front.path.shape[1] for front, _, _ in found), default=0)
        none = np.empty(0, np.int64)
        # A descent that has ended comes before those that go on, as -1 before any branch.
        paths = [
            np.pad(front.path, ((0, 0), (0, depth - front.path.shape[1])), constant_values=-1) for front, _, _ in found
        ]
        feature = np.concatenate([none, *(self._feature[front.node] for front, _, _ in found)])
        position = np.concatenate([none, *(front.position for front, _, _ in found)])
        span = np.concatenate([none, *(one for _, one, _ in found)])
        value = np.concatenate([np.empty(0), *(one for _, _, one in found)])
        path = np.concatenate([np.empty((0, depth), np.int64), *paths])
        order = np.lexsort((*path.T[::-1], -span, position, feature))
        rows = pl.DataFrame({"feature": feature, "position": position, "value": value})[order]
        return rows.unique(["feature", "position"], keep="first", maintain_order=True)

    def _key(self, parent: Ints, token: Ints) -> Ints:
        return parent * (self._tokens.height + 1) + token + 1

    def _child(self, parent: Ints, token: Ints) -> Ints:
        if not self._exact.size:
            return np.full(parent.shape, -1)
        keys = self._key(parent, token)
        at = np.minimum(np.searchsorted(self._exact_keys, keys), self._exact.size - 1)
        return np.where((self._exact_keys[at] == keys) & (token >= 0), self._exact[at], -1)

    def _only(self, kind: str) -> Ints:
        """The one child of a kind, of each node; -1 where there is none."""
        found = np.full(self._count, -1)
        own = np.flatnonzero(self._kind == kind)
        found[self._parent[own]] = own
        return found

    def _children(self, kind: str) -> _Children:
        own = np.flatnonzero(self._kind == kind)
        own = own[np.argsort(self._parent[own], kind="stable")]
        count = np.bincount(self._parent[own], minlength=self._count)
        return _Children(np.cumsum(count) - count, count, own, self._token[own], self._reach[own])


def _expanded(children: _Children, node: Ints) -> tuple[Ints, Ints, Ints]:
    """A row a child: which of the nodes it is of, its place among the children, and its number among its siblings."""
    count = children.children[node]
    owner = np.repeat(np.arange(node.size), count)
    child = _ranges(children.first[node], count)
    return owner, child, child - children.first[node][owner]


def _ranges(first: Ints, length: Ints) -> Ints:
    """Numbers of ranges, one range after the other."""
    ends = np.cumsum(length)
    return np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(first - ends + length, length)
