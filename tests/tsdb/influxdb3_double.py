"""A double of InfluxDB 3: takes line protocol over HTTP and evaluates SQL for real, on DataFusion, over Arrow Flight.

DataFusion is the query engine that InfluxDB 3 is built on, of another version and without InfluxDB's own functions; it
is not InfluxDB, and no figure is ever taken from it. Points of one key overwrite each other, as the server's do.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
from pyarrow import flight

_LINE = re.compile(r'((?:\\.|[^ \\])+) ((?:"(?:\\.|[^"\\])*"|[^ "])+) (-?\d+)')
_FIELD = re.compile(r'([^=,]+)=("(?:\\.|[^"\\])*"|[^,]+)')
_COMMA, _EQUALS = re.compile(r"(?<!\\),"), re.compile(r"(?<!\\)=")


@dataclass
class InfluxDB3Double:
    """What the server holds, and what was asked of it."""

    points: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    """Fields of every point, by table and by its key of tags and time."""
    persisted: set[str] = field(default_factory=set)
    """Tables that are said to lie in Parquet files, and not in the log."""
    tickets: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    http: str = ""
    flight_port: int = 0

    def write(self, body: bytes) -> None:
        """Take line protocol."""
        for line in body.decode().splitlines():
            found = _LINE.fullmatch(line)
            assert found is not None, line
            head, fields, stamp = found.groups()
            table, *tags = _COMMA.split(head)
            pairs = [tuple(map(_unescaped, _EQUALS.split(tag))) for tag in tags]
            point = {name: _value(text) for name, text in _FIELD.findall(fields)}
            self.points.setdefault(table, {})[(int(stamp), *pairs)] = point

    def table(self, name: str) -> pa.Table:
        """A table as InfluxDB 3 shows it: `time`, tags as dictionaries, fields."""
        points = self.points[name]
        tags = list(dict.fromkeys(tag for key in points for tag, _ in key[1:]))
        values = list(dict.fromkeys(column for point in points.values() for column in point))
        columns: dict[str, Any] = {"time": pa.array([key[0] for key in points], pa.timestamp("ns"))}
        for tag in tags:
            columns[tag] = pa.array([dict(key[1:]).get(tag) for key in points], pa.string()).dictionary_encode()
        columns |= {value: pa.array([point.get(value) for point in points.values()]) for value in values}
        return pa.table(columns)

    def answer(self, text: str) -> pa.Table:
        """What DataFusion answers."""
        import datafusion

        context = datafusion.SessionContext()
        for name in self.points:
            context.register_record_batches(name, [self.table(name).to_batches()])
        context.sql("CREATE SCHEMA system")
        files = ", ".join(f"('{name}', {len(self.points[name])}, 1000)" for name in self.persisted)
        context.sql(
            "CREATE TABLE system.parquet_files AS SELECT column1 AS table_name, column2 AS row_count, column3 AS"
            f" size_bytes FROM (VALUES {files or '(NULL, 0, 0)'})"
        )
        return context.sql(text).to_arrow_table()


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _value(text: str) -> Any:
    if text.startswith('"'):
        return text[1:-1].replace('\\"', '"')
    return int(text[:-1]) if text.endswith("i") else float(text)


class _Http(BaseHTTPRequestHandler):
    server: Any

    def _answer(self, status: int = 204) -> None:
        self.send_response(status)
        self.send_header("X-Influxdb-Version", "3.2.1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self._answer(200)

    def do_DELETE(self) -> None:
        self.server.double.dropped.append(self.path)
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.guard:
            self.server.double.write(body)
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        return


class _Flight(flight.FlightServerBase):  # type: ignore[misc]
    def __init__(self, double: InfluxDB3Double) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.double = double

    def do_get(self, context: object, ticket: flight.Ticket) -> flight.RecordBatchStream:
        asked = json.loads(ticket.ticket)
        self.double.tickets.append(asked)
        try:
            return flight.RecordBatchStream(self.double.answer(asked["sql_query"]))
        except Exception as error:
            raise flight.FlightServerError(str(error)) from None


@contextmanager
def influxdb3_double() -> Iterator[InfluxDB3Double]:
    """Serve on loopback for the block, empty at first."""
    double = InfluxDB3Double()
    http: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Http)
    http.double, http.guard = double, threading.Lock()
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        with _Flight(double) as server:
            double.http, double.flight_port = f"http://127.0.0.1:{http.server_port}/", server.port
            yield double
    finally:
        http.shutdown()
        http.server_close()
