"""Bulk loads from files: whichever way rows come in, the same rows are there afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from tracebank.stores.faults import StoreError
from tracebank_benchmarks.tsdb import data_files
from tracebank_benchmarks.tsdb.comparison import compare
from tracebank_benchmarks.tsdb.data import example_parameters, small_data
from tracebank_benchmarks.tsdb.data_set import DataSet, DataSetWriter, opened
from tracebank_benchmarks.tsdb.engine import FileForm, LoadsFiles, Session, UnsupportedError
from tracebank_benchmarks.tsdb.engines import engine, state
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.workloads import READS, Lane
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES

IN_PROCESS = ("clickhouse_embedded", "duckdb", "polars")
SERVERS = {
    "postgresql": ("TRACEBANK_BENCH_POSTGRES_URL", os.environ.get("TRACEBANK_TEST_POSTGRES_URL", "")),
    "influxdb1": ("TRACEBANK_BENCH_INFLUXDB1_URL", os.environ.get("TRACEBANK_TEST_INFLUXDB_URL", "")),
}


@pytest.fixture(autouse=True)
def servers(_own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that the tests have are those that the suite measures."""
    for variable, url in SERVERS.values():
        if url:
            monkeypatch.setenv(variable, url)


@pytest.fixture(params=[*IN_PROCESS, *SERVERS])
def name(request: pytest.FixtureRequest, servers: None) -> str:
    found = state(request.param)
    if not found.available:
        pytest.skip(found.reason)
    return str(request.param)


@pytest.fixture(params=list(Lane), ids=str)
def lane(request: pytest.FixtureRequest) -> Lane:
    return Lane(request.param)


