"""InfluxDB 3 by `influxdb3-python`: line protocol in, SQL over Arrow Flight out.

Unrun against InfluxDB itself, of which no package was to be had where this was written: what is sent and how answers
are read is tested against a double of the protocol, the texts on DataFusion, the query engine that InfluxDB 3 is built
on. The gate of answers judges both first.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
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
from tracebank_benchmarks.tsdb.engine import EngineState, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb.connection import Buffer
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import encoded_text
from tracebank_benchmarks.tsdb.engines.influxdb.session import PointsSession
from tracebank_benchmarks.tsdb.engines.influxdb.writer import WORKERS
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable

URL_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB3_URL"
TOKEN_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB3_TOKEN"


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


class InfluxSession(PointsSession):
    """A database of its own in one lane."""

    batch: ClassVar[int] = 10_000

    def __init__(self, client: Callable[[], Any], lane: Lane) -> None:
        super().__init__(lane)
        self._open = client
        self._client = client()

    def _post(self, table: SeriesTable, body: Buffer) -> None:  # noqa: ARG002 - lines name their table
        with faults():
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

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is none for the lane.
        """
        text = queries.text("influxdb3", workload.id, self._lane)
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
        return {
            "batch": str(InfluxSession.batch),
            "workers": str(WORKERS),
            "statement_timeout": f"{self.statement_timeout:g}",
        }
