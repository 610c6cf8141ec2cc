"""What graphs predict, on cases whose answer is known: those of the original's trie and of OpenAI's variant."""

from __future__ import annotations

import pytest

from tracebank_models.neuron_graphs.graph import NeuronGraph, Rule
from tracebank_models.neuron_graphs.paths import normalized_token
from tracebank_models.neuron_graphs.trie import ANY, START, Path, Step


def graph(*paths: tuple[str, float]) -> NeuronGraph:
    """Of paths such as `sea * the`: tokens from right to left, `*` for any, `^` for the start of the text."""
    special = {"*": ANY, "^": START}
    return NeuronGraph.of_paths(
        [Path([special.get(word) or Step("token", word) for word in words.split()], value) for words, value in paths]
    )


def last(made: NeuronGraph, text: str, rule: Rule = "longest") -> float:
    return made.predict(text.split(), rule)[-1]


@pytest.mark.parametrize(("rule", "value"), [("longest", 0.6), ("maximum", 0.9), ("first", 0.7)])
def test_the_rules_answer_other_ends_of_one_way(rule: Rule, value: float) -> None:
    made = graph(("sea", 0.7), ("sea deep", 0.9), ("sea deep the", 0.6))
    assert last(made, "the deep sea", rule) == value
    assert last(made, "blue sea", rule) == 0.7
    assert made.predict(["the", "deep"], rule) == [0.0, 0.0]


def test_no_rule_is_made_up() -> None:
    with pytest.raises(ValueError, match=r"^rule: 'shortest' is not allowed; allowed: longest, maximum, first$"):
        graph(("sea", 0.7)).predict(["sea"], "shortest")  # type: ignore[arg-type]


def test_a_longer_context_that_does_not_match_leaves_the_shorter_one() -> None:
    made = graph(("sea", 0.7), ("sea deep * by", 0.9))
    assert last(made, "by the deep sea") == 0.9
    assert last(made, "on the deep sea") == 0.7


def test_the_token_itself_goes_before_any_and_there_is_no_way_back() -> None:
    made = graph(("sea * by", 0.8), ("sea blue", 0.5))
    assert last(made, "by deep sea") == 0.8
    assert last(made, "by blue sea") == 0.5


def test_what_continues_beside_any_continues_below_it() -> None:
    made = graph(("sea * by", 0.8), ("sea blue the", 0.5), ("sea calm", 0.4))
    kinds = made.nodes().filter(trie="match")["token"].to_list()
    assert "blue" not in kinds  # no path ends at it
    assert last(made, "the green sea") == 0.5
    assert last(made, "a calm sea") == 0.4
    assert "blue" in made.nodes().filter(trie="draw")["token"].to_list()


def test_where_two_paths_are_one_the_first_value_stays() -> None:
    assert last(graph(("sea deep", 0.9), ("sea deep", 0.6)), "deep sea") == 0.9


def test_a_text_may_have_to_begin_there() -> None:
    """As OpenAI's marker of the start: the first token of a text, whatever it is, and no other."""
    anything = NeuronGraph.of_paths([Path([ANY, START], 1.0)])
    for rule in ("longest", "maximum", "first"):
        assert anything.predict(["one", "two", "three"], rule) == [1.0, 0.0, 0.0]
        assert anything.predict(["three", "two", "one"], rule) == [1.0, 0.0, 0.0]
    named = graph(("sea ^", 1.0))
    assert named.predict(["sea", "sea"]) == [1.0, 0.0]


def test_a_token_fires_wherever_it_stands() -> None:
    made = graph(("three", 1.0))
    assert made.predict(["two", "three"], "first") == [0.0, 1.0]
    assert made.predict(["three", "two", "three"], "first") == [1.0, 0.0, 1.0]
    assert made.predict(["one", "one"], "first") == [0.0, 0.0]


def test_fixed_distances_alone_do_not_reach_farther() -> None:
    """Seen at one and two tokens; at three the original and OpenAI's variant answer 0, and a gap answers."""
    fixed = graph(("three * one", 1.0), ("three one", 1.0))
    assert fixed.predict(["two", "three"], "first") == [0.0, 0.0]
    assert fixed.predict(["one", "five", "three", "one", "three"], "first") == [0.0, 0.0, 1.0, 0.0, 1.0]
    assert last(fixed, "one two two three") == 0.0
    gap = NeuronGraph.of_paths([Path([Step("token", "three"), Step("gap", "one", reach=3)], 1.0)])
    assert last(gap, "one two two three") == 1.0
    assert last(gap, "one two two two three") == 0.0


def test_a_graph_of_nothing_predicts_nothing() -> None:
    assert NeuronGraph.of_paths([]).predict(["two", "three"]) == [0.0, 0.0]
    assert NeuronGraph.of_paths([]).predict([]) == []


@pytest.mark.parametrize(
    ("token", "known"),
    [
        (" Import", "import"),
        ("IMPORT", "IMPORT"),
        (" x1 ", "x1"),
        ("A", "A"),
        (" 1 ", " 1 "),
        (" (", " ("),
        ("\x00", "\x00"),
    ],
)
def test_tokens_are_normalised_as_in_the_papers(token: str, known: str) -> None:
    assert normalized_token(token) == known


def test_normalisation_is_a_switch() -> None:
    path = [Path([Step("token", "import")], 1.0)]
    assert NeuronGraph.of_paths(path).predict([" Import"]) == [1.0]
    assert NeuronGraph.of_paths(path, normalize_tokens=False).predict([" Import", "import"]) == [0.0, 1.0]
