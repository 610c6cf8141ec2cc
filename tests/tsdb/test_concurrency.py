"""Several clients at once: the arithmetic on sessions made up here, and short loads on real engines."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracebank_benchmarks.tsdb import run
from tracebank_benchmarks.tsdb.concurrency import rows as written
from tracebank_benchmarks.tsdb.concurrency import steps as points_of
from tracebank_benchmarks.tsdb.concurrency.ingest import curve
from tracebank_benchmarks.tsdb.concurrency.loads import IngestLoad, Interval, Outcome, Part, QueryLoad
from tracebank_benchmarks.tsdb.concurrency.measure import measure
from tracebank_benchmarks.tsdb.concurrency.queries import CheckedRead, permutations
from tracebank_benchmarks.tsdb.concurrency.rows import STEP_NS, ReadBack, TradeSource, judged
from tracebank_benchmarks.tsdb.concurrency.steps import (
    CONNECTIONS,
    INGEST,
    OPEN_PERCENT,
    READS,
    point_seconds,
    sustained_ingest,
)
from tracebank_benchmarks.tsdb.data import example_parameters, small_data, small_set
from tracebank_benchmarks.tsdb.engine import Prepared, Session, UnsupportedError
from tracebank_benchmarks.tsdb.engines import ENGINES, engine
from tracebank_benchmarks.tsdb.environment import environment
from tracebank_benchmarks.tsdb.journal import Journal
from tracebank_benchmarks.tsdb.measurement import LoadWatch
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.plan import checked_plan
from tracebank_benchmarks.tsdb.report.html import page
from tracebank_benchmarks.tsdb.results import new_record, sample_frame, settle
from tracebank_benchmarks.tsdb.schedule import Budget
from tracebank_benchmarks.tsdb.station import Setting, Station
from tracebank_benchmarks.tsdb.statistics import QUANTILES, percentiles
from tracebank_benchmarks.tsdb.worker import EngineDied, EngineFailed, EngineTimeout, one_line
from tracebank_benchmarks.tsdb.workloads import BY_ID, Lane, Parameters, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

from .rows import trades
from .verified_reads import load

TRADE_ROWS, BOOK_ROWS = small_data(0)
MODELS = TRADE_ROWS.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(TRADES.arrow_schema)
START_NS, FIRST_SEQ = 1_900_000_000_000_000_000, 10_000_000_000
RIGHT = pa.table({"symbol": ["A", "B"], "highest_bid": [1.0, 2.0]})
SERVER = os.environ.get("TRACEBANK_TEST_POSTGRES_URL", "")
"""Read when the suite is gathered: tests run without the developer's variables."""


class Asked(Prepared):
    """A read with its parameters."""

    def __init__(self, workload: Workload, parameters: Parameters) -> None:
        super().__init__(workload, f"ask {workload.id}")
        object.__setattr__(self, "parameters", parameters)

    parameters: Parameters


class Memory:
    """A session that answers R3 at once, and keeps what it is given; nothing of it goes wrong."""

    ack_seconds = 0.0

    def __init__(self) -> None:
        self.batches: list[pa.Table] = []
        self.guard = threading.Lock()
        self.asked = 0

    @contextmanager
    def connection(self) -> Iterator[Any]:
        yield self

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        return Asked(workload, parameters)

    def execute(self, prepared: Prepared) -> pa.Table:
        if prepared.workload.id == "R3":
            with self.guard:
                self.asked += 1
            return self.answer()
        assert isinstance(prepared, Asked)
        window = pl.col("ts").is_between(prepared.parameters["start"], prepared.parameters["end"], closed="left")
        rows = self.rows().filter(window)
        if prepared.workload.id == "R9":
            rows = rows.filter(pl.col("symbol") == prepared.parameters["symbol"])
        return rows.select(one.name for one in prepared.workload.outputs).to_arrow()

    def rows(self) -> pl.DataFrame:
        batches = list(self.batches)
        return pl.DataFrame(pa.concat_tables(batches)) if batches else pl.DataFrame(schema=TRADES.polars_schema)

    def answer(self) -> pa.Table:
        return pa.Table.from_arrays(RIGHT.columns, schema=RIGHT.schema)

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        assert table is TRADES
        time.sleep(self.ack_seconds)
        self.keep(rows)

    def keep(self, rows: pa.Table) -> None:
        with self.guard:
            self.batches.append(rows)