def two_days(folder: Path, step: int) -> DataSet:
    """Two days, with text that needs quotes in CSV, and time stamps in steps of so many nanoseconds."""
    trades, book = small_data(7, 600)
    name = pl.when(pl.col("symbol") == trades["symbol"][0]).then(pl.lit('a,b "c" d')).otherwise(pl.col("symbol"))
    with DataSetWriter(folder, 0.0, {"kind": "test"}) as writer:
        for table, rows in ((TRADES, trades), (BOOK, book)):
            for day in range(2):
                stamp = pl.col("ts").cast(pl.Int64) + pl.col("seq") % 997 * step + day * 86_400_000_000_000
                writer.put(table, rows.with_columns(ts=stamp.cast(pl.Datetime("ns", "UTC")), symbol=name))
    found = opened(folder)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Time stamps in microseconds, which is what every engine compares."""
    return two_days(tmp_path_factory.mktemp("data") / "set", 1_000)


@contextmanager
def session_of(name: str, lane: Lane, folder: Path) -> Iterator[Session]:
    folder.mkdir(exist_ok=True)
    with engine(name).session(lane, folder) as session:
        yield session


def load_all(session: Session, data: DataSet, lane: Lane, form: FileForm) -> None:
    assert isinstance(session, LoadsFiles)
    for table in TABLES:
        phases = session.load_files(table, data_files.files(data, table, form, lane), form)
        assert phases.send + phases.server > 0
        assert phases.serialise == 0


def forms(name: str) -> list[FileForm]:
    return {"postgresql": [FileForm.CSV], "influxdb1": [FileForm.LINES]}.get(name, [FileForm.CSV, FileForm.PARQUET])


def test_files_give_the_answers_of_the_rows_that_they_hold(
    name: str, lane: Lane, data: DataSet, tmp_path: Path
) -> None:
    frames = data.frame(TRADES), data.frame(BOOK)
    for form in forms(name):
        with session_of(name, lane, tmp_path / form) as session:
            load_all(session, data, lane, form)
            for table in TABLES:
                assert session.size(table).rows == data.rows[table.name]
            asked = 0
            for workload in READS:
                parameters = example_parameters(workload, *frames, 5)
                try:
                    prepared = session.prepare(workload, parameters)
                except UnsupportedError:
                    continue
                found = session.execute(prepared)
                assert compare(workload, answer(workload, parameters, *frames), found) == [], (form, workload.id)
                asked += 1
            assert asked >= (len(READS) if name in IN_PROCESS else 10)


@pytest.mark.parametrize("form", [FileForm.CSV, FileForm.PARQUET])
def test_nanoseconds_come_through(lane: Lane, form: FileForm, tmp_path: Path) -> None:
    fine = two_days(tmp_path / "set", 1)
    wanted = fine.frame(TRADES).sort("seq")
    assert (wanted["ts"].cast(pl.Int64) % 1000 != 0).any()
    for name in ("clickhouse_embedded", "duckdb", "postgresql"):
        if not state(name).available or form not in forms(name):
            continue
        with session_of(name, lane, tmp_path / name) as session:
            load_all(session, fine, lane, form)
            found = session._store.read(session.declared(TRADES))  # type: ignore[attr-defined]
            assert found.sort("seq").equals(wanted), name


def test_what_an_engine_does_not_read_it_refuses_with_the_reason(name: str, lane: Lane, tmp_path: Path) -> None:
    with session_of(name, lane, tmp_path) as session:
        assert isinstance(session, LoadsFiles)
        assert session.text_form in forms(name)
        for form in set(FileForm) - set(forms(name)):
            with pytest.raises(UnsupportedError, match="reads"):
                session.load_files(TRADES, [tmp_path / "none"], form)
        assert set(session.refused_forms) == set(FileForm) - set(forms(name))


def broken(data: DataSet, lane: Lane, form: FileForm, folder: Path) -> list[Path]:
    """Files of which the last is cut short or has a value that is none."""
    good = data_files.files(data, TRADES, form, lane)
    bad = folder / f"broken.{form}"
    content = good[-1].read_bytes()
    if form is FileForm.PARQUET:
        bad.write_bytes(content[: len(content) // 2])
    else:
        at = content.rindex(b"\n", 0, len(content) - 200) + 1
        bad.write_bytes(content[:at] + b"what,is this\n" + content[at:])
    return [*good[:-1], bad]


def test_a_broken_file_gives_one_line_and_leaves_nothing(name: str, lane: Lane, data: DataSet, tmp_path: Path) -> None:
    for form in forms(name):
        with session_of(name, lane, tmp_path / form) as session:
            assert isinstance(session, LoadsFiles)
            with pytest.raises(StoreError) as refused:
                session.load_files(TRADES, broken(data, lane, form, tmp_path), form)
            assert "\n" not in str(refused.value)
            assert len(str(refused.value)) < 700
            assert session.size(TRADES).rows == 0
            load_all(session, data, lane, form)
            assert session.size(TRADES).rows == data.rows[TRADES.name]


def test_a_file_that_is_not_there_is_named(name: str, data: DataSet, tmp_path: Path) -> None:
    form = forms(name)[0]
    good = data_files.files(data, TRADES, form, Lane.PAPER)
    with session_of(name, Lane.PAPER, tmp_path / "at") as session:
        assert isinstance(session, LoadsFiles)
        with pytest.raises((StoreError, OSError), match="missing"):
            session.load_files(TRADES, [*good, tmp_path / "missing.csv"], form)
        assert session.size(TRADES).rows == 0


def test_files_are_made_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = two_days(tmp_path / "set", 1_000)
    first = data_files.files(data, TRADES, FileForm.CSV, Lane.PAPER)
    made = {path: path.stat().st_mtime_ns for path in first}
    assert len(first) == len(data.paths(TRADES))
    again = data_files.files(data, TRADES, FileForm.CSV, Lane.IDIOMATIC)
    assert {path: path.stat().st_mtime_ns for path in again} == made
    assert sum(len(path.read_text().splitlines()) - 1 for path in first) == data.rows[TRADES.name]

    def stopped(_data: DataSet, _table: object, _lane: Lane, folder: Path) -> None:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    before = sorted(data.folder.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(data_files, "_write_lines", stopped)
        with pytest.raises(KeyboardInterrupt):
            data_files.files(data, BOOK, FileForm.LINES, Lane.IDIOMATIC)
    assert sorted(data.folder.iterdir()) == before
    assert len(data_files.files(data, BOOK, FileForm.LINES, Lane.IDIOMATIC)) == len(data.paths(BOOK))


def test_pieces_of_text_files_are_whole_lines(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.lines").write_bytes(b"".join(b"%d %d\n" % (number, k) for k in range(5)))
    pieces = list(data_files.whole_lines(sorted(tmp_path.iterdir()), 2))
    assert [piece.count(b"\n") for piece in pieces] == [2, 2, 1, 2, 2, 1]
    assert all(piece.endswith(b"\n") for piece in pieces)
