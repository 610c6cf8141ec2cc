"""The graph of a unit as SVG: what it fires on at the right in red, what has to stand before it leftwards in blue.

Equal tokens at equal depth are drawn as one, as the papers do; parts that do not hang together are behaviours of
their own and stand apart. The stronger the fuller: the predicted share of the maximum, or the importance. A thick
border says that a path may end there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from tracebank.explorer.shading import visible
from tracebank.explorer.unit_reads import DrawnNode
from tracebank_models.neuron_graphs import drawing

MOST: Final = 60
"""Boxes that a drawing has unless all are asked for."""
WIDTH: Final = 860.0
"""Pixels that boxes without context are spread over."""
_LEVELS: Final = 5
"""Shades of a colour: `fire-1` ... and `after-1` ... of the style sheet."""
_CHARACTER, _HEIGHT, _ROW, _PART, _COLUMN, _PAD, _GAP = 7.9, 26.0, 34.0, 12.0, 44.0, 9.0, 8.0
_LONGEST: Final = 24
"""Characters of a label."""


@dataclass(slots=True)
class _Box:
    """Equal tokens at equal depth."""

    token: str
    kind: str
    """activating, context, gap, negative or start."""
    depth: int
    importance: float
    value: float
    reach: int
    ends: bool
    right: list[str] = field(default_factory=list)
    """Boxes that it stands before."""
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def fires(self) -> bool:
        """Whether it is what the unit fires on."""
        return self.kind == "activating"

    @property
    def label(self) -> str:
        """What is written in it."""
        if self.kind == "start":
            return "start of text"
        text = visible(self.token)
        text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
        return {"negative": f"not {text}", "gap": f"{text} … (within {self.reach})"}.get(self.kind, text)

    @property
    def told(self) -> str:
        """The same with what it means."""
        if self.fires:
            return f"fires on {visible(self.token)}: up to {self.value:.2f} of the maximum"
        if self.kind == "negative":
            return f"silenced by {visible(self.token)} in the {self.reach} tokens before"
        return f"after {self.label}: importance {self.importance:.2f}{', may be the first' if self.ends else ''}"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph drawn, and how much of it is."""

    svg: Markup
    shown: int
    boxes: int


def drawn(
    nodes: Sequence[DrawnNode],
    title: str,
    address: Callable[[str, bool], str] | None = None,
    most: int | None = MOST,
    width: float = WIDTH,
) -> Drawing:
    """Draw the nodes of a unit's `draw` trie.

    Args:
        nodes: parents first.
        title: what a screen reader is told.
        address: where a click on a token leads, given the token and whether it is fired on; None: boxes are no links.
        most: boxes at most: those that it fires on most strongly with what stands before them; None: all.
        width: pixels that boxes without context are spread over.
    """
    boxes = _boxes(nodes)
    kept = _strongest(boxes, most)
    parts = _parts(kept)
    across, down = _place(kept, parts, width)
    edges = Markup("").join(_edge(box, kept[key]) for box in kept.values() for key in box.right if key in kept)
    rects = Markup("").join(_drawn_box(box, address) for box in kept.values())
    form = '<svg class="graph" role="group" aria-label="{}" width="{:.0f}" height="{:.0f}" viewBox="0 0 {:.0f} {:.0f}">'
    svg = Markup(form).format(title, across, down, across, down) + edges + rects + Markup("</svg>")
    return Drawing(svg, len(kept), len(boxes))


def _boxes(nodes: Sequence[DrawnNode]) -> dict[str, _Box]:
    """By name, as they are drawn everywhere: see `tracebank_models.neuron_graphs.drawing`."""
    merged = drawing.drawn(drawing.trie_of_rows(nodes))
    boxes = {name: _Box(**fields) for name, fields in merged.nodes.items()}
    for name, right in merged.edges:
        boxes[name].right.append(right)
    return boxes


def _strongest(boxes: dict[str, _Box], most: int | None) -> dict[str, _Box]:
    """As many boxes as are wanted, those that are fired on most strongly first, each behind what it stands before."""
    first = sorted((key for key, box in boxes.items() if box.depth == 1), key=lambda key: -boxes[key].value)
    if most is None or len(boxes) <= most:
        rest = sorted((key for key, box in boxes.items() if box.depth > 1), key=lambda key: boxes[key].depth)
        return {key: boxes[key] for key in [*first, *rest]}
    left: dict[str, list[str]] = {}
    for key, box in boxes.items():
        for right in box.right:
            left.setdefault(right, []).append(key)
    chosen: dict[str, None] = {}
    for start in first:
        queue = [start]
        while queue and len(chosen) < most:
            key = queue.pop(0)
            if key not in chosen:
                chosen[key] = None
                queue += sorted(left.get(key, ()), key=lambda one: -boxes[one].importance)
    return {key: boxes[key] for key in sorted(chosen, key=lambda key: boxes[key].depth)}