def ask(session: Any, connections: int, seconds: float, rate: float | None = None) -> Part:
    reads = {"R3": CheckedRead(Prepared(BY_ID["R3"], "ask R3"), RIGHT)}
    found = measure(session, one_line, queries=QueryLoad(("R3",), connections, seconds, 7, rate), reads=reads)
    assert found.queries is not None
    return found.queries


def write(session: Any, batch: int, writers: int, seconds: float, rate: float | None, **more: bool) -> Part:
    load = IngestLoad(batch, writers, seconds, rate, START_NS, FIRST_SEQ, **more)
    found = measure(session, one_line, ingest=load, models=[MODELS])
    assert found.ingest is not None
    return found.ingest


class Stalling(Memory):
    """Stops for a third of a second, once, and is quick otherwise."""

    def answer(self) -> pa.Table:
        with self.guard:  # everybody waits
            if self.asked == 40:
                self.asked += 1
                time.sleep(0.35)
        return super().answer()


def test_a_stall_shows_in_every_request_that_was_due_meanwhile() -> None:
    found = ask(Stalling(), 2, 1.0, rate=200.0)
    values = found.values
    assert (values["requests"], values["error_ratio"], found.faults) == (200, 0, [])
    # Some 70 of 200 requests are due in the stall, waiting 0.18 s on average; only two were under way.
    assert values["p95"] > 0.2
    assert values["max"] > 0.3
    assert values["p50"] >= values["service_p50"]
    assert values["p95"] > values["service_p95"], "the service time alone hides the backlog"


def test_a_closed_loop_waits_with_the_engine() -> None:
    values = ask(Stalling(), 1, 0.7).values
    assert values["max"] > 0.3
    assert values["p50"] < values["max"], "one request of all"
    assert values["client_limit_qps"] > 0
    assert values["harness_seconds"] > 0


class Slow(Memory):
    """Takes a twentieth of a second for each answer."""

    def answer(self) -> pa.Table:
        time.sleep(0.05)
        return super().answer()


def test_more_than_an_engine_can_do_is_given_up_at_last_and_counts_as_long_as_it_waited() -> None:
    values = ask(Slow(), 1, 0.3, rate=400.0).values
    assert values["requests"] == 120
    assert values["unserved"] > 80
    assert 0.3 < values["p50"] <= values["p95"] <= values["max"]


class Muddled(Memory):
    """Answers wrongly when it is asked twice at once."""

    under_way = 0

    def answer(self) -> pa.Table:
        self.under_way += 1
        time.sleep(0.001)
        alone = self.under_way == 1
        time.sleep(0.001)
        self.under_way -= 1
        return super().answer() if alone else RIGHT.slice(1)


def test_an_answer_that_is_wrong_under_concurrency_only_is_caught() -> None:
    assert ask(Muddled(), 1, 0.1).faults == []
    [fault, *_] = ask(Muddled(), 4, 0.2).faults
    assert fault == "R3: 1 rows, expected 2; row symbol=A is missing"


class Failing(Memory):
    """Fails every fourth time."""

    def answer(self) -> pa.Table:
        if self.asked % 4 == 0:
            raise RuntimeError("no more\nmemory")
        return super().answer()


def test_errors_are_counted_and_have_no_time() -> None:
    found = ask(Failing(), 2, 0.2)
    assert 0.2 < found.values["error_ratio"] < 0.3
    assert set(found.errors) == {"RuntimeError: no more memory"}


