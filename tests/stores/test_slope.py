"""How costs grow with a table: the rows that are made, what is measured of them, how it is shown; never how fast."""

from __future__ import annotations

import io
import json
import time
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tracebank.stores.faults import StoreError
from tracebank_benchmarks.stores import made_rows, slope, slope_shown
from tracebank_benchmarks.stores.__main__ import app
from tracebank_benchmarks.stores.places import opened
from tracebank_benchmarks.stores.slope import OPERATIONS, Point, Size, measure, operations, sizes
from tracebank_benchmarks.stores.timing import Clock, Timing, owners, summary


@pytest.mark.parametrize(("rows", "partitions"), [(1, 1), (1_003, 7), (250, 250), (5_000, 3)])
def test_every_partition_has_its_rows(rows: int, partitions: int) -> None:
    blocks = list(made_rows.frames(rows, partitions, block=400))
    frame = pl.concat(blocks)
    assert frame.schema == made_rows.table("t").polars_schema
    assert frame.height == rows
    assert max(block.height for block in blocks) < 400 + 400
    counts = frame.group_by(pl.col("ts").dt.date().alias("day"), "symbol").len()
    found = {(day, symbol): size for day, symbol, size in counts.iter_rows()}
    assert len(found) == partitions
    for number in range(partitions):
        place = made_rows.partition(number)
        assert found[place["day"], place["symbol"]] == made_rows.rows_of(number, rows, partitions)


def test_more_partitions_are_more_days() -> None:
    assert made_rows.partition(0) == {"day": date(2020, 1, 1), "symbol": "S00"}
    assert made_rows.partition(9_999) == {"day": date(2020, 1, 1) + timedelta(days=99), "symbol": "S99"}


def test_a_row_is_where_it_is_said_to_be() -> None:
    [frame] = made_rows.frames(1_003, 7)
    place, rows = made_rows.partition(3), made_rows.rows_of(3, 1_003, 7)
    of_it = frame.filter(pl.col("symbol") == place["symbol"])
    assert of_it["ts"].dt.cast_time_unit("us").to_list() == [made_rows.moment(place, at, rows) for at in range(rows)]


def test_small_partitions_are_apart_from_the_others() -> None:
    place, frame = made_rows.small(20, 3)
    assert frame.height == 20
    assert place not in [made_rows.partition(number) for number in range(200)]
    assert not frame["price"].equals(made_rows.small(20)[1]["price"])


def test_small_tables_come_first_and_none_has_more_partitions_than_rows() -> None:
    assert sizes([1_000, 10], [100, 10]) == [Size(10, 10), Size(1_000, 10), Size(1_000, 100)]


def test_every_operation_is_measured_at_every_size(tmp_path: Path) -> None:
    done: list[Point] = []
    asked = sizes([300, 900], [3, 150])
    points = measure(["duckdb"], asked, tmp_path, minutes=5, repetitions=2, done=done.append)
    assert done == points
    assert [(point.engine, point.rows, point.partitions, point.reason) for point in points] == [
        ("duckdb", size.rows, size.partitions, "") for size in asked
    ]
    for point in points:
        assert tuple(point.timings) == OPERATIONS
        assert {one.repetitions for one in point.timings.values()} == {2}
        assert all(0 < one.p50 <= one.p95 and 0 <= one.foreign_share <= 1 for one in point.timings.values())
        assert point.bytes > 0


def test_nothing_is_left_behind_and_small_partitions_are_replaced(tmp_path: Path) -> None:
    store = opened("duckdb", tmp_path).store
    table, size = made_rows.table("here"), Size(60, 6)
    store.create(table)
    store.append(table, made_rows.frames(size.rows, size.partitions))
    for work in operations(opened("duckdb", tmp_path), table, size).values():
        work(1)
        work(2)
    assert len(store.partitions(table)) == size.partitions + len(slope.SMALL)
    assert store.read(table, partition=made_rows.small(20)[0])["price"].min() == 2.0
    measure(["duckdb"], [size], tmp_path, minutes=5, repetitions=1)
    assert store.differences(table) == []
    store.drop(table)
    with pytest.raises(StoreError):
        operations(opened("duckdb", tmp_path), table, size)["one row"](0)


def test_a_row_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    place, table = opened("duckdb", tmp_path), made_rows.table("empty")
    place.store.create(table)
    with pytest.raises(StoreError, match="empty: 0 rows are at"):
        operations(place, table, Size(60, 6))["one row"](0)


def test_what_there_is_no_time_for_is_said(tmp_path: Path) -> None:
    points = measure(["duckdb"], [Size(10, 2)], tmp_path, minutes=0)
    assert [(point.rows, point.reason, point.timings) for point in points] == [(10, "no time is left for it", {})]


def test_a_load_is_expected_to_take_as_long_as_those_before_it() -> None:
    loaded = [Point("e", 100, 10, "", 1.0), Point("e", 100, 50, "", 20.0)]
    assert slope.expected(Size(1_000, 5), loaded) == 0.0, "nothing is known of it"
    assert slope.expected(Size(1_000, 10), loaded) == pytest.approx(1.0 + 900 * 0.01)
    assert slope.expected(Size(1_000, 50), loaded) == pytest.approx(20.0 + 900 * 0.01)


