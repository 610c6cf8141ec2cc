"""Neuron to Graph as the papers describe it, one unit and one text at a time: what the fast build is compared with.

Only settings, the cutting of texts into words and the substitutes are shared with it. Every forward pass is a whole one
of the whole model: 4 prefixes, a text and its L masks, or the variants of a text at once. Nothing beyond the papers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from tracebank_models.features.sparse_coder import encoded
from tracebank_models.language_model.hooks import evaluating, watched
from tracebank_models.neuron_graphs.build import build_graphs
from tracebank_models.neuron_graphs.graph import NODE_COLUMNS
from tracebank_models.neuron_graphs.settings import PAPERS, RATIO_DIGITS, VALUE_DIGITS, GraphSettings
from tracebank_models.neuron_graphs.units import ModelUnits
from tracebank_models.neuron_graphs.windows import UnitWindows, Window
from tracebank_models.neuron_graphs.words import Substitutes, chosen, words

IGNORE: Final = "**IGNORE**"
PREFIXES_AT_ONCE: Final = 4

Tree = dict[Any, Any]
"""By token or `IGNORE` what is further left; `None` holds (importance, value), and `()` the value of an end."""
Values = NDArray[np.float64]


@dataclass
class SlowUnit:
    """What the loop makes of a unit."""

    match: Tree = field(default_factory=dict)
    draw: Tree = field(default_factory=dict)


class SlowLoop:
    """The loop over the units of a site of a model."""

    def __init__(self, units: ModelUnits, settings: GraphSettings, substitutes: Substitutes) -> None:
        """Take a model; its dictionary, where there is one, reads the whole of each output."""
        self.units, self.settings, self.substitutes = units, settings, substitutes
        self.start = [] if units.start_id is None or not settings.start_token else [units.start_id]
        self.forwarded = 0

    def build(self, one: UnitWindows) -> SlowUnit:
        """Make the graph of one unit."""
        made = SlowUnit()
        for window in one.windows:
            self._add_window(made, one, window)
        _merge(made.match)
        return made

    def _run(self, rows: Sequence[Sequence[int]], unit: int) -> Values:
        """Values of a unit at every token, padded on the right."""
        length = max(map(len, rows))
        ids = torch.tensor([[*row, *[self.units.padding_id] * (length - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
        self.forwarded += ids.numel()
        model, tap = self.units.model, self.units.site.tap
        with evaluating(model), watched(model, {"site": tap}) as seen:
            model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)
        codes = encoded(self.units.site.name, self.units.coder, seen["site"].flatten(0, 1)).reshape(*ids.shape, -1)
        return codes[:, :, unit].cpu().numpy().astype(np.float64)

    def _add_window(self, made: SlowUnit, one: UnitWindows, window: Window) -> None:
        first, unit = len(self.start), one.unit
        full = float(self._run([[*self.start, *window.ids]], unit)[0, first + window.pivot])
        if full <= 0:
            return
        context, largest = self._pruned(window, unit, full)
        if largest <= 0:
            return
        ids, pivot = context + self._rest(window), len(context) - 1
        values, importance = self._measured(ids, unit)
        scaled = np.round(values * (full / largest) / one.maximum, VALUE_DIGITS)
        marked = self._add(made, ids, scaled, importance, {})
        for new, where in self._varied(ids, pivot, values, importance, unit):
            values_new, importance_new = self._measured(new, unit)
            scaled_new = np.round(values_new * (full / largest) / one.maximum, VALUE_DIGITS)
            inherited = {
                j: {k for k, old in enumerate(where) if set(old) & set().union(*(marked.get(at, set()) for at in own))}
                for j, own in enumerate(where)
            }
            self._add(made, new, scaled_new, importance_new, inherited)

    def _pruned(self, window: Window, unit: int, full: float) -> tuple[list[int], float]:
        settings, before = self.settings, list(window.ids[: window.pivot + 1])
        longest = min(len(before), settings.cutoff)
        lengths = list(range(settings.skip_interval, longest + 1, settings.skip_interval)) or [len(before)]
        best: tuple[list[int], float] = (before, 0.0)
        for at in range(0, len(lengths), PREFIXES_AT_ONCE):
            some = [before[-length:] for length in lengths[at : at + PREFIXES_AT_ONCE]]
            found = self._run([self.start + one for one in some], unit)
            for context, padded in zip(some, found, strict=True):
                row = padded[: len(self.start) + len(context)]
                best = context, float(row.max())
                strongest = int(row.argmax()) == len(row) - 1
                if strongest and round(float(row[-1]) / full, RATIO_DIGITS) > settings.prune_ratio:
                    return best
        return best

    def _rest(self, window: Window) -> list[int]:
        found: list[int] = []
        last = window.ids[window.pivot]
        for token in window.ids[window.pivot + 1 :][: self.settings.tokens_after]:
            if re.search(self.settings.sentence_end, self.units.texts[last]):
                break
            found.append(token)
            last = token
        return found

    def _measured(self, ids: list[int], unit: int) -> tuple[Values, Values]:
        """Values of a text, and importances (masked token, token), from a batch of the text and its masks."""
        whole, first = [*self.start, *ids], len(self.start)
        masks = ([*whole[:k], self.units.padding_id, *whole[k + 1 :]] for k in range(len(whole)))
        found = self._run([whole, *masks], unit)
        plain, masked = found[0, first:], found[1 + first :, first:]
        with np.errstate(divide="ignore", invalid="ignore"):
            importance = np.where(plain == 0, 0.0, 1 - masked / plain)
        return plain, np.round(importance, RATIO_DIGITS).astype(np.float64)

    def _varied(
        self, ids: list[int], pivot: int, values: Values, importance: Values, unit: int
    ) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Variants that are kept, with the old positions of each of their tokens."""
        settings = self.settings
        if settings.substitutes == 0 or values[pivot] <= 0:
            return
        tried: dict[tuple[int, ...], tuple[list[list[int]], list[int]]] = {}
        for word in words(tuple(ids), self.units.texts):
            span = list(range(word.first, word.last))
            if not any(at <= pivot and importance[at, pivot] >= settings.augment_importance for at in span):
                continue
            for other in chosen(word.masked.word, self.substitutes([word.masked])[0], settings.substitutes):
                new = word.replaced(tuple(ids), other, self.units.encode)
                added = len(new) - len(ids) + len(span)
                where = (
                    [[at] for at in range(word.first)] + [span] * added + [[at] for at in range(word.last, len(ids))]
                )
                if new != tuple(ids) and added and len(self.start) + len(new) <= self.units.context:
                    tried.setdefault(new, (where, [at for at, old in enumerate(where) if pivot in old]))
        if not tried:
            return
        first = len(self.start)
        found = self._run([[*self.start, *new] for new in tried], unit)
        for (new, (where, pivots)), row in zip(tried.items(), found, strict=True):
            strongest = max(float(row[first + at]) for at in pivots)
            if round(strongest / float(values[pivot]), RATIO_DIGITS) >= settings.substitute_ratio:
                yield list(new), where

    def _add(
        self, made: SlowUnit, ids: list[int], scaled: Values, importance: Values, inherited: dict[int, set[int]]
    ) -> dict[int, set[int]]:
        """Put the lines of a text into both tries; which positions were important to each activating token."""
        marked: dict[int, set[int]] = {}
        for j, value in enumerate(scaled.tolist()):
            if not value > self.settings.activation_threshold:
                continue
            own = {k for k in range(j + 1) if importance[k, j] > self.settings.importance_threshold}
            marked[j] = own
            line = []
            for k in range(j, -1, -1):
                named = k == j or k in own or k in inherited.get(j, set())
                token = _normal(self.units.texts[ids[k]], self.settings)
                line.append((token, (float(importance[k, j]), float(scaled[k]))) if named else (IGNORE, (0.0, 0.0)))
            while line[-1][0] == IGNORE:
                line.pop()
            for tree, some in ((made.match, line), (made.draw, [one for one in line if one[0] != IGNORE])):
                _insert(tree, some, value)
        return marked


