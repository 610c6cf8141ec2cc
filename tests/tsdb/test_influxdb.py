"""InfluxDB 1 on a real server against the oracle; what is sent to it, without one; its points."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from tracebank.stores.faults import FrameRefused, SchemaDrift, StoreError
from tracebank_benchmarks.tsdb.comparison import compare
from tracebank_benchmarks.tsdb.data import example_parameters, small_data
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.engines.influxdb import version1
from tracebank_benchmarks.tsdb.engines.influxdb.client_side import FINISHED, FINISHED_PAPER, UNSUPPORTED
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import Layout, Times, bodies
from tracebank_benchmarks.tsdb.engines.influxdb.store import InfluxStore
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane, Workload
from tracebank_schemas.series import TIMESTAMP, Column, Day, SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

_SERVER = os.environ.get("TRACEBANK_TEST_INFLUXDB_URL")
SEEDS = (1, 2, 3)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> version1.InfluxDB1:
    if not _SERVER:
        pytest.skip("no InfluxDB 1: set TRACEBANK_TEST_INFLUXDB_URL, e.g. to what '.ci/influxdb start' prints")
    monkeypatch.setenv(version1.URL_VARIABLE, _SERVER)
    return version1.InfluxDB1()


# --- points -----------------------------------------------------------------------------------------------------------


def _times(stamps: list[int]) -> tuple[Times, pl.DataFrame]:
    trades, _ = small_data(1, max(len(stamps), 3))
    rows = trades.head(len(stamps)).with_columns(
        ts=pl.Series(stamps).cast(pl.Datetime("ns", "UTC")), symbol=pl.lit("a"), seq=pl.int_range(len(stamps))
    )
    return Times(Layout.of(TRADES), ("symbol",)), rows


def test_rows_that_tie_move_on_in_their_order() -> None:
    times, rows = _times([5, 5, 5, 6, 100])
    assert times.assign(rows)["time"].to_list() == [5, 6, 7, 8, 100]


def test_later_blocks_find_free_times() -> None:
    times, rows = _times([5, 5, 5, 6])
    first = times.assign(rows)
    second = times.assign(rows.with_columns(seq=pl.col("seq") + 4, ts=pl.lit(6).cast(pl.Datetime("ns", "UTC"))))
    found = [*first["time"], *second["time"]]
    assert found == [5, 6, 7, 8, 9, 10, 11, 12]


def test_rows_that_would_leave_their_second_are_refused() -> None:
    times, rows = _times([999_999_998, 999_999_999, 999_999_999])
    with pytest.raises(FrameRefused, match="too many rows of one key"):
        times.assign(rows)


def test_lines_are_the_protocol() -> None:
    trades, _ = small_data(1)
    row = trades.head(1).with_columns(
        symbol=pl.lit("a b,c=d"), venue=pl.lit(""), side=pl.lit('q"\\\n'), ts=pl.lit(7).cast(pl.Datetime("ns", "UTC"))
    )
    table = TRADES.__class__(
        "t", "", tuple(c for c in TRADES.columns if c.name in ("ts", "symbol", "venue", "seq")), (), ()
    )
    layout = Layout.of(table)
    [body] = bodies(layout.lines(row.with_columns(time=7, seq=pl.lit(3))), 10)
    assert bytes(body) == b"t,symbol=a\\ b\\,c\\=d ts=7i,seq=3i 7\n"


def test_bodies_hold_every_line_once() -> None:
    lines = pl.Series([f"line {at}\n" for at in range(10)])
    held = [bytes(body) for body in bodies(lines, 4)]
    assert [body.count(b"\n") for body in held] == [4, 4, 2]
    assert b"".join(held).decode() == "".join(lines)


def test_not_a_number_is_refused() -> None:
    trades, _ = small_data(1)
    with pytest.raises(FrameRefused, match="column price"):
        list(Points(Lane.PAPER, TRADES).lines(trades.with_columns(price=pl.lit(float("nan"))).to_arrow()))


def test_the_paper_lane_keeps_sides_in_series_of_their_own() -> None:
    _, book = small_data(1)
    points = Points(Lane.PAPER, BOOK)
    bid, ask = points.lines(book.to_arrow())
    assert points.points == 2 * book.height
    assert bid.str.contains(",side=bid,", literal=True).all()
    assert ask.str.contains(",side=ask,", literal=True).all()
    assert bid.str.extract(r" (\d+)\n$").equals(ask.str.extract(r" (\d+)\n$"))


# --- texts ------------------------------------------------------------------------------------------------------------


def test_literals_cannot_leave_their_place() -> None:
    assert version1.literal("symbol", "O'NEIL\\") == "'O\\'NEIL\x1bb'"
    assert version1.literal("symbols", ("a.b", "c|d/")) == r"a\.b|c\|d\/"
    assert version1.literal("start", datetime(2024, 8, 8, 0, 0, 0, 1, tzinfo=UTC)) == "1723075200000001000"
    for bad in (True, b"x", ((1,),), (1, 2)):
        with pytest.raises(TypeError):
            version1.literal("symbols", bad)  # type: ignore[arg-type]


def test_every_read_is_text_or_has_a_reason() -> None:
    from tracebank_benchmarks.tsdb import queries

    for workload in READS:
        assert (queries.text("influxql", workload.id) is None) == (workload.id in UNSUPPORTED)
    assert set(FINISHED) <= set(FINISHED_PAPER) <= set(BY_ID)


# --- the server -------------------------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=[(lane, seed) for lane in Lane for seed in SEEDS], ids=lambda p: f"{p[0]}-{p[1]}"
)
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[version1.InfluxSession, pl.DataFrame, pl.DataFrame, int]]:
    if not _SERVER:
        pytest.skip("no InfluxDB 1: set TRACEBANK_TEST_INFLUXDB_URL, e.g. to what '.ci/influxdb start' prints")
    lane, seed = request.param
    trades, book = small_data(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(version1.URL_VARIABLE, _SERVER)
        with version1.InfluxDB1().session(lane, tmp_path_factory.mktemp("influxdb")) as session:
            session.load(TRADES, [trades[:100].to_arrow(), trades[100:].to_arrow()])
            session.load(BOOK, [book[:7].to_arrow(), book[7:].to_arrow()])
            yield session, trades, book, seed


@pytest.mark.parametrize("workload", READS, ids=lambda workload: workload.id)
def test_reads_give_the_oracles_answers(
    loaded: tuple[version1.InfluxSession, pl.DataFrame, pl.DataFrame, int], workload: Workload
) -> None:
    session, trades, book, seed = loaded
    for at in range(3):
        parameters = example_parameters(workload, trades, book, 100 * seed + at)
        if workload.id in UNSUPPORTED:
            with pytest.raises(UnsupportedError, match=workload.id):
                session.prepare(workload, parameters)
            continue
        found = session.execute(session.prepare(workload, parameters))
        assert compare(workload, answer(workload, parameters, trades, book), found) == []


def test_every_row_is_there(loaded: tuple[version1.InfluxSession, pl.DataFrame, pl.DataFrame, int]) -> None:
    session, trades, book, _ = loaded
    assert (session.size(TRADES).rows, session.size(BOOK).rows) == (trades.height, book.height)
    assert session.size(TRADES).bytes > 0
    found = pl.DataFrame(
        session.execute(
            session.prepare(
                BY_ID["R24"],
                {"start": datetime(2024, 1, 1, tzinfo=UTC), "end": datetime(2025, 1, 1, tzinfo=UTC), "qty": 0.0},
            )
        )
    )
    assert_frame_equal(found.sort("seq"), trades.select("seq", "symbol", "price", "qty"))


def test_points_lost_in_a_load_are_told(engine: version1.InfluxDB1, tmp_path: Path) -> None:
    trades, _ = small_data(1)
    with engine.session(Lane.PAPER, tmp_path) as session:
        session.load(TRADES, [trades.to_arrow()])
        with pytest.raises(StoreError, match="300 points were sent, 0 are there"):
            session.load(TRADES, [trades.to_arrow()])


def test_an_error_of_the_server_is_one_line(engine: version1.InfluxDB1, tmp_path: Path) -> None:
    """In CSV a statement that failed looks like one that found nothing."""
    with engine.session(Lane.PAPER, tmp_path) as session:
        text = "SELECT DIFFERENCE(LN(LAST(price))) AS open\nFROM bench_trades.bench_trades\nGROUP BY time(1m)"
        with pytest.raises(StoreError) as caught:
            session.execute(version1.PreparedStatements(BY_ID["R3"], text))
        assert "\n" not in str(caught.value)


def test_state(engine: version1.InfluxDB1, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.state().version.startswith("1.")
    monkeypatch.setenv(version1.URL_VARIABLE, "influxdb://someone:hidden-word@127.0.0.1:1/")
    state = engine.state()
    assert not state.available
    assert "does not answer" in state.reason
    assert "hidden-word" not in state.reason
    monkeypatch.setenv(version1.URL_VARIABLE, "http://x")
    assert "is not accepted" in engine.state().reason
    monkeypatch.delenv(version1.URL_VARIABLE)
    assert ".ci/influxdb" in engine.state().reason


def test_a_deletion_is_tried_again_while_the_server_closes_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    store = InfluxStore(make_url("influxdb://127.0.0.1:1/nothing"))
    asked: list[str] = []

    def answers(text: str) -> list[dict[str, object]]:
        asked.append(text)
        if len(asked) < 3:
            raise StoreError("series store: engine is closed")
        return []

    monkeypatch.setattr(store.connection, "json", answers)
    store.delete(TRADES, {"day": date(2026, 1, 1)})
    assert len(asked) == 3
    assert len(set(asked)) == 1
    refused = Mock(side_effect=StoreError("no such database"))
    monkeypatch.setattr(store.connection, "json", refused)
    with pytest.raises(StoreError, match="no such database"):
        store.delete(TRADES, {"day": date(2026, 1, 1)})
    assert refused.call_count == 1


def test_a_declaration_that_an_earlier_version_kept_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {
        "columns": {"ts": "timestamp[ns, tz=UTC]", "symbol": "string, few values", "v": "double or null"},
        "sort key": "symbol, ts",
        "partition key": "day(ts), symbol",
    }
    stamp, symbol = Column("ts", TIMESTAMP, "when"), Column("symbol", pa.string(), "what", repeated=True)
    table = SeriesTable(
        "t", "", (stamp, symbol, Column("v", pa.float64(), "", nullable=True)), ("symbol", "ts"), (Day("ts"), "symbol")
    )
    store = InfluxStore(make_url("influxdb://127.0.0.1:1/kept"))
    answer = [{"series": [{"values": [[0, json.dumps(kept)]]}]}]
    monkeypatch.setattr(store.connection, "json", lambda _text: answer)
    assert store.differences(table) == []
    [gained] = store.differences(dataclasses.replace(table, columns=(*table.columns, Column("w", pa.int64(), ""))))
    assert (gained.what, gained.repairable) == ("column w", True)
    with pytest.raises(SchemaDrift, match=r"table t: sort key is symbol, ts, declared ts "):
        store.create(dataclasses.replace(table, sort_key=("ts",)))
