"""InfluxDB 1.x: line protocol and InfluxQL over HTTP, on the platform's own adapter.

Reads that InfluxQL does not express are `unsupported`; those whose last step the client does are `partial`.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Template
from typing import ClassVar, Final

import polars as pl
import pyarrow as pa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tracebank.settings import shown_url
from tracebank.stores.faults import StatementTimeout, StoreError
from tracebank.stores.series_store import TableSize
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.comparison import answer_schema
from tracebank_benchmarks.tsdb.data_files import whole_lines
from tracebank_benchmarks.tsdb.engine import EngineState, FileForm, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql
from tracebank_benchmarks.tsdb.engines.influxdb.client_side import FINISHED, FINISHED_PAPER, UNSUPPORTED, Finish
from tracebank_benchmarks.tsdb.engines.influxdb.connection import Buffer, InfluxConnection, identifier
from tracebank_benchmarks.tsdb.engines.influxdb.connection import literal as quoted
from tracebank_benchmarks.tsdb.engines.influxdb.lanes import Points, declared
from tracebank_benchmarks.tsdb.engines.influxdb.line_protocol import decoded, encoded_text
from tracebank_benchmarks.tsdb.engines.influxdb.session import PointsSession
from tracebank_benchmarks.tsdb.engines.influxdb.store import InfluxStore
from tracebank_benchmarks.tsdb.engines.influxdb.writer import WORKERS, send
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES

URL_VARIABLE: Final = "TRACEBANK_BENCH_INFLUXDB1_URL"
URL_FORM: Final = "influxdb://user:password@host:8086/ (influxdbs:// for TLS)"
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_INTEGERS: Final = ("seq", "ts", "n", "prices")
_TEXTS: Final = ("symbol", "venue", "side")
_REGEX: Final = re.compile(r"([\\.+*?()|\[\]{}^$/])")
_END: Final = ";\n"


def nanoseconds(moment: datetime) -> int:
    """A moment as nanoseconds since 1970."""
    past = sql.utc(moment) - _EPOCH
    return ((past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds) * 1_000


def literal(name: str, value: Value) -> str:
    """A parameter as InfluxQL writes it; symbols as the alternatives of a regular expression.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, or a number is not finite.
    """
    if name == "symbols" and isinstance(value, tuple):
        names = [item for item in value if isinstance(item, str)]
        if len(names) != len(value):
            raise sql.refused(value)
        return "|".join(_REGEX.sub(r"\\\1", encoded_text(item)) for item in names)
    if isinstance(value, datetime):
        return str(nanoseconds(value))
    if isinstance(value, str):
        return quoted(encoded_text(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return sql.number(value)
    raise sql.refused(value)


@dataclass(frozen=True, slots=True)
class PreparedStatements(Prepared):
    """A text of one or more statements, and what the client makes of their answers."""

    parameters: Mapping[str, Value] = field(default_factory=dict)
    finish: Finish | None = None


class InfluxSession(PointsSession):
    """A database of its own in one lane; threads may share it."""

    text_form: ClassVar[FileForm] = FileForm.LINES
    refused_forms: ClassVar[Mapping[FileForm, str]] = {
        FileForm.CSV: "InfluxDB 1.x reads line protocol only, no CSV",
        FileForm.PARQUET: "InfluxDB 1.x reads line protocol only, no Parquet",
    }

    def __init__(self, url: URL, lane: Lane, timeout: float) -> None:
        super().__init__(lane)
        self._store = InfluxStore(url, timeout=timeout)
        self._connection: InfluxConnection = self._store.connection
        self._url = url
        self._timeout = timeout

    def set_up(self) -> None:
        """Make the empty tables."""
        for table in TABLES:
            self._store.create(declared(self._lane, table))

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """As every version, and count what came.

        Raises:
            StoreError: the engine holds another number of points than were sent.
        """
        points = Points(self._lane, table)
        before = self._store.size(points.declared).rows
        phases = self._loaded(table, frames, points)
        found = self._store.size(points.declared).rows - before
        if found != points.points:
            raise StoreError(f"table {table.name}: {points.points} points were sent, {found} are there")
        return phases

    def _post(self, table: SeriesTable, body: Buffer) -> None:
        self._connection.write(table.name, body)

    def load_files(self, table: SeriesTable, paths: Sequence[Path], form: FileForm) -> LoadPhases:
        """Post files of line protocol as they are, so many whole lines at a time as a load sends.

        Raises:
            UnsupportedError: it is another form.
            StoreError: the server refused lines; those of the file that it took are taken back.
        """
        if reason := self.refused_forms.get(form):
            raise UnsupportedError(reason)
        points = Points(self._lane, table)
        before = self._store.size(points.declared).rows
        start = time.perf_counter()
        try:
            send(lambda body: self._post(table, body), whole_lines(paths, self.batch))
        except BaseException:
            if not before:
                self._store.drop(points.declared)
                self._store.create(points.declared)
            raise
        return LoadPhases(0.0, time.perf_counter() - start, 0.0)

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text; moments become one text each.

        Raises:
            UnsupportedError: InfluxQL cannot express it.
        """
        text = queries.text("influxql", workload.id, self._lane)
        if text is None:
            raise UnsupportedError(f"{workload.id}: {UNSUPPORTED.get(workload.id, 'no text in InfluxQL')}")
        if "moments" in workload.parameters:
            return self._of_moments(workload, text, parameters)
        finish = (FINISHED_PAPER if self._lane is Lane.PAPER else FINISHED).get(workload.id)
        filled = sql.filled(workload, text, parameters, literal)
        return PreparedStatements(workload, filled, finish.reason if finish else "", dict(parameters), finish)

    @staticmethod
    def _of_moments(workload: Workload, text: str, parameters: Parameters) -> Prepared:
        moments = sql.pairs(parameters["moments"])
        one = Template(text.rstrip("\n"))
        filled = _END.join(
            one.substitute(symbol=literal("symbol", symbol), moment=literal("moment", moment))
            for symbol, moment in moments
        )
        reason = "InfluxQL asks for one moment at a time: the client puts the answers together"
        return PreparedStatements(workload, filled, reason, {"moments": tuple(moments)})

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run every statement of the text and read the whole answers.

        Raises:
            StatementTimeout: it ran longer than it may.
            StoreError: the engine failed.
        """
        assert isinstance(prepared, PreparedStatements)
        try:
            if "moments" in prepared.parameters:
                rows = self._at_moments(prepared)
            else:
                statements = prepared.text.rstrip(";\n").split(_END)
                frames = [self._frame(statement) for statement in statements]
                rows = prepared.finish.made(frames, prepared.parameters) if prepared.finish else frames[0]
        except StoreError as error:
            if "timed out" in str(error) or "timeout" in str(error):
                raise StatementTimeout(str(error)) from None
            raise
        return _shaped(prepared.workload, rows)

    def _frame(self, statement: str) -> pl.DataFrame:
        """Answer of one statement, the tags that it groups by as columns."""
        names = _columns(statement)
        types: dict[str, pl.DataType] = {
            name: pl.Int64() if name in _INTEGERS else pl.String() if name in _TEXTS else pl.Float64() for name in names
        }
        grouped = _grouped(statement)
        frame = self._connection.csv(statement, types)
        if not frame.width:
            text = dict.fromkeys(grouped, pl.String())
            return pl.DataFrame(schema={"time": pl.Int64(), **types, **text})
        tags = frame["_tags"].unique()
        pattern = ",".join(f"{name}=(?<{name}>.*)" for name in sorted(grouped))
        if grouped:
            parts = tags.to_frame().with_columns(pl.col("_tags").str.extract_groups(f"^{pattern}$").alias("_parts"))
            parts = parts.unnest("_parts").with_columns(_unescaped(pl.col(name)) for name in grouped)
            frame = frame.join(parts, on="_tags")
        texts = [name for name in (*names, *grouped) if name in _TEXTS]
        return frame.drop("_name", "_tags").with_columns(decoded(pl.col(name)).fill_null("") for name in texts)

    def _at_moments(self, prepared: PreparedStatements) -> pl.DataFrame:
        moments = sql.pairs(prepared.parameters["moments"])
        results = self._connection.json(prepared.text)
        per_moment = len(results) // len(moments)
        rows = []
        for at, (symbol, moment) in enumerate(moments):
            row: dict[str, object] = {}
            for result in results[at * per_moment : (at + 1) * per_moment]:
                for series in result.get("series", ()):
                    row |= dict(zip(series["columns"], series["values"][0], strict=True))
            if row or prepared.workload.id == "R13":
                rows.append({**row, "symbol": symbol, "moment": nanoseconds(moment)})
        types: dict[str, pl.DataType] = {
            output.name: pl.Float64() for output in prepared.workload.outputs if output.type == "float"
        }
        return pl.DataFrame(rows, schema={"symbol": pl.String(), "moment": pl.Int64(), **types})

    def size(self, table: SeriesTable) -> TableSize:
        """Rows of the suite's table, and bytes of its shards with index and log."""
        found = self._store.size(declared(self._lane, table))
        points = Points(self._lane, table).per_row
        return TableSize(found.rows // points, found.bytes, found.raw_bytes)

    def ddl(self) -> str:
        """The statements that set the lane up, and which columns are tags."""
        database = identifier(self._store.database)
        policies = [
            f"CREATE RETENTION POLICY {identifier(table.name)} ON {database} DURATION INF REPLICATION 1"
            for table in TABLES
        ]
        return "\n".join([f"CREATE DATABASE {database}", *policies, super().ddl()])

    @contextmanager
    def connection(self) -> Iterator[InfluxSession]:
        """Another client with connections of its own."""
        other = InfluxSession(self._url, self._lane, self._timeout)
        try:
            yield other
        finally:
            other._store.close()

    def drop(self) -> None:
        """Remove the database and close the connections."""
        self._connection.json(f"DROP DATABASE {identifier(self._store.database)}")
        self._store.close()


def _unescaped(value: pl.Expr) -> pl.Expr:
    """A tag's value as it is, of one as the server names a series."""
    for character in (",", "=", " "):
        value = value.str.replace_all("\\" + character, character, literal=True)
    return value


def _columns(statement: str) -> list[str]:
    """Names of the columns that a statement of our own texts answers with."""
    clause = statement[: re.search(r"\bFROM\b", statement).start()].removeprefix("SELECT")  # type: ignore[union-attr]
    parts = re.split(r",(?![^()]*\))", clause)
    return [part.rpartition(" AS ")[2].strip() for part in parts]


def _grouped(statement: str) -> list[str]:
    """Tags that a statement of our own texts groups its answer by."""
    clause = re.search(r"^GROUP BY (.*)$", statement, re.MULTILINE)
    names = clause.group(1).removesuffix("fill(none)").split(",") if clause else []
    return [name.strip() for name in names if name.strip() in _TEXTS]


def _shaped(workload: Workload, rows: pl.DataFrame) -> pa.Table:
    """An answer in the workload's columns; `time` is the bucket where the workload has one."""
    names = answer_schema(workload).names
    if missing := [name for name in names if name not in rows.columns]:
        rows = rows.rename({"time": missing[0]})
    return sql.shaped(workload, rows.select(names).to_arrow(compat_level=pl.CompatLevel.oldest()))


class InfluxDB1:
    """An InfluxDB 1.x server."""

    name: ClassVar[str] = "influxdb1"
    suffix: ClassVar[str] = "influxql"
    statement_timeout: float = 600.0
    """Seconds that one statement may take."""

    def _url(self) -> URL:
        text = os.environ.get(URL_VARIABLE, "")
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            url = None
        if url is None or url.drivername not in ("influxdb", "influxdbs") or not url.host:
            what = f"{shown_url(text)!r} is not accepted" if text else "is not set"
            raise StoreError(
                f"{URL_VARIABLE}: {what}; use {URL_FORM}, e.g. a Debian influxdb as '.ci/influxdb start' starts it"
            )
        return url

    def state(self) -> EngineState:
        """Ask the server for its version."""
        try:
            connection = InfluxConnection(self._url(), timeout=3.0)
            try:
                version = connection.version()
                connection.json("SHOW DATABASES")
            finally:
                connection.close()
        except StoreError as error:
            return EngineState(False, reason=str(error))
        if not version.startswith("1."):
            return EngineState(False, version, reason=f"{URL_VARIABLE}: version {version} answers; this engine is 1.x")
        return EngineState(True, version, "open source")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[InfluxSession]:  # noqa: ARG002 - a server has no folder
        """Make an empty database on the server, dropped afterwards."""
        url = self._url().set(database=f"bench_{lane}_{uuid.uuid4().hex[:12]}")
        session = InfluxSession(url, lane, self.statement_timeout)
        try:
            session.set_up()
            yield session
        finally:
            session.drop()

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings, and what the server says of itself where it is there."""
        found = {
            "batch": str(InfluxSession.batch),
            "workers": str(WORKERS),
            "statement_timeout": f"{self.statement_timeout:g}",
        }
        try:
            connection = InfluxConnection(self._url(), timeout=3.0)
            for series in connection.json("SHOW DIAGNOSTICS")[0]["series"]:
                if series["name"].startswith("config-data") or series["name"] == "runtime":
                    found |= dict(zip(series["columns"], map(str, series["values"][0]), strict=True))
            connection.close()
        except StoreError:
            return found
        return found