class Single(Memory):
    @contextmanager
    def connection(self) -> Iterator[Any]:
        raise UnsupportedError("it takes one client at a time")
        yield self


class Rigid(Memory):
    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        raise UnsupportedError("files take no rows")


def test_what_an_engine_cannot_do_is_said_at_once() -> None:
    with pytest.raises(UnsupportedError, match="one client at a time"):
        ask(Single(), 8, 60.0)
    with pytest.raises(UnsupportedError, match="files take no rows"):
        write(Rigid(), 10, 4, 60.0, 1e3)


def test_rows_come_at_the_rate_that_is_offered_and_are_all_there() -> None:
    session = Memory()
    found = write(session, 10, 2, 0.5, 2_000.0)
    values = found.values
    assert 0 < values["batches"] <= 100, "no more than is offered"
    assert 0 < values["rows_per_second"] <= 2_000 * 1.2
    assert values["rows"] == 10 * values["batches"] + 20, "each writer writes one batch before the clock starts"
    assert (values["lost_rows"], values["error_ratio"], found.faults) == (0, 0, [])
    assert sum(one.acknowledged for one in found.curve) <= 1_000
    assert values["visible_rows_looked_for"] > 0
    assert values["visible_p50"] >= 0
    seqs = session.rows()["seq"]
    assert seqs.n_unique() == len(seqs)


class Sluggish(Memory):
    ack_seconds = 0.02


def test_a_backlog_is_shown_and_late_batches_count_from_when_they_were_due() -> None:
    values = write(Sluggish(), 10, 1, 0.5, 2_000.0, watched=False).values
    # 20 ms a batch are 50 batches a second, of 200 that are due.
    assert 0 < values["rows_per_second"] <= 520
    assert values["backlog_rows"] > 400
    assert values["ack_max"] > 0.25
    assert values["service_p50"] >= 0.02
    assert write(Sluggish(), 10, 1, 0.3, None, watched=False).values["backlog_max_rows"] == 0, "nothing is due"


class Losing(Memory):
    """Acknowledges every batch, and forgets some rows."""

    def keep(self, rows: pa.Table) -> None:
        super().keep(rows.slice(1) if len(self.batches) == 5 else rows)


class Repeating(Memory):
    def keep(self, rows: pa.Table) -> None:
        super().keep(pa.concat_tables([rows, rows.slice(0, 2)]) if len(self.batches) == 5 else rows)


class Rounding(Memory):
    def keep(self, rows: pa.Table) -> None:
        at = rows.schema.get_field_index("price")
        next_up = pa.array(np.nextafter(rows.column("price").to_numpy(), np.inf))
        super().keep(rows.set_column(at, TRADES.arrow_schema.field("price"), next_up))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Losing, "1 acknowledged rows cannot be read"),
        (Repeating, "2 rows are there more than once"),
        (Rounding, "rows have other values than were sent"),
    ],
)
def test_rows_that_are_not_there_as_they_were_sent_are_found(
    monkeypatch: pytest.MonkeyPatch, kind: type[Memory], says: str
) -> None:
    monkeypatch.setattr(written, "VISIBLE_WITHIN", 0.2)
    [fault] = write(kind(), 10, 2, 0.2, 1_000.0, watched=False).faults
    assert says in fault


class Refusing(Memory):
    """Refuses every third batch once it has a few."""

    tried = 0

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        self.tried += 1
        if self.tried > 5 and self.tried % 3 == 0:
            raise RuntimeError("too many parts")
        super().append(table, rows)


def test_what_was_refused_is_no_loss_but_an_error() -> None:
    found = write(Refusing(), 10, 1, 0.3, 1_000.0)
    assert 0.2 < found.values["error_ratio"] < 0.4
    assert found.errors[0] == "RuntimeError: too many parts"
    assert (found.values["lost_rows"], found.faults) == (0, [])


class Late(Memory):
    """Shows rows a while after it has acknowledged them."""

    def keep(self, rows: pa.Table) -> None:
        threading.Timer(0.08, super().keep, [rows]).start()


