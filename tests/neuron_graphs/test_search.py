"""Questions about units: what they ask, what is refused, and which units answer."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from tests.filled import filled

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, upgrade
from tracebank.stores.relational import RelationalStore
from tracebank_assets.neuron_graphs.shown import found_units
from tracebank_models.neuron_graphs.graph import NeuronGraph
from tracebank_models.neuron_graphs.search import Condition, parse, unit_tokens
from tracebank_models.neuron_graphs.trie import ANY, Path, Step
from tracebank_schemas import neuron_graphs as tables
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.sparse_autoencoder import Feature, SparseAutoencoder

NODES = pl.DataFrame(
    [
        # import, after from (at any place), and after x
        ("m/layers.0.neurons", 1, 0, None, 0, "root", ""),
        ("m/layers.0.neurons", 1, 1, 0, 1, "token", "import"),
        ("m/layers.0.neurons", 1, 2, 1, 2, "any", ""),
        ("m/layers.0.neurons", 1, 3, 2, 3, "token", "from"),
        ("m/layers.0.neurons", 1, 4, 3, 4, "end", ""),
        # print after from (within some tokens), and import alone unless after def
        ("m/layers.0.neurons", 2, 0, None, 0, "root", ""),
        ("m/layers.0.neurons", 2, 1, 0, 1, "token", "print"),
        ("m/layers.0.neurons", 2, 2, 1, 2, "gap", "from"),
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


@pytest.fixture(scope="module")
def relational(module_settings: Settings) -> Iterator[RelationalStore]:
    """A catalogue in which the units are, and nothing else of note."""
    upgrade(module_settings)
    store = open_relational(module_settings)
    units = NODES.select("dictionary", "feature").unique(maintain_order=True).rows()
    head = pl.when(pl.col("depth") == 1).then("token").forward_fill().over("dictionary", "feature")
    nodes = NODES.with_columns(fires_on=head)
    with store.session() as session:
        session.add(LanguageModel(**filled(LanguageModel)))
        session.flush()
        for name in dict.fromkeys(name for name, _ in units):
            session.add(SparseAutoencoder(**filled(SparseAutoencoder, dictionary=name)))
        for name, number in units:
            session.add(Feature(**filled(Feature, dictionary=name, feature=number)))
            session.add(tables.NeuronGraph(**filled(tables.NeuronGraph, dictionary=name, feature=number)))
        session.flush()
        session.add_all(tables.GraphNode(**filled(tables.GraphNode, **row)) for row in nodes.iter_rows(named=True))
    yield store
    store.close()


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
        ("import OR any after:🙂", [FIRST, SECOND, THIRD]),
        ("import AND print", [SECOND]),
        ("import NOT print", [FIRST]),
        ("import AND NOT after:from", [SECOND]),
        ("NOT import", [THIRD]),
        ("NOT import after:from", []),
        ("NOT import any after:🙂", [THIRD]),
        ("print OR import after:from", [FIRST, SECOND]),
        ('"OR"', []),
        ('import OR "NOT"', [FIRST, SECOND]),
    ],
)
def test_the_units_that_meet_all_terms_answer(
    relational: RelationalStore, question: str, units: list[tuple[str, int]]
) -> None:
    assert found_units(relational, question).select("dictionary", "feature").rows() == units


def test_terms_are_written_as_graphs_write_them() -> None:
    assert parse('" From" after:"A"') == [[Condition("fires_on", "from", "from"), Condition("after", "A", "from")]]
    assert parse('" From"', normalize=False) == [[Condition("fires_on", " From", " From")]]
    assert parse("a\nafter:b\tafter:b") == [[Condition("fires_on", "a", "a"), Condition("after", "b", "a")]]


def test_not_is_of_one_term_and_or_begins_anew() -> None:
    assert parse("a NOT b after:c OR after:d") == [
        [Condition("fires_on", "a", "a"), Condition("fires_on", "b", "b", True), Condition("after", "c", "a")],
        [Condition("after", "d", None)],
    ]


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


def test_a_token_within_some_places_counts_as_one_before() -> None:
    rows = unit_tokens(NODES).filter(feature=2, role="after").select("token", "fires_on").rows()
    assert rows == [("from", "print")]


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
        ("OR import", "OR stands after no term"),
        ("import AND", "AND stands before no term"),
        ("import OR OR print", "OR stands after no term"),
        ("import NOT AND print", "AND stands after no term"),
        ("NOT NOT import", "NOT stands after no term"),
        ("NOT", "NOT stands before no term"),
        ("import OR any", "asks for no token"),
        ("x " * 33, "33 terms are not allowed; allowed: up to 32"),
    ],
)
def test_what_is_no_question_is_one_clear_line(question: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^question: .*{said}") as refused:
        parse(question)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)
