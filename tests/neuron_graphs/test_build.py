"""From windows to graphs: pruning, sentences, variants, reasons, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tests.neuron_graphs.planted import ID, TEXTS, PlantedUnits, Rule
from torch import Tensor

from tracebank_models.neuron_graphs.build import BuiltGraph, build_graphs, built_rows
from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.prune import PrunedText, pruned_texts, tried_lengths
from tracebank_models.neuron_graphs.settings import PAPERS, GraphSettings
from tracebank_models.neuron_graphs.shared_runs import Runs
from tracebank_models.neuron_graphs.silent_windows import drop_wrong_ends
from tracebank_models.neuron_graphs.trie import ANY, Path, Step
from tracebank_models.neuron_graphs.windows import UnitWindows, Window, fitted, sentence_rest
from tracebank_models.neuron_graphs.words import MaskedWord

FILLING = [
    "cat",
    "dog",
    "eel",
    "fox",
    "gnu",
    "hen",
    "ibex",
    "jay",
    "kite",
    "lynx",
    "mole",
    "newt",
    "owl",
    "pug",
    "quail",
    "rat",
    "seal",
    "toad",
]


def window(text: str, pivot: int, activation: float = 1.0) -> Window:
    return Window(tuple(ID[word] for word in text.split()), pivot, activation)


def pruned(rule: Rule, text: str, pivot: int, settings: GraphSettings = PAPERS) -> list[PrunedText]:
    runs = Runs(PlantedUnits(rule), settings)
    (found,) = pruned_texts(runs, [UnitWindows(0, 1.0, [window(text, pivot)])], settings)
    return found.texts


def build(rule: Rule, *windows: Window, settings: GraphSettings | None = None, maximum: float = 1.0) -> BuiltGraph:
    (found,) = build_graphs(PlantedUnits(rule), [UnitWindows(0, maximum, windows)], settings)
    return found


def test_lengths_are_every_fifth_with_the_pivot() -> None:
    assert tried_lengths(100, PAPERS) == [5, 10, 15, 20, 25, 30]
    assert tried_lengths(12, PAPERS) == [5, 10]
    assert tried_lengths(12, replace(PAPERS, whole_prefix=True)) == [5, 10, 12]
    assert tried_lengths(3, PAPERS) == [3]  # a pivot among the first four tokens keeps what is before it
    assert tried_lengths(4, replace(PAPERS, skip_interval=1)) == [1, 2, 3, 4]


@pytest.mark.parametrize(("distance", "length"), [(1, 5), (4, 5), (5, 10), (9, 10)])
def test_the_shortest_context_that_fires_is_kept(distance: int, length: int) -> None:
    words = [*FILLING[:12], "bee"]
    words[12 - distance] = "ant"
    rule: Rule = lambda t, i: float(t[i] == "bee" and i >= distance and t[i - distance] == "ant")  # noqa: E731
    (text,) = pruned(rule, " ".join(words), 12)
    assert (len(text.ids), text.pivot, text.scale) == (length, length - 1, 1.0)


def test_half_of_the_activation_is_not_enough() -> None:
    half: Rule = lambda t, i: (1.0 if i >= 9 else 0.5) * (t[i] == "bee")  # noqa: E731
    (text,) = pruned(half, " ".join([*FILLING[:12], "bee"]), 12)
    assert len(text.ids) == 10
    more: Rule = lambda t, i: (1.0 if i >= 9 else 0.501) * (t[i] == "bee")  # noqa: E731
    (text,) = pruned(more, " ".join([*FILLING[:12], "bee"]), 12)
    assert (len(text.ids), text.scale) == (5, pytest.approx(1 / 0.501))


def test_the_pivot_has_to_stay_the_strongest_and_else_the_longest_is_kept() -> None:
    rule: Rule = lambda t, i: {"bee": 1.0, "ant": 2.0}.get(t[i], 0.0)  # noqa: E731
    (text,) = pruned(rule, " ".join([*FILLING[:8], "ant", "cat", "bee"]), 10)
    assert (len(text.ids), text.scale) == (10, 0.5)  # over the strongest of the context


def test_tokens_after_the_pivot_are_of_its_sentence() -> None:
    texts = [" a", " b.", "\n", "c"]
    settings = PAPERS
    assert sentence_rest((0, 0, 0, 0, 0, 0, 0, 0), 1, texts, settings) == (0, 0, 0, 0, 0)
    assert sentence_rest((0, 3, 1, 0, 0), 0, texts, settings) == (3, 1)
    assert sentence_rest((0, 1, 3, 0), 1, texts, settings) == ()
    assert sentence_rest((0, 3, 2, 3), 0, texts, settings) == (3, 2)
    assert sentence_rest((0, 3, 0), 0, texts, replace(settings, tokens_after=0)) == ()


def test_windows_are_cut_to_the_context_around_their_pivot() -> None:
    long = Window(tuple(range(100)), 70, 1.0)
    cut = fitted(long, 20, 5)
    assert (len(cut.ids), cut.ids[cut.pivot], cut.ids[-1], cut.truncated) == (20, 70, 75, True)
    last = fitted(Window(long.ids, 99, 1.0), 20, 5)
    assert (last.ids[last.pivot], last.ids[0]) == (99, 80)
    early = fitted(Window(long.ids, 3, 1.0), 20, 5)
    assert (early.ids, early.truncated) == (tuple(range(20)), False)
    assert fitted(long, 1, 5).ids == (70,)


def test_a_window_beyond_the_context_is_said_in_the_row() -> None:
    text = " ".join(["cat"] * 80 + ["bee"] + ["cat"] * 3)
    rule: Rule = lambda t, i: float(t[i] == "bee")  # noqa: E731
    long, short = build(rule, window(text, 80)), build(rule, window("cat bee cat", 1))
    assert (long.truncated, short.truncated) == (True, False)
    assert built_rows([long, short]).select("texts", "variants", "truncated", "nodes", "ends", "reason").rows() == [
        (1, 0, True, 2, 1, None),
        (1, 0, False, 2, 1, None),
    ]


def test_strongest_pivots_are_those_of_the_papers() -> None:
    rule: Rule = lambda t, i: {"bee": 1.0, "owl": 0.8}.get(t[i], 0.0)  # noqa: E731
    text = window("cat bee cat cat cat owl cat cat", 0)
    strongest = replace(PAPERS, strongest_pivots=True, tokens_after=0)
    tokens = {0.9: ["bee"], 0.7: ["bee", "owl"]}
    for share, expected in tokens.items():
        made = build(rule, text, settings=replace(strongest, pivot_share=share))
        assert made.graph is not None
        assert made.graph.nodes().filter(trie="match", kind="token")["token"].to_list() == expected
    assert build(rule, text).reason == "no pivot of its windows has an activation above 0"


class Named:
    """Substitutes by word."""

    def __init__(self, **known: list[str]) -> None:
        self.known, self.asked = known, []  # type: ignore[var-annotated]

    def __call__(self, words: Sequence[MaskedWord]) -> list[list[str]]:
        self.asked += [word.word for word in words]
        return [self.known.get(word.word, []) for word in words]


def test_important_words_are_substituted_and_what_fires_is_kept() -> None:
    allowed = {"ant", "owl"}
    rule: Rule = lambda t, i: float(t[i] == "bee" and i > 0 and t[i - 1] in allowed)  # noqa: E731
    substitutes = Named(ant=["ant", "dog", "owl", "12"], cat=["owl"])
    reader = PlantedUnits(rule)
    settings = replace(PAPERS, tokens_after=0)
    (made,) = build_graphs(reader, [UnitWindows(0, 1.0, [window("cat dog ant bee cat", 3)])], settings, substitutes)
    assert substitutes.asked == ["ant", "bee"]  # neither matters to no one
    assert made.graph is not None
    assert made.variants == 1
    assert made.graph.predict([" owl", " bee", " ant", " bee", " dog", " bee"]) == [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    (none,) = build_graphs(reader, [UnitWindows(0, 1.0, [window("cat dog ant bee cat", 3)])],
                           replace(settings, substitutes=0), substitutes)  # fmt: skip
    assert none.variants == 0


def test_a_variant_inherits_the_positions_that_were_important() -> None:
    """After `owl` nothing else is needed, but the original's second context stands in the path too."""

    def rule(t: Sequence[str], i: int) -> float:
        return float(t[i] == "bee" and ((t[i - 2 : i] == ["eel", "ant"]) or t[i - 1 : i] == ["owl"]))

    reader, given = PlantedUnits(rule), [UnitWindows(0, 1.0, [window("cat eel ant bee", 3)])]
    (made,) = build_graphs(reader, given, PAPERS, Named(ant=["owl"]))
    assert made.graph is not None
    assert made.graph.predict([" eel", " owl", " bee"])[-1] == 1.0
    assert made.graph.predict([" cat", " owl", " bee"])[-1] == 0.0