def test_the_time_until_rows_can_be_read_is_told_from_their_acknowledgement() -> None:
    found = write(Late(), 10, 1, 0.5, 1_000.0)
    assert 0.06 < found.values["visible_after_ack_p50"] <= found.values["visible_p50"] < 0.3
    assert (found.values["lost_rows"], found.faults) == (0, []), "they are waited for"


@given(arrays(np.float64, st.integers(0, 3_000), elements=st.floats(0, 1e3)))
@settings(max_examples=50, deadline=None)
def test_percentiles_rise_and_none_stands_for_which_there_are_too_few(seconds: np.ndarray[Any, Any]) -> None:
    found = percentiles(seconds)
    named = [found[name] for name in (*QUANTILES, "max") if name in found]
    assert named == sorted(named)
    assert ("p99" in found) == (len(seconds) >= 100)
    assert ("p99_9" in found) == (len(seconds) >= 1_000)
    if len(seconds):
        assert found["max"] == seconds.max()
        assert np.mean(seconds <= found["p50"]) >= 0.5 - 1 / len(seconds)


@given(
    done=st.lists(st.floats(0, 12), max_size=200),
    batch=st.sampled_from([1, 100, 10_000]),
    rate=st.one_of(st.none(), st.floats(10, 1e5)),
    seconds=st.floats(0.1, 10),
)
@settings(max_examples=100, deadline=None)
def test_curves_hold_every_batch_and_its_backlog(
    done: list[float], batch: int, rate: float | None, seconds: float
) -> None:
    load = IngestLoad(batch, 1, seconds, rate, START_NS, FIRST_SEQ)
    found = curve(load, np.asarray(done))
    ends = np.cumsum([one.seconds for one in found])
    assert len(found) >= 5
    assert abs(ends[-1] - seconds) <= 0.5
    for end, one in zip(ends, np.cumsum([one.acknowledged for one in found]), strict=True):
        assert one / batch == pytest.approx(np.count_nonzero(np.asarray(done) <= end), abs=1), "a tie at the end"
    assert all(one.backlog >= 0 for one in found)
    if rate is None:
        assert not any(one.backlog for one in found)
    elif not done:
        assert found[-1].backlog == pytest.approx(rate * ends[-1], abs=batch)


