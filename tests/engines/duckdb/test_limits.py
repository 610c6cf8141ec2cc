"""Queries are held to their time and memory, can be cancelled, and leave no temporary files."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tracebank.engines.duckdb import temporary
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlLimit
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError

ENDLESS = "SELECT count(*) AS n FROM range(100000) AS a, range(100000000) AS b WHERE a.range + b.range = 7"
SMALL = 64 << 20

RUN = """
import sys
from tracebank.cli.faults import report
from tracebank.query.connection import connect
try:
    print("begun", flush=True)
    print(connect().sql(sys.argv[1], memory=int(sys.argv[2])))
except BaseException as error:
    sys.exit(report(error))
"""


def _process(settings: Settings, query: str) -> subprocess.Popen[str]:
    """A process of its own, as that of the command line, that answers a query."""
    command = [sys.executable, "-c", RUN, query, str(SMALL)]
    environment = {**os.environ, **settings.environment()}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("query", [ENDLESS, f"EXPLAIN ANALYZE {ENDLESS}", "SELECT * FROM range(10000000000000)"])
def test_a_query_that_takes_too_long_is_stopped(query: str, connection: Connection) -> None:
    with pytest.raises(SqlLimit, match=r"^the query was stopped after 0\.3 s; ask for less, or raise --timeout"):
        for _ in connection.stream(query, timeout=0.3):
            pass
    assert connection.sql("SELECT 1 AS x").rows() == [(1,)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT list(range) AS x FROM range(1000000000)",
        "SELECT string_agg(repeat('x', 1000000), '') AS x FROM range(100000)",
    ],
)
def test_a_query_that_takes_too_much_memory_is_stopped(query: str, connection: Connection) -> None:
    with pytest.raises(SqlLimit, match=r"^the query needs more than the 64 MiB of memory") as caught:
        connection.sql(query, memory=SMALL)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not bound a process's addresses")
@pytest.mark.parametrize("query", ["SELECT len(range(1000000000)) AS x", "SELECT length(repeat('x', 4000000000)) AS x"])
def test_one_value_that_takes_too_much_memory_is_stopped(query: str, warehouse: Settings) -> None:
    process = _process(warehouse, query)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "needs more than the 64 MiB of memory" in errors
    assert len(errors.splitlines()) == 1


def test_an_interrupt_ends_a_query(warehouse: Settings) -> None:
    process = _process(warehouse, ENDLESS)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    while not list((warehouse.home / "temporary").glob("query-*")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "tracebank: interrupted\n"
    assert list((warehouse.home / "temporary").iterdir()) == []


def test_an_answer_is_streamed(connection: Connection) -> None:
    batches = connection.stream("SELECT range AS x, repeat('x', 1000) AS y FROM range(100000000)", memory=SMALL)
    assert sum(next(batches).num_rows for _ in range(5)) > 1000
    batches.close()


def test_a_sort_larger_than_memory_goes_to_a_folder_below_the_home(warehouse: Settings) -> None:
    place = warehouse.home / "temporary"
    seen: list[Path] = []
    query = "SELECT md5(range::VARCHAR) AS x FROM range(3000000) ORDER BY x"
    with Connection(warehouse).open(query, memory=SMALL) as answer:
        rows = next(answer.batches).num_rows
        seen += place.rglob("*.tmp")
        rows += sum(batch.num_rows for batch in answer.batches)
    assert rows == 3_000_000
    assert seen
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert list(place.iterdir()) == []


def test_folders_of_killed_queries_are_removed_and_those_in_use_stay(tmp_path: Path) -> None:
    left = tmp_path / "temporary" / "query-left"
    left.mkdir(parents=True)
    (left / "x.tmp").write_text("x")
    with temporary.folder(tmp_path) as one, temporary.folder(tmp_path) as other:
        assert one.is_dir()
        assert other.is_dir()
        assert not left.exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_home_that_takes_no_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "temporary").write_text("a file")
    with pytest.raises(StoreError, match=r"folder for temporary files .*temporary: "), temporary.folder(tmp_path):
        pass
