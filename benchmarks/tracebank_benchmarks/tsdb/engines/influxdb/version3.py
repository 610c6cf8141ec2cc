"""InfluxDB 3 by `influxdb3-python`: line protocol in, SQL over Arrow Flight out.

Unrun against InfluxDB itself, of which no package was to be had where this was written: what is sent and how answers
are read is tested against a double of the protocol, the texts on DataFusion, the query engine that InfluxDB 3 is built
on. The gate of answers judges both first.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
import pyarrow.compute as pc

from tracebank.settings import shown_url
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import TableSize
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.engine import EngineState, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb.connection import Buffer
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import bodies, encoded_text
from tracebank_benchmarks.tsdb.engines.influxdb.writer import WORKERS, send
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES

URL_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB3_URL"
TOKEN_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB3_TOKEN"
BATCH: Final = 10_000
"""Points of one request."""


def literal(name: str, value: Value) -> str:
    """A parameter as InfluxDB 3's SQL writes it; tuples as the inside of `IN (…)`, moments as rows of `VALUES`.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, or a number is not finite.
    """
    if name == "moments":
        found = [f"({_scalar(symbol)}, {_scalar(moment)})" for symbol, moment in sql.pairs(value)]
        return ", ".join(found) or "(NULL, NULL)"
    if isinstance(value, tuple):
        return ", ".join(_scalar(item) for item in value) or "NULL"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return f"TIMESTAMP '{sql.utc(value):%Y-%m-%dT%H:%M:%S.%f}Z'"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return sql.number(value)
    raise sql.refused(value)


def _text(value: str) -> str:
    return "'" + encoded_text(value).replace("'", "''") + "'"


class InfluxSession:
    """A database of its own in one lane."""

    def __init__(self, client: Callable[[], Any], lane: Lane) -> None:
        self._open = client
        self._client = client()
        self._lane = lane
        self._batches: dict[str, Points] = {}
        """Of rows that were appended: which times they have been given."""

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Post line protocol as bytes, several requests at once; the engine compacts in its own time."""
        points, timed, serialise = Points(self._lane, table), sql.Timed(frames), 0.0

        def made() -> Iterator[Buffer]:
            nonlocal serialise
            for frame in timed:
                begun = time.perf_counter()
                held = [body for lines in points.lines(frame) for body in bodies(lines, BATCH)]
                serialise += time.perf_counter() - begun
                yield from held

        start = time.perf_counter()
        with faults():
            send(self._post, made())
        return LoadPhases(serialise, time.perf_counter() - start - timed.seconds - serialise, 0.0)

    def _post(self, body: Buffer) -> None:
        self._client.write(record=bytes(body), write_precision="ns")

    @contextmanager
    def connection(self) -> Iterator[InfluxSession]:
        """Another client with connections of its own."""
        with faults():
            other = InfluxSession(self._open, self._lane)
        try:
            yield other
        finally:
            other.close()

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        """Post a batch; the server answers once its log has been written, every second by its default settings.

        Raises:
            StoreError: the server refused it.
        """
        points = self._batches.setdefault(table.name, Points(self._lane, table))
        with faults():
            for lines in points.lines(rows):
                for body in bodies(lines, max(1, len(lines))):
                    self._post(body)

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is none for the lane.
        """
        own = queries.text("influxdb3_paper", workload.id) if self._lane is Lane.PAPER else None
        text = own or queries.text("influxdb3", workload.id)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in InfluxDB 3's SQL")
        return Prepared(workload, sql.filled(workload, text, parameters, literal))

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer.

        Raises:
            StoreError: the engine failed.
        """
        found = self._asked(prepared.text)
        stamps: list[Any] = [
            pc.cast(column, pa.timestamp("ns", "UTC")) if pa.types.is_timestamp(column.type) else column
            for column in found.columns
        ]
        return sql.shaped(prepared.workload, pa.table(dict(zip(found.column_names, stamps, strict=True))))

    def size(self, table: SeriesTable) -> TableSize:
        """Rows, and bytes of the Parquet files that hold them.

        Raises:
            UnsupportedError: rows lie in the engine's log, whose bytes nothing tells.
        """
        found = self._asked(
            "SELECT CAST(coalesce(sum(row_count), 0) AS BIGINT) AS rows,"
            " CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes"
            f" FROM system.parquet_files WHERE table_name = {_text(table.name)}"
        )
        points = Points(self._lane, table)
        rows, files = self.rows(table), found.to_pylist()[0]
        if files["rows"] < rows * points.per_row:
            raise UnsupportedError(
                f"{table.name}: {files['rows']} of {rows * points.per_row} points are in Parquet files, the others in"
                " InfluxDB 3's log, whose bytes no system table tells; they follow once --wal-snapshot-size log files"
                " are full"
            )
        return TableSize(rows, int(files["bytes"]), rows * points.raw_bytes)

    def rows(self, table: SeriesTable) -> int:
        """Rows of the suite's table."""
        found = self._asked(f"SELECT count(*) AS n FROM {table.name}")
        return int(found.to_pylist()[0]["n"]) // Points(self._lane, table).per_row

    def _asked(self, text: str) -> pa.Table:
        with faults():
            found: pa.Table = self._client.query(text, language="sql", mode="all")
        return found

    def cold(self) -> str:
        """Nothing: the API drops no caches."""
        return ""

    def ddl(self) -> str:
        """Which columns are tags; the first write makes the tables."""
        return "\n".join(f"-- {table.name}: {Points(self._lane, table).described()}" for table in TABLES)


