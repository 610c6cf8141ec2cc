"""InfluxDB 2.x by `influxdb-client`: line protocol in, Flux out.

Unrun against InfluxDB itself, of which no package was to be had where this was written: writes are tested against
VictoriaMetrics, which takes them, and reads against a double of the protocol. The gate judges the texts first.
"""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import polars as pl
import pyarrow as pa

from tracebank.settings import shown_url
from tracebank.stores.influxdb.line_protocol import bodies, decoded, encoded_text
from tracebank.stores.protocol import StoreError, TableSize
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.comparison import answer_schema
from tracebank_benchmarks.tsdb.engine import EngineState, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES

URL_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB2_URL"
TOKEN_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB2_TOKEN"
ORGANISATION_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB2_ORG"
BATCH: Final = 20_000
"""Points of one request."""


def literal(_name: str, value: Value) -> str:
    """A parameter as Flux writes it; names as an array.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, or a number is not finite.
    """
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return f"[{', '.join(_text(str(item)) for item in value)}]"
    if isinstance(value, datetime):
        return f"{sql.utc(value):%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return sql.number(value)
    raise sql.refused(value)


def _text(value: str) -> str:
    spelt = encoded_text(value).replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{spelt}"'


class InfluxSession:
    """A bucket of its own in one lane."""

    def __init__(self, client: Any, organisation: str, bucket: str, lane: Lane) -> None:
        self._client = client
        self._organisation = organisation
        self._bucket = bucket
        self._lane = lane

    def set_up(self) -> None:
        """Make the empty bucket."""
        with faults():
            self._client.buckets_api().create_bucket(bucket_name=self._bucket, org=self._organisation)

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Post line protocol as bytes, one request after the other; the engine compacts in its own time."""
        from influxdb_client.client.write_api import SYNCHRONOUS

        points, timed, serialise = Points(self._lane, table), sql.Timed(frames), 0.0
        start = time.perf_counter()
        with faults(), self._client.write_api(write_options=SYNCHRONOUS) as api:
            for frame in timed:
                begun = time.perf_counter()
                held = [body for lines in points.lines(frame) for body in bodies(lines, BATCH)]
                serialise += time.perf_counter() - begun
                for body in held:
                    api.write(bucket=self._bucket, org=self._organisation, record=bytes(body))
        return LoadPhases(serialise, time.perf_counter() - start - timed.seconds - serialise, 0.0)

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is none for the lane.
        """
        text = queries.text("flux", workload.id)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in Flux has been written")
        if self._lane is Lane.PAPER and BOOK.name in text:
            raise UnsupportedError(f"{workload.id}: no text in Flux joins bid and ask series")
        filled = sql.filled(workload, text, parameters, literal)
        return Prepared(workload, filled.replace("bucket: bench", f'bucket: "{self._bucket}"'))

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer.

        Raises:
            StoreError: the engine failed.
        """
        with faults():
            body = self._client.query_api().query_raw(prepared.text, dialect=_plain()).data
        return answer(prepared.workload, body)

    def size(self, table: SeriesTable) -> TableSize:
        """Not to be had: the API tells no bytes.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(f"{table.name}: InfluxDB 2's API tells no bytes on disk")

    def cold(self) -> str:
        """Nothing: the API drops no caches."""
        return ""

    def ddl(self) -> str:
        """Which columns are tags."""
        return "\n".join(f"// {table.name}: {Points(self._lane, table).described()}" for table in TABLES)

    def drop(self) -> None:
        """Remove the bucket and close."""
        api = self._client.buckets_api()
        with faults():
            if (found := api.find_bucket_by_name(self._bucket)) is not None:
                api.delete_bucket(found)
        self._client.close()


def _plain() -> Any:
    return import_module("influxdb_client").Dialect(annotations=[], header=True, delimiter=",")


def answer(workload: Workload, body: bytes) -> pa.Table:
    """Flux's CSV, whose tables are apart by empty lines, in the workload's columns.

    Raises:
        StoreError: a table says that the query failed.
    """
    schema = answer_schema(workload)
    frames = []
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        if not block.strip():
            continue
        frame = pl.read_csv(io.BytesIO(block), infer_schema=False)
        if "error" in frame.columns:
            raise StoreError(f"influxdb2: {frame['error'][0]}")
        frames.append(frame.select(_column(field) for field in schema))
    if not frames:
        return schema.empty_table()
    return sql.shaped(workload, pl.concat(frames).to_arrow(compat_level=pl.CompatLevel.oldest()))


def _column(field: pa.Field[Any]) -> pl.Expr:
    value = pl.col(field.name)
    if pa.types.is_timestamp(field.type):
        return value.str.to_datetime(time_unit="ns", time_zone="UTC")
    if field.type == pa.string():
        return decoded(value)
    return value.cast(pl.Float64 if field.type == pa.float64() else pl.Int64)


@contextmanager
def faults() -> Iterator[None]:
    """The client's errors as one line."""
    import urllib3
    from influxdb_client.rest import ApiException

    try:
        yield
    except ApiException as error:
        text = " ".join(str(error.body or error.reason).split())[:300]
        raise StoreError(f"influxdb2: HTTP {error.status}: {text}") from None
    except urllib3.exceptions.HTTPError as error:
        raise StoreError(f"influxdb2: does not answer: {' '.join(str(error).split())[:300]}") from None


class InfluxDB2:
    """An InfluxDB 2.x server."""

    name: ClassVar[str] = "influxdb2"
    suffix: ClassVar[str] = "flux"
    statement_timeout: float = 600.0
    """Seconds that one query may take."""

    def _client(self, timeout: float) -> Any:
        url = os.environ.get(URL_VARIABLE, "")
        if not url.startswith(("http://", "https://")):
            what = f"{shown_url(url)!r} is not accepted" if url else "is not set"
            raise StoreError(
                f"{URL_VARIABLE}: {what}; use http://host:8086/, with {TOKEN_VARIABLE}; docker/influxdb.yaml"
            )
        token = os.environ.get(TOKEN_VARIABLE, "")
        return import_module("influxdb_client").InfluxDBClient(
            url, token=token, org=self._organisation(), timeout=int(timeout * 1000)
        )

    @staticmethod
    def _organisation() -> str:
        return os.environ.get(ORGANISATION_VARIABLE, "tracebank")

    def state(self) -> EngineState:
        """Ask the server for its version, and whether it knows the organisation."""
        try:
            client = self._client(3.0)
            try:
                with faults():
                    version = client.version()
                    client.buckets_api().find_buckets(limit=1)
            finally:
                client.close()
        except StoreError as error:
            return EngineState(False, reason=str(error))
        if not version.removeprefix("v").startswith("2."):
            return EngineState(False, version, reason=f"{URL_VARIABLE}: version {version} answers; this engine is 2.x")
        return EngineState(True, version, "open source")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[InfluxSession]:  # noqa: ARG002 - a server has no folder
        """Make an empty bucket on the server, dropped afterwards."""
        bucket = f"bench_{lane}_{uuid.uuid4().hex[:12]}"
        session = InfluxSession(self._client(self.statement_timeout), self._organisation(), bucket, lane)
        try:
            session.set_up()
            yield session
        finally:
            session.drop()

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings."""
        return {"batch": str(BATCH), "statement_timeout": f"{self.statement_timeout:g}"}
