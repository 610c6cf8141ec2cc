"""kdb+ by PyKX: q in process where there is a licence, or a q server over IPC (`TRACEBANK_BENCH_KDB_URL`).

Unrun: where this was written there was no licence. Connection, conversion and what is sent are tested against a double
of the wire format; the q texts and the statements below have never been run, and the gate of answers judges them first.

Lanes: `paper` is one table in memory in the order of time, without attributes; `idiomatic` is a historical database,
partitioned by date and splayed, sorted by symbol with `p#`. Both have a column `date`, so that one text serves both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tracebank.settings import shown_url
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import TableSize
from tracebank_benchmarks.tsdb import queries
from tracebank_benchmarks.tsdb.engine import EngineState, LoadPhases, Prepared, UnsupportedError
from tracebank_benchmarks.tsdb.engines import sql, threads
from tracebank_benchmarks.tsdb.engines.kdb.connection import KdbConnection, missing_licence, pykx, q_table
from tracebank_benchmarks.tsdb.workloads import Lane, Parameters, Value, Workload
from tracebank_schemas.series import TIMESTAMP, SeriesTable
from tracebank_schemas.tsdb_benchmark import TABLES

URL_VARIABLE: Final = "TRACEBANK_BENCH_KDB_URL"
FOLDER_VARIABLE: Final = "TRACEBANK_BENCH_KDB_FOLDER"
URL_FORM: Final = "kdb://user:password@host:5000/"
BATCH: Final = 100_000
"""Rows of one message."""
_TYPES: Final = {TIMESTAMP: "timestamp", pa.string(): "symbol", pa.int64(): "long", pa.float64(): "float"}


def literal(name: str, value: Value) -> str:
    """A parameter as q writes it; names become symbols, moments a table.

    Raises:
        TypeError: it is of another kind.
        ValueError: a time has no zone, a number is not finite, or a name has a NUL.
    """
    if name == "moments":
        moments = sql.pairs(value)
        symbols = _list([_text(symbol) for symbol, _ in moments])
        return f"([]symbol:`${symbols};moment:{_list([_scalar(moment) for _, moment in moments])})"
    if isinstance(value, tuple):
        if all(isinstance(item, str) for item in value):
            return f"(`${_list([_text(str(item)) for item in value])})"
        return f"({_list([_scalar(item) for item in value])})"
    return f"({_scalar(value)})"


def _list(items: list[str]) -> str:
    if not items:
        return "()"
    return f"(enlist {items[0]})" if len(items) == 1 else f"({';'.join(items)})"


def _text(value: str) -> str:
    """A string of q: octal for every byte that is not plain; of one character as well a list, not an atom."""
    if "\0" in value:
        raise ValueError(f"name {value!r} has a NUL, which q's symbols cannot have")
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in value.encode()
    )
    return f'(enlist"{plain}")' if len(value.encode()) == 1 else f'"{plain}"'


def _scalar(value: object) -> str:
    if isinstance(value, datetime):
        return f"{sql.utc(value):%Y.%m.%dD%H:%M:%S.%f}000"
    if isinstance(value, str):
        return f"`${_text(value)}"
    if isinstance(value, float):
        return f"{sql.number(value)}f"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:d}j"
    raise sql.refused(value)


_MERGED: Final = (
    "{[d;t;i]f:{[d;t;n;p]x:select from n where p=`date$ts;q:.Q.par[d;p;t];"
    "if[not()~key q;o:select from get ` sv q,`;x:@[o;where(type each flip o)within 20 76h;value],x];"
    "t set `seq xasc x;.Q.dpft[d;p;`symbol;t]};"
    "f[d;t;value i]each distinct `date$(value i)`ts;i set 0#value i;![`.;();0b;enlist t]}"
)
"""Adds the rows that wait in `i` to the partitions of `t`: each is written anew, sorted, with `p#` on the symbol."""


class KdbSession:
    """The suite's tables in a q, in one lane."""

    def __init__(
        self, connect: Callable[[], KdbConnection], lane: Lane, folder: str, unsorted: set[str] | None = None
    ) -> None:
        self._connect = connect
        self._q = connect()
        self._lane = lane
        self._folder = folder
        self._unsorted: set[str] = set() if unsorted is None else unsorted
        """Tables to which batches were added since they were last in the order of time; of all connections."""

    def _waiting(self, table: SeriesTable) -> str:
        """The table in memory that rows are sent to."""
        return table.name if self._lane is Lane.PAPER else f"{table.name}_in"

    def _create(self, table: SeriesTable) -> str:
        columns = ";".join(f"{column.name}:`{_TYPES[column.type]}$()" for column in table.columns)
        date = ";date:`date$()" if self._lane is Lane.PAPER else ""
        return f"{self._waiting(table)}:([]{columns}{date})"

    def _settlement(self, table: SeriesTable) -> list[str]:
        name = table.name
        if self._lane is Lane.PAPER:
            return [f"`ts`seq xasc `{name}"]
        folder = f"hsym `${_text(self._folder)}"
        merged = f"{_MERGED}[{folder};`{name};`{self._waiting(table)}]"
        return [merged, f".Q.chk {folder}", f'system"l ",{_text(self._folder)}']

    def set_up(self) -> None:
        """Make the empty tables."""
        for table in TABLES:
            self._q.evaluate(self._create(table))

    def load(self, table: SeriesTable, frames: Iterable[pa.Table]) -> LoadPhases:
        """Send columnar batches; `settle` sorts (paper) or writes the partitions and maps them (idiomatic)."""
        timed, serialise = sql.Timed(frames), 0.0
        start = time.perf_counter()
        for frame in timed:
            for at in range(0, frame.num_rows, BATCH):
                begun = time.perf_counter()
                batch = q_table(frame.slice(at, BATCH))
                serialise += time.perf_counter() - begun
                self._insert(table, batch)
        sent = time.perf_counter() - start - timed.seconds - serialise
        begun = time.perf_counter()
        for text in self._settlement(table):
            self._q.evaluate(text)
        return LoadPhases(serialise, sent, time.perf_counter() - begun)

    def _insert(self, table: SeriesTable, batch: Any) -> None:
        rows = "update date:`date$ts from x" if self._lane is Lane.PAPER else "x"
        self._q.evaluate(f"{{`{self._waiting(table)} insert {rows};}}", batch)

    @contextmanager
    def connection(self) -> Iterator[KdbSession]:
        """Another connection to the q server, which answers one at a time.

        Raises:
            UnsupportedError: q runs in this process.
        """
        if self._q.url is None:
            raise UnsupportedError(f"q in process has one caller; {URL_VARIABLE} names a q server")
        other = KdbSession(self._connect, self._lane, self._folder, self._unsorted)
        try:
            yield other
        finally:
            other._q.close()

    def append(self, table: SeriesTable, rows: pa.Table) -> None:
        """Insert a batch into the table in memory; the next question puts it into the order of time first.

        Raises:
            UnsupportedError: the lane's tables are on disk.
            StoreError: q refused it.
        """
        if self._lane is Lane.IDIOMATIC:
            raise UnsupportedError(
                "a historical database takes no rows in small batches: its partitions are written whole, at the end of"
                " a day"
            )
        self._insert(table, q_table(rows))
        self._unsorted.add(table.name)

    def prepare(self, workload: Workload, parameters: Parameters) -> Prepared:
        """Fill in a workload's text.

        Raises:
            UnsupportedError: there is no text.
        """
        text = queries.text("q", workload.id)
        if text is None:
            raise UnsupportedError(f"{workload.id}: no text in q")
        return Prepared(workload, one_line(sql.filled(workload, text, parameters, literal)))

    def execute(self, prepared: Prepared) -> pa.Table:
        """Run it and read the whole answer.

        Raises:
            StatementTimeout: it ran longer than it may.
            StoreError: the engine failed.
        """
        for name in sorted(self._unsorted):
            self._unsorted.discard(name)
            self._q.evaluate(f"`ts`seq xasc `{name}")
        return sql.shaped(prepared.workload, self._q.table(prepared.text))

    def size(self, table: SeriesTable) -> TableSize:
        """Rows, and bytes: of the partitions' files (idiomatic), or of the table in memory (paper)."""
        rows = int(self._q.evaluate(f"count {table.name}").py())
        raw = int(self._q.evaluate(f"-22!select from {table.name}").py())
        if self._lane is Lane.PAPER:
            return TableSize(rows, raw, raw)
        files = f"{{sum{{sum hcount each ` sv'x,'key x}}each .Q.par[x;;`{table.name}]each date}}"
        text = f"{files}hsym `${_text(self._folder)}"
        return TableSize(rows, int(self._q.evaluate(text).py()), raw)

    def cold(self) -> str:
        """Nothing: mapped files are cached by the system, which the suite leaves alone."""
        return ""

    def ddl(self) -> str:
        """The statements that set the lane up, for the record."""
        return ";\n".join(text for table in TABLES for text in (self._create(table), *self._settlement(table)))

    def drop(self) -> None:
        """Remove the tables from memory and close; a historical database's files are the session's folder's."""
        for table in TABLES:
            for name in dict.fromkeys((table.name, self._waiting(table))):
                self._q.evaluate(f"if[`{name} in key `.;delete {name} from `.]")
        self._q.close()


