"""Shaded texts: classes are quantised shares, all characters are seen, nothing is markup."""

from __future__ import annotations

import pytest

from tracebank.explorer.shading import LEVELS, around, level, shaded, visible


@pytest.mark.parametrize(
    ("activation", "shade"),
    [(0.0, ""), (0.05, ""), (0.06, "s1"), (0.5, "s4"), (1.0, "s9"), (7.0, "s9"), (-0.5, "n4"), (-3.0, "n9")],
)
def test_a_shade_is_the_share_of_the_largest(activation: float, shade: str) -> None:
    assert level(2.5 * activation, 2.5) == shade


def test_levels_rise_with_activations() -> None:
    shades = [level(at / 100, 1.0) for at in range(101)]
    assert list(dict.fromkeys(shades)) == ["", *(f"s{at}" for at in range(1, LEVELS + 1))]


def test_a_text_is_escaped_shaded_and_framed() -> None:
    html = shaded(["<b>", " x", "\n", "y", "'"], [0.0, 0.25, 1.0, 0.0, -1.0], 1.0, strongest=2)
    assert html == (
        '&lt;b&gt;<b class="s2" title="0.25"> x</b><b class="s9 nl strongest" title="1.0">\n</b>y'
        '<b class="n9" title="-1.0">&#39;</b>'
    )


def test_a_unit_that_never_fires_shades_nothing() -> None:
    assert shaded(["a", "b"], [0.0, 0.0], 0.0) == "ab"


def test_a_window_is_around_the_strongest_and_never_beyond_the_text() -> None:
    assert around(3, 10, side=5) is None
    assert around(0, 100, side=5) == slice(0, 11)
    assert around(50, 100, side=5) == slice(45, 56)
    assert around(99, 100, side=5) == slice(89, 100)
    tokens = [str(at) for at in range(100)]
    assert shaded(tokens, [0.0] * 100, 1.0, window=around(99, 100, side=2)) == "9596979899"


@pytest.mark.parametrize(
    ("token", "seen"),
    [
        (" a", "␣a"),
        ("  ", "␣␣"),
        ("a b", "a b"),
        ("\n\t", "↵⇥"),
        ("\0\x1b", "␀␛"),
        ("\u202e\u200b", "\\u202e\\u200b"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_written_by_signs(token: str, seen: str) -> None:
    assert visible(token) == seen