@given(first=st.integers(0, 10_000), sizes=st.lists(st.integers(1, 700), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_batches_are_one_row_after_the_other(first: int, sizes: list[int]) -> None:
    source = TradeSource([MODELS], START_NS, FIRST_SEQ, 700)
    starts = first + np.cumsum([0, *sizes])
    rows = pa.concat_tables([source.batch(int(at), size) for at, size in zip(starts, sizes, strict=False)])
    assert rows.schema == TRADES.arrow_schema
    numbers = np.arange(first, first + sum(sizes))
    assert (rows.column("seq").to_numpy() == FIRST_SEQ + numbers).all()
    assert (rows.column("ts").cast(pa.int64()).to_numpy() == START_NS + STEP_NS * numbers).all()
    assert (rows.column("price").to_numpy() == source.price[source.models(numbers)]).all()
    assert rows.column("venue").to_pylist() == [MODELS.column("venue")[int(n) % 300].as_py() for n in numbers]
    assert source.time(int(numbers[-1])) == rows.column("ts").cast(pa.timestamp("us", "UTC"))[-1].as_py()


def test_without_models_there_are_no_rows() -> None:
    with pytest.raises(ValueError, match="no trades that rows could be modelled on"):
        TradeSource([trades().to_arrow().cast(TRADES.arrow_schema)], START_NS, FIRST_SEQ, 1)


@given(
    found=st.lists(st.integers(-3, 23), max_size=40),
    sure=st.lists(st.booleans(), min_size=20, max_size=20),
    moved=st.sets(st.integers(0, 39)),
)
@settings(max_examples=100, deadline=None)
def test_read_back_rows_are_counted_as_by_hand(found: list[int], sure: list[bool], moved: set[int]) -> None:
    source = TradeSource([MODELS], START_NS, FIRST_SEQ, 20)
    at = source.models(np.asarray(found, np.int64))
    wrong = [number in moved for number in range(len(found))]
    answer = pa.table(
        {
            "seq": pa.array(FIRST_SEQ + np.asarray(found, np.int64)),
            "symbol": pa.array([str(source.symbols[n]) for n in at], pa.string()),
            "price": source.price[at] + np.asarray(wrong, float),
            "qty": source.qty[at],
        }
    )
    counts = Counter(number for number in found if 0 <= number < 20)
    assert judged(answer, source, 0, 20, np.asarray(sure)) == ReadBack(
        rows=len(found),
        lost=sum(must and not counts[number] for number, must in enumerate(sure)),
        duplicates=sum(count - 1 for count in counts.values()),
        altered=sum(bad and 0 <= number < 20 for number, bad in zip(found, wrong, strict=True)),
        foreign=sum(not 0 <= number < 20 for number in found),
    )


def test_every_connection_has_its_own_seeded_order() -> None:
    def orders(seed: int, client: int) -> list[str]:
        return list(islice(permutations(READS, seed, client), 4 * len(READS)))

    assert orders(1, 0) == orders(1, 0) != orders(2, 0)
    assert orders(1, 0) != orders(1, 1)
    for turn in range(4):
        part = orders(1, 0)[turn * len(READS) : (turn + 1) * len(READS)]
        assert sorted(part) == sorted(READS)
    assert all(name in BY_ID for name in READS)


def _checked_reads(session: Session) -> dict[str, CheckedRead]:
    found = {}
    for name in READS:
        workload, parameters = BY_ID[name], example_parameters(BY_ID[name], TRADE_ROWS, BOOK_ROWS, 0)
        right = answer(workload, parameters, TRADE_ROWS, BOOK_ROWS)
        found[name] = CheckedRead(session.prepare(workload, parameters), right)
    return found


@pytest.fixture(params=["duckdb", "clickhouse_embedded", "postgresql"])
def real(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    if request.param == "postgresql":
        if not SERVER:
            pytest.skip("no PostgreSQL: set TRACEBANK_TEST_POSTGRES_URL")
        monkeypatch.setenv("TRACEBANK_BENCH_POSTGRES_URL", SERVER)
    with engine(request.param).session(Lane.IDIOMATIC, tmp_path) as session:
        load(session, (TRADE_ROWS, BOOK_ROWS))
        yield session


def test_real_engines_answer_rightly_and_lose_nothing_with_several_clients(real: Session) -> None:
    reads = _checked_reads(real)
    closed = measure(real, one_line, queries=QueryLoad(READS, 4, 0.4, 0), reads=reads).queries
    assert closed is not None
    assert (closed.faults, closed.errors) == ([], [])
    assert closed.values["requests"] >= 4
    rate = closed.values["qps"] / 2
    writing = IngestLoad(100, 2, 0.4, 5_000.0, START_NS, FIRST_SEQ)
    both = measure(real, one_line, queries=QueryLoad(READS, 2, 0.4, 0, rate), reads=reads, ingest=writing,
                   models=[MODELS])  # fmt: skip
    assert both.queries is not None
    assert both.ingest is not None
    assert (both.queries.faults, both.queries.errors) == ([], [])
    assert (both.ingest.faults, both.ingest.errors, both.ingest.unchecked) == ([], [], "")
    assert both.ingest.values["lost_rows"] == 0
    assert both.ingest.values["rows"] >= 300
    assert both.ingest.values["visible_rows_looked_for"] >= 1
    single = IngestLoad(1, 2, 0.2, None, START_NS + 86_400 * 10**9, 2 * FIRST_SEQ)
    alone = measure(real, one_line, ingest=single, models=[MODELS]).ingest
    assert alone is not None
    assert (alone.faults, alone.errors, alone.values["lost_rows"]) == ([], [], 0)
    assert real.size(BOOK).rows == BOOK_ROWS.height


def test_a_connection_ends_with_its_block_and_the_data_stay(real: Session) -> None:
    prepared = real.prepare(BY_ID["R12"], {})
    with real.connection() as other:
        assert other.execute(prepared).num_rows > 0
        source = TradeSource([MODELS], START_NS, FIRST_SEQ, 3)
        other.append(TRADES, source.batch(0, 3))
    with real.connection() as other:
        other.append(TRADES, source.batch(3, 1))
    assert real.size(TRADES).rows == TRADE_ROWS.height + 4
    assert real.execute(prepared).num_rows > 0
    assert written.read_back(real, source, 1, range(4), 4).faults() == []


def test_files_can_be_asked_by_many_and_take_no_batches(tmp_path: Path) -> None:
    with engine("polars").session(Lane.IDIOMATIC, tmp_path) as session:
        load(session, (TRADE_ROWS, BOOK_ROWS))
        found = measure(session, one_line, queries=QueryLoad(READS, 4, 0.2, 0), reads=_checked_reads(session)).queries
        assert found is not None
        assert (found.faults, found.errors) == ([], [])
        with pytest.raises(UnsupportedError, match="Parquet files take no rows"):
            write(session, 1, 1, 1.0, 1.0)


@pytest.mark.slow
def test_a_run_notes_every_point_with_its_figures_and_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = (INGEST[0], INGEST[4], INGEST[-1])
    monkeypatch.setattr(points_of, "SHARE", 0.0)
    monkeypatch.setattr(points_of, "INGEST", few)
    plan = checked_plan(["duckdb", "polars"], known=ENGINES, workloads=["Q1", "W2", "W4"], minutes=10.0)
    data = small_set(tmp_path / "data")
    assert run.measure(plan, data, tmp_path / "run")
    record = new_record("r", plan, environment(tmp_path), data.hash, data.rows)
    with Journal(tmp_path / "run" / run.JOURNAL) as journal:
        settle(record, journal)
    found = {(one["engine"], one["workload"]): one for one in record.results}
    statuses = {key: one["status"] for key, one in found.items()}
    assert statuses == {
        ("duckdb", "Q1"): "verified", ("duckdb", "W2"): "verified", ("duckdb", "W4"): "verified",
        ("polars", "Q1"): "verified", ("polars", "W2"): "unsupported", ("polars", "W4"): "unsupported",
    }, found  # fmt: skip
    assert found["polars", "W2"]["reason"].startswith("Parquet files take no rows")
    queries = found["duckdb", "Q1"]["measures"]
    for connections in CONNECTIONS:
        assert queries[f"closed_{connections}_qps"] > 0
        assert queries[f"closed_{connections}_p50"] > 0
    assert {f"open_{percent}_max" for percent in OPEN_PERCENT} < set(queries)
    ingest = found["duckdb", "W2"]["measures"]
    for batch, writers, rate in few:
        point = f"b{batch}_w{writers}_r{'max' if rate is None else int(rate)}"
        assert ingest[f"{point}_lost_rows"] == 0
        assert ingest[f"{point}_rows_per_second"] > 0
        assert sum(one.kind == point for one in record.samples) >= 5, "a curve"
    assert found["duckdb", "W4"]["median_seconds"] is None
    assert sample_frame(record).height == len(record.samples)
    shown = page(record)
    for words in ("Concurrent queries (Q1)", "Sustained ingest (W2)", "Ingest under queries (W4)", "closed, 32",
                  "as fast as it goes, batches of 10,000, 2 writers", "2 readers, 10,000 rows/s"):  # fmt: skip
        assert words in shown
    assert shown.count("<svg") == 2
    before = len(record.samples)
    again = checked_plan(["polars"], known=ENGINES, workloads=["Q1", "W4"], minutes=10.0)
    assert run.measure(again, data, tmp_path / "run"), "what is decided is not asked again"
    with Journal(tmp_path / "run" / run.JOURNAL) as journal:
        assert len(settle(record, journal).samples) == before


class Scripted(Station):
    """A station whose engine does what a test says, point after point."""

    script: Iterator[Part | BaseException]

    def call(self, command: str, *arguments: object, timeout: float | None = None) -> Any:
        assert command == "concurrent"
        assert timeout is not None
        part = next(self.script)
        if isinstance(part, BaseException):
            raise part
        return Outcome(1.0, 0.5, ingest=part)


def _ingested(ratio: float = 0.0, *faults: str) -> Part:
    return Part({"error_ratio": ratio}, list(faults), ["full"] if ratio else [], curve=[Interval(1.0, 10, 0)])


FINE = [_ingested() for _ in INGEST]
FIRST = f"b{INGEST[0][0]}_w{INGEST[0][1]}_r{INGEST[0][2]:.0f}"


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    plan = checked_plan(["duckdb"], known=ENGINES, workloads=["W2"], minutes=0.01)
    with Journal(tmp_path / run.JOURNAL) as journal:
        setting = Setting(plan, small_set(tmp_path / "data"), {}, journal, LoadWatch(), Budget(1), tmp_path)
        yield Scripted("duckdb", Lane.IDIOMATIC, "", setting)


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        (FINE, "verified", ""),
        ([_ingested(0.005), *FINE[1:]], "partial", f"{FIRST}: 0.50% failed: full"),
        ([_ingested(0.5), *FINE[1:]], "partial", f"{FIRST}: 50.00% failed: full"),
        ([_ingested(0.5) for _ in FINE], "error", f"{FIRST}: 50.00% failed: full; "),
        (
            [_ingested(0.0, "3 acknowledged rows cannot be read")],
            "wrong_answer",
            f"{FIRST}: 3 acknowledged rows cannot",
        ),
        ([UnsupportedError("no batches")], "unsupported", "no batches"),
        ([EngineFailed("RuntimeError: no")], "error", "RuntimeError: no"),
        ([*FINE[:2], EngineTimeout("no answer within 60 s")], "timeout", "no answer within 60 s"),
        ([EngineDied("ended by signal SIGKILL")], "error", "ended by signal SIGKILL"),
    ],
)
def test_what_becomes_of_a_workload(
    scripted: Scripted, script: list[Part | BaseException], status: str, reason: str
) -> None:
    scripted.script = iter(script)
    sustained_ingest(scripted)
    verdict = scripted.case("W2").verdict
    assert verdict is not None
    assert verdict.status == status
    assert verdict.reason.startswith(reason)


def test_a_stopped_workload_goes_on_at_the_point(scripted: Scripted) -> None:
    scripted.script = iter([*FINE[:3], KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        sustained_ingest(scripted)
    assert scripted.case("W2").verdict is None
    scripted.script = iter(FINE[3:])
    sustained_ingest(scripted)
    assert scripted.case("W2").verdict is not None
    assert len(scripted.case("W2").samples) == len(INGEST)
    assert next(scripted.script, None) is None


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [({"minutes": 0.01}, 0.2), ({"minutes": 10.0}, 8.3), ({"full": True}, 600), ({"minutes": 5_000.0}, 600)],
)
def test_points_share_a_part_of_the_time(tmp_path: Path, changed: dict[str, Any], seconds: float) -> None:
    plan = checked_plan(["duckdb", "polars"], known=ENGINES, workloads=["Q1", "W2", "W4"], **changed)
    with Journal(tmp_path / run.JOURNAL) as journal:
        budget = Budget(plan.minutes, busy=1.0)
        setting = Setting(plan, small_set(tmp_path / "data"), {}, journal, LoadWatch(), budget, tmp_path)
        assert point_seconds(setting) == pytest.approx(seconds, rel=0.1)