def one_line(text: str) -> str:
    """A text without its comments, in one line, as IPC takes it."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("/"))


class Kdb:
    """kdb+ with a licence in process, or a q server."""

    name: ClassVar[str] = "kdb"
    suffix: ClassVar[str] = "q"
    statement_timeout: float = 600.0
    """Seconds that one question may take."""

    def _url(self) -> URL | None:
        text = os.environ.get(URL_VARIABLE, "")
        if not text:
            return None
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            url = None
        if url is None or url.drivername != "kdb" or not url.host:
            raise StoreError(f"{URL_VARIABLE}: {shown_url(text)!r} is not accepted; use {URL_FORM}")
        return url

    def _connect(self, timeout: float) -> KdbConnection:
        url = self._url()
        return KdbConnection.to(url, timeout=timeout) if url is not None else KdbConnection.in_process()

    def state(self) -> EngineState:
        """Ask the q server, or q in process, for its version."""
        try:
            if self._url() is None and not pykx().licensed:
                return EngineState(
                    False, reason=f"{missing_licence()}; or set {URL_VARIABLE} to a q server: {URL_FORM}"
                )
            connection = self._connect(3.0)
            try:
                version = connection.evaluate("string .z.K").py().decode()
            finally:
                connection.close()
        except StoreError as error:
            return EngineState(False, reason=str(error))
        return EngineState(True, version, "server" if self._url() is not None else "in process")

    @contextmanager
    def session(self, lane: Lane, folder: Path) -> Iterator[KdbSession]:
        """Make the tables; a server writes its partitions under its own `TRACEBANK_BENCH_KDB_FOLDER`, else `folder`."""
        place = os.environ.get(FOLDER_VARIABLE) or str(folder.absolute() / "kdb")
        session = KdbSession(partial(self._connect, self.statement_timeout), lane, place)
        try:
            session.set_up()
            yield session
        finally:
            session.drop()

    def settings(self) -> dict[str, str]:
        """Settings that matter to timings; a server's own threads are as it was started."""
        return {"batch": str(BATCH), "threads": str(threads()), "statement_timeout": f"{self.statement_timeout:g}"}