def test_values_are_shares_of_the_maximum_rescaled_to_the_window() -> None:
    rule: Rule = lambda t, i: (1.0 if i >= 6 else 0.6) * {"bee": 3.0, "owl": 1.2}.get(t[i], 0.0)  # noqa: E731
    made = build(rule, window("cat cat cat cat cat cat bee owl", 6), maximum=4.0, settings=replace(
        PAPERS, activation_threshold=0.25))  # fmt: skip
    assert made.graph is not None
    assert made.graph.predict([" bee", " owl"]) == [0.75, 0.3]


class Constant(PlantedUnits):
    def values(self, ids: Tensor, mask: Tensor, units: Tensor) -> Tensor:
        return torch.full((*ids.shape, len(units)), 0.7)


def test_a_unit_without_a_graph_has_a_reason() -> None:
    token: Rule = lambda t, i: float(t[i] == "bee")  # noqa: E731
    nan: Rule = lambda t, i: math.nan  # noqa: E731
    text = window("cat bee cat", 1)
    assert build(nan, text).reason == "its activations are not finite"
    assert build(token).reason == "it has no windows"
    assert build(token, text, maximum=0.0).reason == "its maximum is 0: a number above 0 is needed"
    assert build(token, text, maximum=math.nan).reason == "its maximum is nan: a number above 0 is needed"
    assert build(token, window("cat dog", 1)).reason == "its activations are constant"
    assert build(token, window("cat bee dog", 2)).reason == "no pivot of its windows has an activation above 0"
    assert build(token, text, maximum=4.0).reason == "no token of its pruned texts is activating"
    (constant,) = build_graphs(Constant(token), [UnitWindows(0, 1.0, [text])])
    assert constant.reason == "its activations are constant"
    late: Rule = lambda t, i: float(i >= 35 and t[i] == "bee")  # noqa: E731
    assert build(late, window(" ".join(["cat"] * 40 + ["bee"]), 40)).reason == (
        "no pruned text of its windows has an activation above 0"
    )
    silent = UnitWindows(0, 1.0, [replace(text, activation=0.2)], [window("dog bee cat", 1, 0.0)])
    (wrong,) = build_graphs(PlantedUnits(token), [silent])
    assert wrong.reason == "every end of its graph is wrong on too many silent windows"
    rows = built_rows([build(nan, text), wrong])
    assert rows.select("nodes", "ends").rows() == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([UnitWindows(7, 1.0, [])], "unit: 7 is not allowed; allowed: 0 to 0, each once"),
        ([UnitWindows(0, 1.0, []), UnitWindows(0, 1.0, [])], "unit: 0 is not allowed; allowed: 0 to 0, each once"),
        (
            [UnitWindows(0, 1.0, [window("cat bee", 2)])],
            "pivot: 2 of unit 0 is not allowed; allowed: a position of its 2 tokens",
        ),
        (
            [UnitWindows(0, 1.0, [], [Window((5, 99), 0, 0.0)])],
            f"ids: a token of unit 0 is not known; allowed: 0 to {len(TEXTS) - 1}",
        ),
    ],
)
def test_bad_windows_are_one_line(examples: list[UnitWindows], message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as caught:
        build_graphs(PlantedUnits(lambda t, i: 1.0), examples)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("importance_threshold", 1.5, "a number <= 1.0"),
        ("cutoff", 3, "at least the skip_interval, 5"),
        ("sentence_end", "[", "a regular expression"),
        ("substitutes", -1, "a whole number >= 0"),
    ],
)
def test_bad_settings_are_one_line(field: str, value: object, allowed: str) -> None:
    with pytest.raises(ValueError, match=rf"^GraphSettings.{field}: ") as caught:
        replace(PAPERS, **{field: value})  # type: ignore[arg-type]
    assert str(caught.value).endswith(f"is not allowed; allowed: {allowed}")