def test_an_engine_that_is_not_here_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEBANK_BENCH_CLICKHOUSE_URL", raising=False)
    points = measure(["clickhouse"], sizes([10, 20], [2]), tmp_path, minutes=1)
    assert points == [Point("clickhouse", 0, 0, "TRACEBANK_BENCH_CLICKHOUSE_URL is not set")]
    assert slope_shown.reasons([*points, *points]) == ["clickhouse: TRACEBANK_BENCH_CLICKHOUSE_URL is not set"]
    monkeypatch.setenv("TRACEBANK_BENCH_CLICKHOUSE_URL", "clickhouse://me:hidden-word@127.0.0.1:1/x")
    [refused] = measure(["clickhouse"], [Size(10, 2)], tmp_path, minutes=1)
    assert refused.reason
    assert "hidden-word" not in refused.reason


# --- timing -----------------------------------------------------------------------------------------------------------


def test_the_first_time_does_not_count() -> None:
    seen: list[int] = []
    timing = Clock(time.monotonic() + 60).timed(seen.append, 3)
    assert seen == [0, 1, 2, 3]
    assert timing.repetitions == 3


def test_after_the_deadline_one_repetition_is_enough() -> None:
    assert Clock(time.monotonic() - 1).timed(lambda _: None, 9).repetitions == 1


def test_percentiles() -> None:
    found = summary([0.1, 0.2, 0.3, 0.4, 1.4])
    assert (found.p50, found.p95) == (pytest.approx(0.3), pytest.approx(1.2))
    with pytest.raises(ValueError, match="at least one"):
        summary([])


def test_owners_of_a_folder_are_others_that_name_it(tmp_path: Path) -> None:
    import subprocess
    import sys

    assert owners(None) == owners(tmp_path) == []
    command = [sys.executable, "-c", "import sys; print('on', flush=True); sys.stdin.read()", str(tmp_path / "series")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [one.pid for one in owners(tmp_path)] == [process.pid]


# --- shown ------------------------------------------------------------------------------------------------------------

TIMING = Timing(5, 1.23456, 12.3456, 0.1, 0.5)
POINTS = [
    Point(engine, rows, partitions, "", 1.0, 10, dict.fromkeys(OPERATIONS, TIMING))
    for engine in ("clickhouse_embedded", "timescaledb")
    for rows in (10**6, 10**8)
    for partitions in (10, 10_000)
]


def test_the_table_fits_eighty_columns_and_cuts_nothing() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(slope_shown.slope_table([*POINTS, Point("duckdb", 10**8, 10, "no time is left for it")]))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert sum("1234.6" in line and "12345.6" in line for line in lines) == len(POINTS) * len(OPERATIONS)
    assert sum("not measured" in line for line in lines) == 1


def test_numbers_are_short() -> None:
    assert [slope_shown.short(n) for n in (10, 1_000, 1_500, 10**6, 10**8)] == ["10", "1k", "1.5k", "1M", "100M"]


def test_all_of_it_is_in_the_file_and_in_the_plot(tmp_path: Path) -> None:
    slope_shown.write_json(POINTS, {"cores": 2}, tmp_path / "slope.json")
    kept = json.loads((tmp_path / "slope.json").read_text())
    assert kept["machine"] == {"cores": 2}
    assert len(kept["points"]) == len(POINTS)
    assert kept["points"][0]["timings"]["one row"]["p95"] == 12.3456
    slope_shown.draw(POINTS, tmp_path / "slope.svg")
    picture = (tmp_path / "slope.svg").read_text()
    for text in (*OPERATIONS, "clickhouse embedded, 10 partitions", "timescaledb, 10k partitions", "rows of the table"):
        assert text in picture, text
    slope_shown.draw(POINTS, tmp_path / "slope.png")
    assert (tmp_path / "slope.png").read_bytes().startswith(b"\x89PNG")


def test_the_command(tmp_path: Path) -> None:
    arguments = ["slope", "--engines", "duckdb", "--rows", "200", "--partitions", "2", "--repetitions", "1"]
    found = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path)])
    assert found.exit_code == 0, found.output
    assert "replace 1,000 rows" in found.stdout
    assert (tmp_path / "slope.svg").exists()
    assert json.loads((tmp_path / "slope.json").read_text())["machine"]["cores"] >= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--engines", "oracle"], "--engines: ['oracle'] are not known; use clickhouse_embedded"),
        (["--rows", "many"], "--rows: 'many' is not accepted; use numbers above 0"),
        (["--partitions", "0"], "--partitions: '0' is not accepted"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(arguments: list[str], says: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["slope", *arguments, "--output", str(tmp_path / "none")])
    assert found.exit_code == 2
    assert says in " ".join(found.output.replace("│", " ").split())
    assert not (tmp_path / "none").exists()
