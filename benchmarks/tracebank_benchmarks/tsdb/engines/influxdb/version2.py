"""InfluxDB 2.x by `influxdb-client`: line protocol in, Flux out.

Unrun against InfluxDB itself, of which no package was to be had where this was written: writes are tested against
VictoriaMetrics, which takes them, and reads against a double of the protocol. The gate judges the texts first.
"""

from __future__ import annotations

import io
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import polars as pl
import pyarrow as pa
import urllib3

from tracebank.settings import shown_url
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import TableSize
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.comparison import answer_schema
from tracebank_benchmarks.tsdb.engine import EngineState, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb.connection import Buffer
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import decoded, encoded_text
from tracebank_benchmarks.tsdb.engines.influxdb.session import PointsSession
from tracebank_benchmarks.tsdb.engines.influxdb.writer import WORKERS
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES

URL_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB2_URL"
TOKEN_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB2_TOKEN"
ORGANISATION_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB2_ORG"


def literal(name: str, value: Value) -> str:
    """A parameter as Flux writes it; tuples as arrays, moments as an array of records.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, or a number is not finite.
    """
    if name == "moments":
        found = [f"{{symbol: {_text(symbol)}, moment: {_scalar(moment)}}}" for symbol, moment in sql.pairs(value)]
        return f"[{', '.join(found)}]"
    if isinstance(value, tuple):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return f"{sql.utc(value):%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        # Flux has no exponents in its literals.
        return f'float(v: "{sql.number(value)}")'
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:d}"
    raise sql.refused(value)


def _text(value: str) -> str:
    spelt = encoded_text(value).replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{spelt}"'


class InfluxSession(PointsSession):
    """A bucket for each table in one lane."""

    comment: ClassVar[str] = "//"

    def __init__(self, client: Callable[[], Any], organisation: str, prefix: str, lane: Lane) -> None:
        super().__init__(lane)
        self._open = client
        self._client = client()
        self._organisation = organisation
        self._prefix = prefix
        self._api: Any = None

    def set_up(self) -> None:
        """Make the empty buckets."""
        with faults():
            for table in TABLES:
                self._client.buckets_api().create_bucket(bucket_name=self._bucket(table), org=self._organisation)

    def _bucket(self, table: SeriesTable) -> str:
        return f"{self._prefix}_{table.name}"

    def _post(self, table: SeriesTable, body: Buffer) -> None:
        from influxdb_client.client.write_api import SYNCHRONOUS

        if self._api is None:
            self._api = self._client.write_api(write_options=SYNCHRONOUS)
        with faults():
            self._api.write(bucket=self._bucket(table), org=self._organisation, record=bytes(body))

    @contextmanager
    def connection(self) -> Iterator[InfluxSession]:
        """Another client with connections of its own."""
        other = InfluxSession(self._open, self._organisation, self._prefix, self._lane)
        try:
            yield other
        finally:
            other.close()

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is none.
        """
        text = queries.text("flux", workload.id, self._lane)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in Flux")
        filled = sql.filled(workload, text, parameters, literal)
        for table in TABLES:
            filled = filled.replace(f'from(bucket: "{table.name}")', f'from(bucket: "{self._bucket(table)}")')
        return Prepared(workload, filled)

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer.

        Raises:
            StoreError: the engine failed.
        """
        with faults():
            body = self._client.query_api().query_raw(prepared.text, dialect=_plain()).data
        return answer(prepared.workload, body)

    def size(self, table: SeriesTable) -> TableSize:
        """Rows, and bytes of the shards with index and log, as the server's own metrics tell them.

        Raises:
            UnsupportedError: the server tells no metrics, or none of the bucket yet.
        """
        with faults():
            bucket = self._client.buckets_api().find_bucket_by_name(self._bucket(table))
            metrics = urllib3.request("GET", f"{self._client.url.rstrip('/')}/metrics", retries=False)
        if metrics.status != 200:
            raise UnsupportedError(f"{table.name}: InfluxDB 2 answers HTTP {metrics.status} to /metrics")
        shards = re.findall(
            rf'^storage_shard_disk_size\{{[^}}]*bucket="{bucket.id}"[^}}]*\}} (\S+)',
            metrics.data.decode(),
            re.MULTILINE,
        )
        if not shards:
            raise UnsupportedError(
                f"{table.name}: InfluxDB 2's metrics tell no shard of the bucket; it notes them late"
            )
        rows = self.rows(table)
        return TableSize(rows, round(sum(map(float, shards))), rows * Points(self._lane, table).raw_bytes)

    def rows(self, table: SeriesTable) -> int:
        """Rows of the suite's table."""
        text = (
            f'from(bucket: "{self._bucket(table)}") |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)'
            f' |> filter(fn: (r) => r._measurement == "{table.name}" and r._field == "seq") |> group() |> count()'
            ' |> keep(columns: ["_value"])'
        )
        with faults():
            body = self._client.query_api().query_raw(text, dialect=_plain()).data
        found = _blocks(body)
        return int(found[0]["_value"][0]) // Points(self._lane, table).per_row if found else 0

    def close(self) -> None:
        """Close the client."""
        if self._api is not None:
            self._api.close()
        self._client.close()

    def drop(self) -> None:
        """Remove the buckets and close."""
        api = self._client.buckets_api()
        with faults():
            for table in TABLES:
                if (found := api.find_bucket_by_name(self._bucket(table))) is not None:
                    api.delete_bucket(found)
        self.close()


def _plain() -> Any:
    return import_module("influxdb_client").Dialect(annotations=[], header=True, delimiter=",")


def answer(workload: Workload, body: bytes) -> pa.Table:
    """Flux's CSV, whose tables are apart by empty lines, in the workload's columns.

    Raises:
        StoreError: a table says that the query failed.
    """
    schema = answer_schema(workload)
    frames = [frame.select(_column(field) for field in schema) for frame in _blocks(body)]
    if not frames:
        return schema.empty_table()
    return sql.shaped(workload, pl.concat(frames).to_arrow(compat_level=pl.CompatLevel.oldest()))


def _blocks(body: bytes) -> list[pl.DataFrame]:
    """Tables of an answer, all of text."""
    frames = []
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        if not block.strip():
            continue
        frame = pl.read_csv(io.BytesIO(block), infer_schema=False)
        if "error" in frame.columns:
            raise StoreError(f"influxdb2: {frame['error'][0]}")
        frames.append(frame)
    return frames


def _column(field: pa.Field[Any]) -> pl.Expr:
    value = pl.col(field.name)
    if pa.types.is_timestamp(field.type):
        return value.str.to_datetime(time_unit="ns", time_zone="UTC")
    if field.type == pa.string():
        return decoded(value)
    if field.type == pa.float64():
        # The deviation of one value is none: what is no number here, is null elsewhere.
        return value.cast(pl.Float64).fill_nan(None)
    return value.cast(pl.Int64)


@contextmanager
def faults() -> Iterator[None]:
    """The client's errors as one line."""
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
        """Make empty buckets on the server, dropped afterwards."""
        prefix = f"bench_{lane}_{uuid.uuid4().hex[:12]}"
        session = InfluxSession(lambda: self._client(self.statement_timeout), self._organisation(), prefix, lane)
        try:
            session.set_up()
            yield session
        finally:
            session.drop()

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings."""
        return {
            "batch": str(InfluxSession.batch),
            "workers": str(WORKERS),
            "statement_timeout": f"{self.statement_timeout:g}",
        }