def _normal(token: str, settings: GraphSettings) -> str:
    if settings.normalize_tokens and len(token) > 1:
        token = token.lower() if token.istitle() else token
        token = token.strip() if len(token) > 1 and any(letter.isalpha() for letter in token) else token
    return token


def _insert(tree: Tree, line: Sequence[tuple[str, tuple[float, float]]], value: float) -> None:
    for token, facts in line:
        tree = tree.setdefault(token, {None: facts})
    tree.setdefault((), value)


def _lines(tree: Tree) -> Iterator[tuple[list[tuple[str, tuple[float, float]]], float]]:
    """Every path below a node, to each of its ends."""
    if () in tree:
        yield [], tree[()]
    for token, below in list(tree.items()):
        if isinstance(token, str):
            for line, value in _lines(below):
                yield [(token, below[None]), *line], value


def _merge(tree: Tree) -> None:
    """From the root on: what continues a sibling of `IGNORE` is copied into it; siblings without an end go."""
    if IGNORE in tree:
        for token in [token for token in tree if isinstance(token, str) and token != IGNORE]:
            for line, value in list(_lines(tree[token])):
                if line:
                    _insert(tree[IGNORE], line, value)
            if () not in tree[token]:
                del tree[token]
    for token in [token for token in tree if isinstance(token, str)]:
        _merge(tree[token])


