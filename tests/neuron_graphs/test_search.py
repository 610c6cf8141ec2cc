"""Questions about units: what they ask, what is refused, and which units answer."""

from __future__ import annotations

import polars as pl
import pytest

from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.search import Condition, matching_units, parse, unit_tokens
from tracebank_models.neuron_graphs.trie import ANY, Path, Step

NODES = pl.DataFrame(
    [
        # import, after from (at any place), and after x
        ("m/layers.0.neurons", 1, 0, None, 0, "root", ""),
        ("m/layers.0.neurons", 1, 1, 0, 1, "token", "import"),
        ("m/layers.0.neurons", 1, 2, 1, 2, "any", ""),
        ("m/layers.0.neurons", 1, 3, 2, 3, "token", "from"),
        ("m/layers.0.neurons", 1, 4, 3, 4, "end", ""),
        # print after from, and import alone unless after def
        ("m/layers.0.neurons", 2, 0, None, 0, "root", ""),
        ("m/layers.0.neurons", 2, 1, 0, 1, "token", "print"),
        ("m/layers.0.neurons", 2, 2, 1, 2, "token", "from"),
        ("m/layers.0.neurons", 2, 3, 0, 1, "token", "import"),
        ("m/layers.0.neurons", 2, 4, 3, 2, "negative", "def"),
        # on anything after 🙂, and on a, b: c"
        ("n/codes", 1, 0, None, 0, "root", ""),
        ("n/codes", 1, 1, 0, 1, "any", ""),
        ("n/codes", 1, 2, 1, 2, "token", "🙂"),
        ("n/codes", 1, 3, 0, 1, "token", 'a, b: c"\\'),
    ],
    schema=["dictionary", "feature", "node", "parent", "depth", "kind", "token"],
    orient="row",
).with_columns(trie=pl.lit("draw"))


def _found(question: str) -> list[tuple[str, int]]:
    return matching_units(unit_tokens(NODES), parse(question)).rows()


FIRST, SECOND, THIRD = ("m/layers.0.neurons", 1), ("m/layers.0.neurons", 2), ("n/codes", 1)


@pytest.mark.parametrize(
    ("question", "units"),
    [
        ("import", [FIRST, SECOND]),
        ("import after:from", [FIRST]),
        ("any after:from", [FIRST, SECOND]),
        ("after:from import", [FIRST, SECOND]),
        ("print after:from import", [SECOND]),
        ("import unless:def", [SECOND]),
        ("any:from", [FIRST, SECOND]),
        ("any:def", [SECOND]),
        ('" From"', []),
        ('after:" From"', [FIRST, SECOND]),
        ("any after:🙂", [THIRD]),
        ('"a, b: c\\"\\\\"', [THIRD]),
        ("from", []),
        ('"any"', []),
    ],
)
def test_the_units_that_meet_all_terms_answer(question: str, units: list[tuple[str, int]]) -> None:
    assert _found(question) == units


def test_terms_are_written_as_graphs_write_them() -> None:
    assert parse('" From" after:"A"') == [Condition("fires_on", "from", "from"), Condition("after", "A", "from")]
    assert parse('" From"', normalize=False) == [Condition("fires_on", " From", " From")]
    assert parse("a\nafter:b\tafter:b") == [Condition("fires_on", "a", "a"), Condition("after", "b", "a")]


def test_the_rows_of_a_graph_are_searched() -> None:
    path = [Step("token", "import"), ANY, Step("token", "from")]
    shorter = [Step("token", "import"), Step("token", "x"), Step("token", "y")]
    nodes = NeuronGraph.of_paths([Path(path, 1.0), Path(shorter, 0.5)]).nodes()
    nodes = nodes.with_columns(dictionary=pl.lit("m"), feature=7)
    assert unit_tokens(nodes).select("role", "token", "fires_on").rows() == [
        ("after", "from", "import"),
        ("after", "x", "import"),
        ("after", "y", "import"),
        ("fires_on", "import", "import"),
    ]


def test_what_any_token_may_stand_for_has_no_name() -> None:
    rows = unit_tokens(NODES).filter(dictionary="n/codes").select("role", "token", "fires_on").rows()
    assert rows == [("after", "🙂", None), ("fires_on", 'a, b: c"\\', 'a, b: c"\\')]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("", "asks for no token"),
        (" \t", "asks for no token"),
        ("any", "asks for no token"),
        ('""', "has no token"),
        ("after:", "has no token"),
        ("after: from", "has no token"),
        ('import after:"from', "quote is not closed"),
        ('"a\\"', "quote is not closed"),
        ('say"a"', "within quotes alone"),
        ('"a"b', "within quotes alone"),
        ("any:a:b", "within quotes alone"),
        ("before:x", '"before" is no field: allowed are after, any, unless'),
        ("http://x", '"http" is no field'),
        (":x", '"" is no field'),
        ('"' + "x" * 100_000, "quote is not closed"),
    ],
)
def test_what_is_no_question_is_one_clear_line(question: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^question: .*{said}") as refused:
        parse(question)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)
