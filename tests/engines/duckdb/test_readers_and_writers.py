"""A file that is read is not written meanwhile, by whomever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.faults import StoreBusy
from tracebank.stores.opening import open_series, upgrade

_WRITE = """
import sys
from tracebank.settings import Settings
from tracebank.stores.faults import StoreBusy
from tracebank.stores.opening import open_series
settings = Settings.load(series_url=sys.argv[1], lock_timeout=0.2)
try:
    with open_series(settings).session():
        print("written")
except StoreBusy:
    print("busy")
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    url, home = f"duckdb:///{tmp_path / 'series.duckdb'}", tmp_path / "home"
    return Settings.load(home=home, series_url=url, relational_url=f"sqlite:///{home}/r.db", lock_timeout=0.2)


def _written(settings: Settings) -> str:
    command = [sys.executable, "-c", _WRITE, settings.series_url.get_secret_value()]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_another_process_writes_once_the_last_query_of_this_one_has_ended(settings: Settings) -> None:
    upgrade(settings)
    connection = Connection(settings)
    with connection.open("SELECT 1") as answer:
        assert connection.sql("SELECT 2 AS a").rows() == [(2,)]  # which closes the file once
        assert _written(settings) == "busy"
        assert [batch.num_rows for batch in answer.batches] == [1]
    assert _written(settings) == "written"


def test_a_query_waits_for_a_writer(settings: Settings) -> None:
    upgrade(settings)
    with open_series(settings).session(), pytest.raises(StoreBusy, match=r"did not close it within 0\.2 s"):
        Connection(settings).sql("SELECT 1")
    assert Connection(settings).sql("SELECT 1 AS a").rows() == [(1,)]