def _parts(boxes: dict[str, _Box]) -> list[list[str]]:
    """Boxes that hang together, the strongest part first."""
    leader = {key: key for key in boxes}

    def find(key: str) -> str:
        while leader[key] != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    for key, box in boxes.items():
        for right in box.right:
            if right in boxes:
                leader[find(key)] = find(right)
    parts: dict[str, list[str]] = {}
    for key in boxes:
        parts.setdefault(find(key), []).append(key)
    return sorted(parts.values(), key=lambda part: -max(boxes[key].value for key in part if boxes[key].depth == 1))


def _place(boxes: dict[str, _Box], parts: list[list[str]], width: float) -> tuple[float, float]:
    """Give every box its place; width and height of all."""
    for box in boxes.values():
        box.width = _CHARACTER * _columns(box.label) + 2 * _PAD + (5 * _CHARACTER if box.fires else 0)
    deepest = max((box.depth for box in boxes.values()), default=0)
    widths = dict.fromkeys(range(1, deepest + 1), 0.0)
    for box in boxes.values():
        widths[box.depth] = max(widths[box.depth], box.width)
    at = 2.0
    for depth in range(deepest, 0, -1):
        for box in (box for box in boxes.values() if box.depth == depth):
            # Context ends where its column does, next to what it stands before.
            box.x = at if depth == 1 else at + widths[depth] - box.width
        at += widths[depth] + _COLUMN
    top = 2.0
    for part in parts:
        if len(part) > 1:
            top = _stack(boxes, part, top) + _PART
    alone = [boxes[part[0]] for part in parts if len(part) == 1]
    deep = at - _COLUMN + 2.0 if len(alone) < len(parts) else 0.0
    widest, top = _flow(alone, max(deep, width), top)
    return max(deep, widest), top


def _flow(alone: Sequence[_Box], width: float, top: float) -> tuple[float, float]:
    """Give boxes that hang on no other their places in rows below the rest; width and height that are taken."""
    x, widest = 2.0, 0.0
    for box in alone:
        if x > 2.0 and x + box.width > width:
            x, top = 2.0, top + _ROW
        box.x, box.y = x, top
        x += box.width + _GAP
        widest = max(widest, x)
    return widest, top + (_ROW if alone else 0.0)


def _stack(boxes: dict[str, _Box], part: list[str], top: float) -> float:
    """Rows of a part from `top` on: each box beside the middle of those that it stands before, none over another.

    What is fired on is put beside the middle of its context once that has its place. Returns the part's end.
    """
    columns: dict[int, list[_Box]] = {}
    for key in part:
        columns.setdefault(boxes[key].depth, []).append(boxes[key])
    for row, box in enumerate(columns[1]):
        box.y = top + row * _ROW
    for depth in sorted(columns)[1:]:
        below = top
        for middle, box in sorted(
            ((_middle(boxes, box, top), box) for box in columns[depth]), key=lambda pair: pair[0]
        ):
            box.y = max(below, middle)
            below = box.y + _ROW
    ends = max(box.y for column in columns.values() for box in column) + _ROW
    if len(columns[1]) == 1 and len(part) > 1:
        columns[1][0].y = (top + ends - _ROW) / 2
    return ends


def _middle(boxes: dict[str, _Box], box: _Box, top: float) -> float:
    right = [boxes[key].y for key in box.right if key in boxes]
    return sum(right) / len(right) if right else top


def _columns(text: str) -> int:
    """Widths of a character that a text takes."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def _edge(box: _Box, right: _Box) -> Markup:
    x0, y0, x1, y1 = box.x + box.width, box.y + _HEIGHT / 2, right.x, right.y + _HEIGHT / 2
    half = (x0 + x1) / 2
    return Markup('<path class="edge" d="M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}"/>').format(
        x0, y0, half, y0, half, y1, x1, y1
    )


def _drawn_box(box: _Box, address: Callable[[str, bool], str] | None) -> Markup:
    strength = min(1.0, max(0.0, box.value if box.fires else box.importance))
    shade = f"{'fire' if box.fires else 'after'}-{max(1, min(_LEVELS, round(strength * _LEVELS + 0.49)))}"
    classes = f"{shade} ends" if box.ends else shade
    value = (
        Markup('<text class="value" x="{:.1f}" y="{:.1f}" text-anchor="end">{:.2f}</text>').format(
            box.x + box.width - _PAD, box.y + 17.5, box.value
        )
        if box.fires
        else Markup("")
    )
    inner = Markup(
        '<g class="{}"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.0f}" rx="5"/>'
        '<text x="{:.1f}" y="{:.1f}">{}</text>{}</g>'
    ).format(classes, box.told, box.x, box.y, box.width, _HEIGHT, box.x + _PAD, box.y + 17.5, box.label, value)
    if address is None or box.kind == "start":
        return inner
    return Markup('<a href="{}" aria-label="{}">{}</a>').format(
        address(box.token, box.fires), f"Search: {box.told}", inner
    )