def test_no_units_are_no_graphs() -> None:
    assert build_graphs(PlantedUnits(lambda t, i: 1.0), []) == []
    assert built_rows([]).height == 0


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    rules = [lambda t, i: float(t[i] == "bee")] * 3
    examples = [UnitWindows(unit, 1.0, [window("cat bee", 1)]) for unit in range(3)]
    build_graphs(PlantedUnits(*rules), examples, progress=lambda done, of: told.append((done, of)))
    assert told == [(3, 3)]


def test_a_wrong_end_put_together_from_two_paths_goes_though_it_is_drawn_nowhere() -> None:
    named = Path([Step("token", "ant"), Step("token", "bee"), Step("token", "cat")], 1.0)
    other = Path([Step("token", "ant"), ANY, Step("token", "dog")], 1.0)
    graph = NeuronGraph.of_paths([named, other])
    quiet = ["cat", "eel", "ant"]
    assert graph.predict(quiet) == [0.0, 0.0, 1.0], "what came after bee may come after any token"
    one = UnitWindows(0, 1.0, [window("dog eel ant", 2)], [window(" ".join(quiet), 2, 0.0)])
    drop_wrong_ends(graph, one, TEXTS, GraphSettings())
    assert graph.predict(quiet) == [0.0, 0.0, 0.0]
    assert graph.predict(["dog", "eel", "ant"]) == [0.0, 0.0, 1.0]
