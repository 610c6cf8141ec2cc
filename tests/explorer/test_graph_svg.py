"""Graphs drawn as SVG: boxes do not cover each other, the strongest are kept, and all labels are text."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from tests.explorer.small_store import SCRIPT

from tracebank.explorer.graph_svg import drawn
from tracebank.explorer.unit_reads import DrawnNode
from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.trie import START, Path, Step


def nodes(*paths: Path) -> list[DrawnNode]:
    """Rows of the trie that is drawn, as they are read."""
    rows = NeuronGraph.of_paths(list(paths)).nodes().iter_rows(named=True)
    return [DrawnNode(**row, fires_on=None) for row in rows if row["trie"] == "draw"]


def path(value: float, *tokens: str) -> Path:
    return Path(
        [Step("token", token, 1.0 - at / 10, value if not at else 0.0) for at, token in enumerate(tokens)], value
    )


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    found = ElementTree.fromstring(svg).iter("rect")
    return [tuple(float(one.attrib[name]) for name in ("x", "y", "width", "height")) for one in found]  # type: ignore[misc]


MANY = [
    path(1.0 - at / 100, f"fires {at}", *(f"before {at % 7} {depth}" for depth in range(at % 4))) for at in range(40)
]


@pytest.mark.parametrize("width", [200, 860])
def test_no_box_covers_another_and_all_are_within_the_drawing(width: float) -> None:
    drawing = drawn(nodes(*MANY), "Graph", most=None, width=width)
    placed = boxes(drawing.svg)
    assert len(placed) == drawing.shown == drawing.boxes > 60
    for (x, y, w, h), (other_x, other_y, other_w, other_h) in combinations(placed, 2):
        assert x + w <= other_x or other_x + other_w <= x or y + h <= other_y or other_y + other_h <= y
    _, _, across, down = map(float, ElementTree.fromstring(drawing.svg).attrib["viewBox"].split())
    assert max(x + w for x, _, w, _ in placed) <= across
    assert max(y + h for _, y, _, h in placed) <= down


def test_context_stands_left_of_what_it_is_before_and_equal_tokens_are_one() -> None:
    drawing = drawn(nodes(path(1.0, "a", "from"), path(0.5, "b", "from"), path(0.2, "c")), "Graph")
    assert drawing.boxes == 4
    assert drawing.svg.count('class="edge"') == 2
    left = min(boxes(drawing.svg))
    assert all(left[0] + left[2] < x for x, y, _, _ in boxes(drawing.svg) if x > left[0] and y < left[1] + 60)


def test_the_strongest_are_kept() -> None:
    drawing = drawn(nodes(*MANY), "Graph", most=10)
    assert drawing.shown == 10
    assert "fires 0" in drawing.svg
    assert "fires 39" not in drawing.svg


def test_shades_say_how_strong_and_a_thick_border_where_a_path_may_end() -> None:
    svg = drawn(nodes(Path([Step("token", "a", 1.0, 1.0), Step("token", "b", 0.35)], 1.0), path(0.1, "c")), "Graph").svg
    assert re.search(r'<g class="fire-5"><title>fires on a: up to 1.00', svg)
    assert re.search(r'<g class="after-2 ends"><title>after b: importance 0.35', svg)
    assert re.search(r'<g class="fire-1 ends"><title>fires on c: up to 0.10', svg)


def test_tokens_lead_where_they_are_asked_for_and_the_start_nowhere() -> None:
    asked: list[tuple[str, bool]] = []

    def address(token: str, fires_on: bool) -> str:
        asked.append((token, fires_on))
        return f"/search?n={len(asked)}"

    fires = Step("token", SCRIPT, 1.0, 1.0)
    paths = [Path([fires, START], 1.0), Path([fires, Step("gap", "\0", 0.5, reach=9)], 1.0)]
    paths.append(Path([fires, Step("negative", "no\u202e", 1.0, reach=3)], 1.0))
    svg = drawn(nodes(*paths), f"Graph of {SCRIPT}", address).svg
    assert sorted(asked) == sorted([(SCRIPT, True), ("\0", False), ("no\u202e", False)])
    assert svg.count("<a href=") == 3
    assert SCRIPT not in svg
    for told in ("start of text", "␀ … (within 9)", "not no\\u202e", "silenced by"):
        assert told in svg
    assert boxes(svg)


def test_a_graph_of_nothing_is_an_empty_drawing() -> None:
    assert drawn([], "Graph").boxes == 0
