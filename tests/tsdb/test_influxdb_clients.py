"""InfluxDB 2 and 3 without their servers: writes of 2 against VictoriaMetrics, all else against protocol doubles.

The double of version 2 evaluates nothing; that of version 3 has SQL evaluated by DataFusion. No figure is ever taken
from one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
import urllib3

from tracebank.stores.faults import StoreError
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.data import example_parameters, small_data
from tracebank_benchmarks.tsdb.engine import Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb import InfluxDB2, InfluxDB3, version2, version3
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane, Workload
from tracebank_schemas.tsdb_benchmark import BOOK, TRADES

from .influxdb3_double import InfluxDB3Double, influxdb3_double
from .verified_reads import faults, faults_of_nothing

_VICTORIA = os.environ.get("TRACEBANK_TEST_VICTORIA_METRICS_URL")
FLUX = (
    b",result,table,symbol,highest_bid\r\n,_result,0,BTC-USD,101.5\r\n\r\n"
    b",result,table,symbol,highest_bid\r\n,_result,0,O'NEIL,7\r\n"
)


METRICS = b"""# TYPE storage_shard_disk_size gauge
storage_shard_disk_size{bucket="0",engine="tsm1",id="1",path="/a",walPath="/b"} 1e+06
storage_shard_disk_size{bucket="0",engine="tsm1",id="2",path="/a",walPath="/b"} 500000
storage_shard_disk_size{bucket="1",engine="tsm1",id="3",path="/a",walPath="/b"} 7
"""


class _Http(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, str, bytes]]] = []
    metrics: ClassVar[bytes] = b""

    def _answer(self, body: bytes = b"", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("X-Influxdb-Version", "v2.7.11" if "v3" not in self.server.kind else "3.2.1")  # type: ignore[attr-defined]
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(self.metrics, 200 if self.metrics else 403)
            return
        found = {
            "buckets": [{"id": "0", "name": "b", "retentionRules": []}],
            "orgs": [{"id": "0", "name": "tracebank"}],
        }
        self._answer(json.dumps(found).encode())

    def do_DELETE(self) -> None:
        self.asked.append(("DELETE", self.path, b""))
        self._answer(status=204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(("POST", self.path, body))
        if self.path.startswith("/api/v2/query"):
            self._answer(FLUX)
        elif self.path.startswith("/api/v2/buckets"):
            self._answer(json.dumps({"id": "0", "name": "b", "retentionRules": []}).encode(), 201)
        else:
            self._answer(status=204)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def http_double(kind: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Http)
    server.kind = kind  # type: ignore[attr-defined]
    _Http.asked.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_version_2_writes_are_taken_by_victoria_metrics() -> None:
    if not _VICTORIA:
        pytest.skip(
            "no VictoriaMetrics: set TRACEBANK_TEST_VICTORIA_METRICS_URL to what '.ci/victoria-metrics start' prints"
        )
    from influxdb_client import InfluxDBClient

    trades, _ = small_data(1)
    mark = f"mark_{uuid.uuid4().hex}"
    trades = trades.with_columns(venue=pl.lit(mark))
    with InfluxDBClient(_VICTORIA, token="none", org="none", timeout=30_000) as client:
        session = version2.InfluxSession(lambda: client, "none", "none", Lane.IDIOMATIC)
        phases = session.load(TRADES, [trades.to_arrow()])
    assert phases.send > 0
    urllib3.request("GET", f"{_VICTORIA}/internal/force_flush")
    found = urllib3.request(
        "GET", f"{_VICTORIA}/api/v1/export", fields={"match[]": f'bench_trades_seq{{venue="{mark}"}}'}
    )
    values = [value for line in found.data.splitlines() for value in json.loads(line)["values"]]
    assert sorted(values) == sorted(trades["seq"].to_list())


def test_version_2_asks_and_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trades, _ = small_data(1)
    with http_double("v2") as url:
        monkeypatch.setenv(version2.URL_VARIABLE, url)
        assert InfluxDB2().state().version == "v2.7.11"
        with InfluxDB2().session(Lane.IDIOMATIC, tmp_path) as session:
            session.load(TRADES, [trades.to_arrow()])
            day = trades["ts"].dt.cast_time_unit("us")[0]
            prepared = session.prepare(BY_ID["R3"], {"symbols": ("O'NEIL", 'q"'), "start": day, "end": day})
            found = session.execute(prepared)
    assert found.to_pydict() == {"symbol": ["BTC-USD", "O'NEIL"], "highest_bid": [101.5, 7.0]}
    writes = [body for _, path, body in _Http.asked if path.startswith("/api/v2/write")]
    assert sum(body.count(b"\n") for body in writes) == trades.height
    asked = [json.loads(body)["query"] for _, path, body in _Http.asked if path.startswith("/api/v2/query")]
    assert '["O\'NEIL", "q\\""]' in asked[0]
    assert re.search(r'from\(bucket: "bench_idiomatic_\w+_bench_book"\)', asked[0])


def test_version_2_reads_no_error_as_an_answer() -> None:
    with pytest.raises(StoreError, match="out of memory"):
        version2.answer(BY_ID["R3"], b"error,reference\r\nout of memory,897\r\n")
    assert version2.answer(BY_ID["R3"], b"\r\n").num_rows == 0


def test_version_2_sizes_are_the_servers_metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with http_double("v2") as url:
        monkeypatch.setenv(version2.URL_VARIABLE, url)
        with InfluxDB2().session(Lane.IDIOMATIC, tmp_path) as session:
            monkeypatch.setattr(session, "rows", lambda table: 300)
            monkeypatch.setattr(_Http, "metrics", METRICS)
            size = session.size(TRADES)
            assert (size.rows, size.bytes) == (300, 1_500_000)
            monkeypatch.setattr(_Http, "metrics", METRICS.replace(b'bucket="0"', b'bucket="2"'))
            with pytest.raises(UnsupportedError, match="tell no shard"):
                session.size(TRADES)
            monkeypatch.setattr(_Http, "metrics", b"")
            with pytest.raises(UnsupportedError, match="HTTP 403"):
                session.size(TRADES)


def test_batches_and_further_connections_of_version_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trades, _ = small_data(1)
    with http_double("v2") as url:
        monkeypatch.setenv(version2.URL_VARIABLE, url)
        with InfluxDB2().session(Lane.PAPER, tmp_path) as session, session.connection() as other:
            for at, one in enumerate((session, other, other)):
                one.append(TRADES, trades[at * 10 : at * 10 + 10].to_arrow())
            session.append(TRADES, trades[30:31].to_arrow())
    writes = [body for _, path, body in _Http.asked if path.startswith("/api/v2/write")]
    assert [body.count(b"\n") for body in writes] == [10, 10, 10, 1]


# --- version 3, its texts run on DataFusion ---------------------------------------------------------------------------


def _session(double: InfluxDB3Double, lane: Lane) -> version3.InfluxSession:
    from influxdb_client_3 import InfluxDBClient3

    port = int(double.http.rstrip("/").rpartition(":")[2])
    made = partial(
        InfluxDBClient3,
        host="http://127.0.0.1",
        database="bench",
        token="none",
        write_port_overwrite=port,
        query_port_overwrite=double.flight_port,
    )
    return version3.InfluxSession(made, lane)


@pytest.fixture(scope="module", params=[(lane, seed) for lane in Lane for seed in (1, 2)], ids=str)
def on_datafusion(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[version3.InfluxSession, pl.DataFrame, pl.DataFrame, int]]:
    lane, seed = request.param
    trades, book = small_data(seed)
    with influxdb3_double() as double:
        session = _session(double, lane)
        session.load(TRADES, [trades[:100].to_arrow(), trades[100:].to_arrow()])
        session.load(BOOK, [book.to_arrow()])
        yield session, trades, book, seed
        session.close()


@pytest.mark.parametrize("workload", READS, ids=lambda workload: workload.id)
def test_version_3s_texts_are_right_on_datafusion(
    on_datafusion: tuple[version3.InfluxSession, pl.DataFrame, pl.DataFrame, int], workload: Workload
) -> None:
    """DataFusion is what InfluxDB 3 evaluates SQL with; it is not InfluxDB."""
    session, trades, book, seed = on_datafusion
    for at in range(3):
        assert faults(session, workload, (trades, book), 100 * seed + at) == []
    assert faults_of_nothing(session, workload, (trades, book)) == []


def test_every_point_of_version_3_is_there(
    on_datafusion: tuple[version3.InfluxSession, pl.DataFrame, pl.DataFrame, int],
) -> None:
    session, trades, book, _ = on_datafusion
    assert (session.rows(TRADES), session.rows(BOOK)) == (trades.height, book.height)


def test_version_3_takes_batches_on_several_connections() -> None:
    trades, _ = small_data(1)
    with influxdb3_double() as double:
        session = _session(double, Lane.IDIOMATIC)
        with session.connection() as other:
            for at in range(0, trades.height, 30):
                (other if at % 60 else session).append(TRADES, trades[at : at + 30].to_arrow())
            assert other.rows(TRADES) == trades.height
        session.close()


def test_sizes_of_version_3_are_of_what_has_left_its_log() -> None:
    trades, _ = small_data(1)
    with influxdb3_double() as double:
        session = _session(double, Lane.IDIOMATIC)
        session.load(TRADES, [trades.to_arrow()])
        with pytest.raises(UnsupportedError, match="0 of 300 points are in Parquet files"):
            session.size(TRADES)
        double.persisted.add(TRADES.name)
        size = session.size(TRADES)
        assert (size.rows, size.bytes) == (300, 1000)
        assert size.raw_bytes > 300 * 40
        session.close()


def test_version_3_errors_are_one_line_and_its_database_is_dropped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with influxdb3_double() as double:
        session = _session(double, Lane.IDIOMATIC)
        with pytest.raises(StoreError, match="nothing_of_this_name") as caught:
            session.execute(Prepared(BY_ID["R3"], "SELECT * FROM nothing_of_this_name"))
        assert "\n" not in str(caught.value)
        session.close()
        assert double.tickets[0]["database"] == "bench"
        monkeypatch.setenv(version3.URL_VARIABLE, double.http)
        assert InfluxDB3().state().version == "3.2.1"
        with InfluxDB3().session(Lane.PAPER, tmp_path):
            pass
        [path] = double.dropped
        assert path.startswith("/api/v3/configure/database?db=bench_paper_")


@pytest.mark.parametrize(("family", "literal"), [("flux", version2.literal), ("influxdb3", version3.literal)])
def test_texts_take_their_parameters_and_say_that_they_are_unrun(family: str, literal: sql.Literal) -> None:
    trades, book = small_data(1)
    found = [(workload, text) for workload in READS if (text := queries.text(family, workload.id))]
    assert len(found) == len(READS)
    books = {workload.id for workload, text in found if BOOK.name in text}
    of_paper = [(read, text) for read in READS if (text := queries.text(family, read.id, Lane.PAPER))]
    own = [entry for entry in of_paper if entry not in found]
    assert {read.id for read, _ in own} == books
    found += own
    for workload, text in found:
        assert "Unrun" in text.splitlines()[0]
        filled = sql.filled(workload, text, example_parameters(workload, trades, book, 1), literal)
        assert "${" not in filled
        for output in workload.outputs:
            assert output.name in filled
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', filled)
        for opening, closing in ("()", "[]", "{}"):
            assert bare.count(opening) == bare.count(closing)


def test_literals_of_flux() -> None:
    moment = datetime(2024, 8, 8, tzinfo=UTC)
    assert version2.literal("symbols", ("O'NEIL", 'q"${x}')) == '["O\'NEIL", "q\\"\\${x}"]'
    assert version2.literal("seqs", (1, 2)) == "[1, 2]"
    assert version2.literal("qty", 1e-7) == 'float(v: "1e-07")'
    assert version2.literal("moments", (("a", moment),)) == '[{symbol: "a", moment: 2024-08-08T00:00:00.000000Z}]'
    for bad in (True, None, float("inf"), datetime(2024, 1, 1)):
        with pytest.raises((TypeError, ValueError)):
            version2.literal("x", bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(("engine", "variable"), [(InfluxDB2(), "INFLUXDB2"), (InfluxDB3(), "INFLUXDB3")])
def test_state_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch, engine: Any, variable: str) -> None:
    assert f"TRACEBANK_BENCH_{variable}_URL: is not set; use http" in engine.state().reason
    monkeypatch.setenv(f"TRACEBANK_BENCH_{variable}_URL", "http://127.0.0.1:1/")
    state = engine.state()
    assert not state.available
    assert "\n" not in state.reason


def test_what_has_no_text_is_unsupported() -> None:
    other = dataclasses.replace(BY_ID["R3"], id="R99")
    for session in (version2.InfluxSession(dict, "", "", Lane.PAPER), version3.InfluxSession(dict, Lane.PAPER)):
        with pytest.raises(UnsupportedError, match="R99: no text"):
            session.prepare(other, {})
