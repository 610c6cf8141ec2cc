"""InfluxDB 2 and 3 without their servers: writes of 2 against VictoriaMetrics, all else against protocol doubles.

A double evaluates nothing: it gives prepared answers and keeps what it was sent. No figure is ever taken from one.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pyarrow as pa
import pytest
import urllib3
from pyarrow import flight

from tracebank.stores.protocol import StoreError
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.data import example_parameters, small_data
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb import InfluxDB2, InfluxDB3, version2, version3
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Lane
from tracebank_schemas.tsdb_benchmark import TRADES

_VICTORIA = os.environ.get("TRACEBANK_TEST_VICTORIA_METRICS_URL")
FLUX = (
    b",result,table,symbol,highest_bid\r\n,_result,0,BTC-USD,101.5\r\n\r\n"
    b",result,table,symbol,highest_bid\r\n,_result,0,O'NEIL,7\r\n"
)


class _Http(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, str, bytes]]] = []

    def _answer(self, body: bytes = b"", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("X-Influxdb-Version", "v2.7.11" if "v3" not in self.server.kind else "3.2.1")  # type: ignore[attr-defined]
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
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


class _Flight(flight.FlightServerBase):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.tickets: list[dict[str, Any]] = []

    def do_get(self, context: object, ticket: flight.Ticket) -> flight.RecordBatchStream:
        self.tickets.append(json.loads(ticket.ticket))
        if "FAIL" in self.tickets[-1]["sql_query"]:
            raise flight.FlightServerError("no such\ntable")
        return flight.RecordBatchStream(pa.table({"symbol": ["a", "b"], "highest_bid": [1.5, 2.5]}))


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
        session = version2.InfluxSession(client, "none", "none", Lane.IDIOMATIC)
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
    assert 'bucket: "bench_idiomatic_' in asked[0]


def test_version_2_reads_no_error_as_an_answer() -> None:
    with pytest.raises(StoreError, match="out of memory"):
        version2.answer(BY_ID["R3"], b"error,reference\r\nout of memory,897\r\n")
    assert version2.answer(BY_ID["R3"], b"\r\n").num_rows == 0


def test_version_3_asks_and_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    from influxdb_client_3 import InfluxDBClient3

    trades, _ = small_data(1)
    with http_double("v3") as url, _Flight() as server:
        monkeypatch.setenv(version3.URL_VARIABLE, url)
        assert InfluxDB3().state().version == "3.2.1"
        port = int(url.rstrip("/").rpartition(":")[2])
        client = InfluxDBClient3(
            host="http://127.0.0.1",
            database="bench",
            token="none",
            write_port_overwrite=port,
            query_port_overwrite=server.port,
        )
        session = version3.InfluxSession(client, Lane.IDIOMATIC)
        session.load(TRADES, [trades.to_arrow()])
        found = session.execute(version3.Prepared(BY_ID["R3"], "SELECT 1"))
        with pytest.raises(StoreError) as caught:
            session.execute(version3.Prepared(BY_ID["R3"], "FAIL"))
        assert "\n" not in str(caught.value)
        client.close()
        tickets = server.tickets
    assert found.to_pydict() == {"symbol": ["a", "b"], "highest_bid": [1.5, 2.5]}
    assert (tickets[0]["database"], tickets[0]["sql_query"]) == ("bench", "SELECT 1")
    writes = [body for method, path, body in _Http.asked if method == "POST"]
    assert sum(body.count(b"\n") for body in writes) == trades.height


@pytest.mark.parametrize(("family", "literal"), [("flux", version2.literal), ("influxdb3", version3.literal)])
def test_texts_take_their_parameters_and_say_that_they_are_unrun(family: str, literal: sql.Literal) -> None:
    trades, book = small_data(1)
    found = [(workload, text) for workload in READS if (text := queries.text(family, workload.id))]
    assert len(found) >= 7
    for workload, text in found:
        assert "Unrun" in text.splitlines()[0]
        filled = sql.filled(workload, text, example_parameters(workload, trades, book, 1), literal)
        assert "${" not in filled
        for output in workload.outputs:
            assert output.name in filled


@pytest.mark.parametrize(("engine", "variable"), [(InfluxDB2(), "INFLUXDB2"), (InfluxDB3(), "INFLUXDB3")])
def test_state_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch, engine: Any, variable: str) -> None:
    assert f"TRACEBANK_BENCH_{variable}_URL: is not set; use http" in engine.state().reason
    monkeypatch.setenv(f"TRACEBANK_BENCH_{variable}_URL", "http://127.0.0.1:1/")
    state = engine.state()
    assert not state.available
    assert "\n" not in state.reason


def test_what_has_no_text_is_unsupported() -> None:
    for session in (version2.InfluxSession(None, "", "", Lane.PAPER), version3.InfluxSession(None, Lane.PAPER)):
        for name in ("R17", "R3"):
            with pytest.raises(UnsupportedError, match=f"{name}: no text"):
                session.prepare(BY_ID[name], {})
