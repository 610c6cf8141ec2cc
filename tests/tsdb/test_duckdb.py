"""The engines in process that are the quickest to set up, held against the oracle on every read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.comparison import compare
from tracebank_benchmarks.tsdb.data import example_parameters, small_data, small_data_sets
from tracebank_benchmarks.tsdb.engine import Session
from tracebank_benchmarks.tsdb.engines import ENGINES, engine, state
from tracebank_benchmarks.tsdb.engines.duckdb import DuckDB, literal
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES

from .rows import NO_BOOK, NO_TRADES, at, trades

IN_PROCESS = ("duckdb", "polars")


@pytest.fixture(params=[(name, lane) for name in IN_PROCESS for lane in Lane], ids=lambda one: f"{one[0]}-{one[1]}")
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    name, lane = request.param
    with engine(name).session(lane, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("name", IN_PROCESS)
@given(data=small_data_sets(), seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_read_is_right(name: str, lane: Lane, data: tuple[pl.DataFrame, pl.DataFrame], seed: int) -> None:
    with TemporaryDirectory() as folder, engine(name).session(lane, Path(folder)) as session:
        for table, frame in zip(TABLES, data, strict=True):
            session.load(table, [frame.to_arrow()])
        for workload in READS:
            parameters = example_parameters(workload, *data, seed)
            found = session.execute(session.prepare(workload, parameters))
            assert compare(workload, answer(workload, parameters, *data), found) == [], (workload.id, parameters)


def test_several_frames_and_several_loads_add_up(session: Session) -> None:
    data, book = small_data(3, 400)
    half = data.height // 2
    phases = session.load(TRADES, [data[:10].to_arrow(), data[10:half].to_arrow()])
    assert phases.send > 0
    session.load(TRADES, iter([data[half:].to_arrow()]))
    session.load(BOOK, [book.to_arrow()])
    for workload in (BY_ID["R14"], BY_ID["R27"]):
        parameters = example_parameters(workload, data, book, 3)
        found = session.execute(session.prepare(workload, parameters))
        assert compare(workload, answer(workload, parameters, data, book), found) == []
    size = session.size(TRADES)
    assert session.execute(session.prepare(BY_ID["R12"], {})).num_rows
    assert size.rows == data.height
    assert size.bytes > 0
    assert size.raw_bytes > data.height * 8 * 4


def test_reads_of_tables_without_rows_have_none(session: Session) -> None:
    data, book = small_data(1)
    for workload in READS:
        parameters = example_parameters(workload, data, book, 1)
        found = session.execute(session.prepare(workload, parameters))
        assert compare(workload, answer(workload, parameters, NO_TRADES, NO_BOOK), found) == [], workload.id


def test_a_query_may_be_asked_again_also_cold(session: Session) -> None:
    data, book = small_data(2)
    session.load(TRADES, [data.to_arrow()])
    session.load(BOOK, [book.to_arrow()])
    prepared = session.prepare(BY_ID["R11"], example_parameters(BY_ID["R11"], data, book, 2))
    first = session.execute(prepared)
    session.cold()
    assert session.execute(prepared).sort_by([("symbol", "ascending"), ("minute", "ascending")]) == first.sort_by(
        [("symbol", "ascending"), ("minute", "ascending")]
    )
    assert session.ddl()
    assert prepared.text


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    for name in IN_PROCESS:
        with engine(name).session(Lane.IDIOMATIC, tmp_path) as session:
            session.load(TRADES, [small_data(1)[0].to_arrow()])
        assert list(tmp_path.iterdir()) == []


def test_a_lane_has_its_order(tmp_path: Path) -> None:
    data, _ = small_data(4)
    for lane, order in ((Lane.PAPER, ["seq"]), (Lane.IDIOMATIC, ["symbol", "ts", "seq"])):
        with ExitStack() as stack:
            session = stack.enter_context(DuckDB().session(lane, tmp_path))
            session.load(TRADES, [data.to_arrow()])
            found = pl.DataFrame(session._connection().sql("FROM bench_trades").to_arrow_table())
            assert found["seq"].to_list() == data.sort(order)["seq"].to_list()


def test_every_read_has_a_text() -> None:
    for workload in READS:
        text = queries.text("duckdb", workload.id)
        assert text is not None
        assert {name for name in workload.parameters if f"${{{name}}}" in text} == set(workload.parameters), workload.id
    assert queries.text("duckdb", "R99") is None
    assert queries.text("no_such_engine", "R1") is None


def test_names_cannot_leave_their_literal(session: Session) -> None:
    name = "it's'); DROP TABLE bench_trades; --"
    session.load(TRADES, [trades((0, name, "x", 1, 1.0, 1.0)).to_arrow()])
    asked = {"symbols": (name,), "start": at(0), "end": at(60)}
    found = session.execute(session.prepare(BY_ID["R1"], asked))
    assert found.column("symbol").to_pylist() == [name]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("start", datetime(2024, 8, 8), "has no time zone"),
        ("price", float("nan"), "is not finite"),
        ("symbols", (None,), "is a NoneType"),
        ("price", True, "is a bool"),
        ("moments", (("A",),), "is no pair"),
    ],
)
def test_other_values_are_refused(name: str, value: object, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        literal(name, value)  # type: ignore[arg-type]


def test_settings_and_state_are_small_records() -> None:
    for name in IN_PROCESS:
        assert state(name).available
        assert json.dumps(engine(name).settings())
        assert engine(name).name == name


def test_an_engine_that_cannot_be_imported_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "duckdb", "tracebank_benchmarks.tsdb.engines.no_such:Engine")
    found = state("duckdb")
    assert not found.available
    assert "no_such" in found.reason
    with pytest.raises(ValueError, match="engine: 'oracle9' is not known; allowed: clickhouse_embedded, clickhouse, "):
        state("oracle9")
