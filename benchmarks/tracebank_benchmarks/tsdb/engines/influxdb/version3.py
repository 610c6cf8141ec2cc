"""InfluxDB 3 by `influxdb3-python`: line protocol in, SQL over Arrow Flight out.

Unrun against InfluxDB itself, of which no package was to be had where this was written: what is sent and how answers
are read is tested against a double of the protocol. The gate of answers judges the texts first.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
import pyarrow.compute as pc

from tracebank.settings import shown_url
from tracebank.stores.influxdb.line_protocol import bodies, encoded_text
from tracebank.stores.protocol import StoreError, TableSize
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.engine import EngineState, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES

URL_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB3_URL"
TOKEN_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB3_TOKEN"
BATCH: Final = 10_000
"""Points of one request."""


def literal(_name: str, value: Value) -> str:
    """A parameter as InfluxDB 3's SQL writes it; names as the inside of `IN (…)`.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, or a number is not finite.
    """
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(_text(str(item)) for item in value) or "NULL"
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

    def __init__(self, client: Any, lane: Lane) -> None:
        self._client = client
        self._lane = lane

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Post line protocol as bytes, one request after the other; the engine compacts in its own time."""
        points, timed, serialise = Points(self._lane, table), sql.Timed(frames), 0.0
        start = time.perf_counter()
        with faults():
            for frame in timed:
                begun = time.perf_counter()
                held = [body for lines in points.lines(frame) for body in bodies(lines, BATCH)]
                serialise += time.perf_counter() - begun
                for body in held:
                    self._client.write(record=bytes(body), write_precision="ns")
        return LoadPhases(serialise, time.perf_counter() - start - timed.seconds - serialise, 0.0)

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is none for the lane.
        """
        text = queries.text("influxdb3", workload.id)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in InfluxDB 3's SQL has been written")
        if self._lane is Lane.PAPER and BOOK.name in text:
            raise UnsupportedError(f"{workload.id}: no text in InfluxDB 3's SQL joins bid and ask series")
        return Prepared(workload, sql.filled(workload, text, parameters, literal))

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer.

        Raises:
            StoreError: the engine failed.
        """
        with faults():
            found = self._client.query(prepared.text, language="sql", mode="all")
        stamps = [
            pc.cast(column, pa.timestamp("ns", "UTC")) if pa.types.is_timestamp(column.type) else column
            for column in found.columns
        ]
        return sql.shaped(prepared.workload, pa.table(dict(zip(found.column_names, stamps, strict=True))))

    def size(self, table: SeriesTable) -> TableSize:
        """Not to be had: the API tells no bytes.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(f"{table.name}: InfluxDB 3's API tells no bytes on disk")

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
        client = import_module("influxdb_client_3").InfluxDBClient3(host=self._url(), database=database, token=token)
        try:
            yield InfluxSession(client, lane)
        finally:
            client.close()
            self._request("DELETE", f"/api/v3/configure/database?db={database}")

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings."""
        return {"batch": str(BATCH), "statement_timeout": f"{self.statement_timeout:g}"}