def slow_nodes(made: SlowUnit) -> pl.DataFrame:
    """The graph's rows, as `NeuronGraph.nodes` has them."""
    rows: list[tuple[Any, ...]] = []

    def add(name: str, tree: Tree, parent: int | None, depth: int, token: str, start: int) -> int:
        number = start
        kind = "root" if parent is None else "any" if token == IGNORE else "token"
        rows.append(
            (name, number, parent, depth, kind, "" if kind != "token" else token, *tree.get(None, (0.0, 0.0)), None)
        )
        after = number + 1
        if () in tree:
            rows.append((name, after, number, depth + 1, "end", "", 0.0, tree[()], None))
            after += 1
        named = [one for one in tree if isinstance(one, str)]
        for child in sorted(named, key=lambda one: (one != IGNORE, one)):
            after = add(name, tree[child], number, depth + 1, child, after)
        return after

    for name, tree in (("match", made.match), ("draw", made.draw)):
        add(name, tree, None, 0, "", 0)
    return pl.DataFrame(rows, schema=NODE_COLUMNS, orient="row")


def slow_predict(made: SlowUnit, tokens: Sequence[str], settings: GraphSettings, *, longest: bool) -> list[float]:
    """What the trie says of each token: the value of the longest context that ends, or the largest on the way."""
    known = [_normal(token, settings) for token in tokens]
    found = []
    for i in range(len(known)):
        tree, values = made.match, [0.0]
        for token in reversed(known[: i + 1]):
            if token not in tree and IGNORE not in tree:
                break
            tree = tree[token] if token in tree else tree[IGNORE]
            if () in tree:
                values.append(tree[()])
        found.append(values[-1] if longest else max(values))
    return found


def as_slow_loop(
    reader: ModelUnits, examples: Sequence[UnitWindows], settings: GraphSettings, substitutes: Substitutes
) -> int:
    """How many units have, byte for byte, the graph that the slow loop makes.

    Both compute in float64 on the processor, where no kernel's rounding shows: in float32 a value near a threshold may
    fall on either side of it, by the size of a batch.

    Args:
        reader: The units.
        examples: Windows of each.
        settings: What is beyond the papers is left out of both.
        substitutes: Of words.
    """
    papers = replace(
        PAPERS, start_token=settings.start_token, substitutes=settings.substitutes,
        activation_threshold=settings.activation_threshold, normalize_tokens=settings.normalize_tokens,
    )  # fmt: skip
    double = reader.in_double()
    slow, equal = SlowLoop(double, papers, substitutes), 0
    # Said to be cut, windows are read again, in float64 too.
    again = [replace(one, windows=[replace(window, truncated=True) for window in one.windows]) for one in examples]
    for one, built in zip(again, build_graphs(double, again, papers, substitutes), strict=True):
        made = slow.build(one)
        equal += not made.match if built.graph is None else built.graph.nodes().equals(slow_nodes(made))
    return equal