@contextmanager
def faults() -> Iterator[None]:
    """The client's errors as one line."""
    import urllib3

    failure = import_module("influxdb_client_3.exceptions").InfluxDB3ClientError

    try:
        yield
    except (failure, pa.ArrowException, urllib3.exceptions.HTTPError) as error:
        raise StoreError(f"influxdb3: {' '.join(str(error).split())[:300]}") from None


class InfluxDB3:
    """An InfluxDB 3 server."""

    name: ClassVar[str] = "influxdb3"
    suffix: ClassVar[str] = "sql"
    statement_timeout: float = 600.0
    """Seconds that one query may take."""

    @staticmethod
    def _url() -> str:
        url = os.environ.get(URL_VARIABLE, "")
        if not url.startswith(("http://", "https://")):
            what = f"{shown_url(url)!r} is not accepted" if url else "is not set"
            raise StoreError(
                f"{URL_VARIABLE}: {what}; use http://host:8181/, with {TOKEN_VARIABLE}; docker/influxdb.yaml"
            )
        return url.rstrip("/")

    def _request(self, method: str, path: str) -> str:
        """A request to the server's own API; the version that it names.

        Raises:
            StoreError: nothing answers, or it refuses.
        """
        import urllib3

        url, token = self._url(), os.environ.get(TOKEN_VARIABLE, "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            found = urllib3.request(method, url + path, headers=headers, timeout=3.0, retries=False)
        except urllib3.exceptions.HTTPError as error:
            raise StoreError(f"{URL_VARIABLE}: {shown_url(url)} does not answer: {error}") from None
        if found.status >= 400:
            raise StoreError(f"{URL_VARIABLE}: {shown_url(url)} answers HTTP {found.status} to {method} {path}")
        return str(found.headers.get("x-influxdb-version", ""))

    def state(self) -> EngineState:
        """Ask the server for its version."""
        try:
            version = self._request("GET", "/ping")
        except StoreError as error:
            return EngineState(False, reason=str(error))
        if not version.removeprefix("v").startswith("3."):
            return EngineState(
                False, version, reason=f"{URL_VARIABLE}: version {version!r} answers; this engine is 3.x"
            )
        return EngineState(True, version, "Core or Enterprise")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[InfluxSession]:  # noqa: ARG002 - a server has no folder
        """Name a database, which the first write makes, and drop it afterwards."""
        database = f"bench_{lane}_{uuid.uuid4().hex[:12]}"
        # The client insists on a token; a server without authorisation takes any.
        token = os.environ.get(TOKEN_VARIABLE) or "none"
        made = import_module("influxdb_client_3").InfluxDBClient3
        session = InfluxSession(partial(made, host=self._url(), database=database, token=token), lane)
        try:
            yield session
        finally:
            session.close()
            self._request("DELETE", f"/api/v3/configure/database?db={database}")

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings."""
        return {"batch": str(BATCH), "workers": str(WORKERS), "statement_timeout": f"{self.statement_timeout:g}"}
