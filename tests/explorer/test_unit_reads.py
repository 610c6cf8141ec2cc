"""What is read of units, and how they are found, over the small store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session
from tests.explorer.small_store import CODES, DICTIONARIES, FIRES_ON, MODELS, PROBE, SILENT, TINY_0, TINY_1, UNITS

from tracebank.explorer import unit_reads
from tracebank.explorer.state import Missing
from tracebank.explorer.unit_search import Filter, found_units
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational


@pytest.fixture
def session(explored: Settings) -> Iterator[Session]:
    relational = open_relational(explored)
    with relational.reading() as opened:
        yield opened
    relational.close()


def test_models_and_dictionaries_are_there(session: Session) -> None:
    assert tuple(one.model for one in unit_reads.models(session)) == MODELS
    assert {one.dictionary for one in unit_reads.dictionaries(session)} == set(DICTIONARIES)
    assert [one.dictionary for one in unit_reads.dictionaries(session, "tiny")] == [TINY_0, TINY_1]
    counts = unit_reads.counts(session, [TINY_0])[TINY_0]
    assert (counts.units, counts.graphs, counts.texts) == (UNITS, UNITS - 1, UNITS)
    assert unit_reads.dictionary(session, TINY_0).of_neurons
    assert not unit_reads.dictionary(session, CODES).of_neurons


def test_what_is_not_there_is_told_beside_what_is(session: Session) -> None:
    with pytest.raises(Missing, match=r"no model 'x': there are org/tuned, tiny$"):
        unit_reads.model(session, "x")
    with pytest.raises(Missing, match=rf"no dictionary 'x': there are .*{TINY_0}"):
        unit_reads.dictionary(session, "x")
    with pytest.raises(Missing, match=rf"'{TINY_0}' has no unit 6: it has 6, from 0 to 5"):
        unit_reads.unit(session, TINY_0, UNITS)
    with pytest.raises(Missing, match="no dictionary 'x'"):
        unit_reads.unit(session, "x", 10**30)
    with pytest.raises(Missing, match=f"no probe 'x': there are {PROBE}"):
        unit_reads.weighed(session, "x")


def test_a_unit_is_read_whole(session: Session) -> None:
    unit = unit_reads.unit(session, TINY_0, 0)
    assert unit.top_tokens == [FIRES_ON[0]]
    assert unit_reads.neighbours(session, TINY_0, 0) == (None, 1)
    assert unit_reads.neighbours(session, TINY_0, SILENT) == (SILENT - 1, None)
    assert [text.rank for text in unit_reads.texts(session, TINY_0, 0, "top")] == [1, 2, 3]
    assert len(unit_reads.texts(session, TINY_0, 0)) == 9
    assert [node.kind for node in unit_reads.nodes(session, TINY_0, 0)][:2] == ["root", "token"]
    told = {one.method: one.score("f1") for one in unit_reads.explanations(session, TINY_0, 0)}
    assert told == {"neuron_graph": 0.9, "token_maximum": 0.4}
    graph = unit_reads.graph(session, TINY_0, SILENT)
    assert graph is not None
    assert graph.reason == "it fires on no text"
    assert not unit_reads.texts(session, TINY_0, SILENT)
    summary = unit_reads.summary(session, TINY_0, SILENT)
    assert summary is not None
    assert not any(summary.histogram)


def test_similar_units_are_found_from_either_side(session: Session) -> None:
    assert [(one.feature, one.relation) for one in unit_reads.similar(session, TINY_1, 3)] == [(2, "superset")]
    assert [one.similarity for one in unit_reads.similar(session, TINY_0, 0)] == [0.95, 0.9]


def test_units_are_weighed_by_probes(session: Session) -> None:
    assert [one.probe for one in unit_reads.probes(session, "org/tuned")] == [PROBE]
    assert [one.feature for one in unit_reads.weighed(session, PROBE, 2)] == [0, 1]


@pytest.mark.parametrize("sort", ["f1", "density", "max_activation"])
def test_pages_of_units_are_sorted_and_counted(session: Session, sort: str) -> None:
    whole = found_units(session, Filter(), sort, limit=None)  # type: ignore[arg-type]
    values = [getattr(unit, sort) for unit in whole.units]
    assert [value for value in values if value is not None] == sorted(
        (value for value in values if value is not None), reverse=True
    )
    assert len(values) == whole.total == len(DICTIONARIES) * UNITS
    pages = [found_units(session, Filter(), sort, 7, offset) for offset in range(0, 30, 7)]  # type: ignore[arg-type]
    assert [unit for page in pages for unit in page.units] == whole.units
    assert {page.total for page in pages} == {whole.total}


def test_units_are_filtered(session: Session) -> None:
    assert found_units(session, Filter(dictionary=TINY_0, with_graph=True)).total == UNITS - 1
    assert found_units(session, Filter(model="tiny"), limit=3).total == 2 * UNITS
    assert found_units(session, Filter(least_f1=0.85), limit=2).total == len(DICTIONARIES)
    assert found_units(session, Filter(least_density=0.011, most_density=0.012)).total == 2 * len(DICTIONARIES)
    assert found_units(session, Filter("import OR print", dictionary=TINY_0)).total == 2
    assert found_units(session, Filter("NOT import", dictionary=TINY_0)).total == UNITS - 2
    assert [unit.feature for unit in found_units(session, Filter('"\0"', within="tiny")).units] == [3, 3]
