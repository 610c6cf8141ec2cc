"""kdb+ as a series store: a database on disk, partitioned by date and splayed, that a q server or q in process keeps.

Unrun against q itself: where this was written there was no licence. What is sent is tested, and conversion, against a
double of the wire format; the shared suite runs where `TRACEBANK_TEST_KDB_URL` or a licence is there. The q of it is in
`store.q`. A write is staged on disk; a partition is then built anew, sorted, with its attributes, and takes its
place by renaming, in one message: other clients of that q see the old rows or the new ones. A crash of q between the
two renames leaves the old rows aside, which it puts back when it is next opened. Other q processes that have mapped the
database see a change once they load it again.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from importlib.resources import files
from typing import Any, ClassVar, Final, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from sqlalchemy.engine import URL

from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.tables.partition import checked_partition
from tracebank.tables.writer import Writer
from tracebank_benchmarks.tsdb.engines.declared_beside import DeclaredBeside, share
from tracebank_benchmarks.tsdb.engines.kdb.connection import NULL_LONG, KdbConnection, arrow, pykx
from tracebank_benchmarks.tsdb.engines.kdb.rows import Rows
from tracebank_schemas.series import Day, Partition, SeriesTable, Value

URL_FORM: Final = (
    "kdb://user:password@host:5000/absolute/folder of the q server, or kdb:///absolute/folder with a licence"
)
_FOLDER: Final = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_Q_EPOCH: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def definitions() -> list[str]:
    """The functions that the adapter has q define, one line each."""
    text = files("tracebank_benchmarks.tsdb.engines.kdb").joinpath("store.q").read_text(encoding="utf-8")
    blocks = (
        "\n".join(line for line in block.splitlines() if not line.startswith("/")) for block in text.split("\n\n")
    )
    return [" ".join(line.strip() for line in block.splitlines()) for block in blocks if block.strip()]


class KdbStore(DeclaredBeside):
    """Series tables in kdb+."""

    engine: ClassVar[str] = "kdb"
    timestamp_resolution: ClassVar[Literal["ns", "us", "ms"]] = "ns"
    on_rewrite: ClassVar[Literal["duplicate", "overwrite", "refuse"]] = "duplicate"
    asof_join: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    deletes: ClassVar[bool] = False
    """Rows go with their partition: columns on disk are written whole."""
    concurrency: ClassVar[Literal["many_processes", "one_process", "one_writer"]] = "many_processes"
    """Through one q server, which does one thing at a time; in process, one process."""

    def __init__(self, url: URL, *, timeout: float = 600.0, connection: KdbConnection | None = None) -> None:
        """Take the address; nothing is sent yet.

        Args:
            url: as `URL_FORM` says; the path is the folder that q writes in.
            timeout: seconds that one message may take.
            connection: a connection that stands, for q to be asked over.

        Raises:
            StoreError: the URL is of another form.
        """
        folder = f"/{(url.database or '').strip('/')}"
        if url.drivername != "kdb" or not _FOLDER.fullmatch(folder):
            raise StoreError(
                f"kdb: {url.render_as_string()} is not accepted; use {URL_FORM}, of letters, digits, _ . -"
            )
        self.folder = self.place = folder
        self._url = url
        self._timeout = timeout
        self._connection = connection
        self._ready = False

    @contextmanager
    def session(self) -> Iterator[KdbConnection]:
        """The store's own connection to q, in which the adapter's functions stand."""
        yield self._q()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._ready = None, False

    def call(self, function: str, *arguments: Any) -> Any:
        """Value of one of the adapter's functions, of the folder and arguments.

        Raises:
            StoreError: q signals an error, or does not answer.
            StatementTimeout: it ran longer than it may.
        """
        return self._q().evaluate(f".tb.{function}", f":{self.folder}", *arguments)

    def _q(self) -> KdbConnection:
        if self._connection is None:
            there = self._url.host
            self._connection = (
                KdbConnection.to(self._url, timeout=self._timeout) if there else KdbConnection.in_process()
            )
        if not self._ready:
            self._prepare(self._connection)
            self._ready = True
        return self._connection

    def _prepare(self, connection: KdbConnection) -> None:
        """Define the functions; who finds none of this folder opened opens it, with nobody else's writes under way."""
        for text in definitions():
            connection.evaluate(text)
        connection.evaluate(
            "{if[not `opened in key .tb; .tb.opened:`symbol$()]; if[not x in .tb.opened; .tb.open x; .tb.opened,:x];}",
            f":{self.folder}",
        )

    def info(self) -> EngineInfo:
        """Engine, version and edition."""
        version = self._q().evaluate("string .z.K").py().decode()
        return EngineInfo(self.engine, version, "q server" if self._url.host else "in process")

    def _check(self, table: SeriesTable) -> None:
        Rows.of(table)

    def _make(self, table: SeriesTable, text: str) -> None:
        rows = Rows.of(table)
        attributes = rows.attributes
        self.call(
            "create", table.name, text.encode(), symbols(rows.names), rows.types.encode(),
            symbols(table.sort_key), symbols([rows.day, rows.stamp]),
            [symbols(attributes), symbols(attributes.values())],
        )  # fmt: skip

    def _kept(self, table: SeriesTable) -> str:
        return bytes(self.call("declared", table.name).py()).decode()

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        self.call("drop", table.name)

    def writer(self, table: SeriesTable, partition: Partition | None) -> KdbWriter:
        """A writer whose rows replace the partition's, in one message; or, for None, join those that stand.

        q holds the rows of one day, or of a table without days, at once; every day that has new ones is written anew.
        """
        return KdbWriter(self, table, partition)

    def _frames(
        self,
        table: SeriesTable,
        partition: Partition | None,
        names: Sequence[str],
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[pl.DataFrame]:
        rows, low, high = Rows.of(table), _stamp(start), _stamp(end)
        checked = checked_partition(table, partition) if partition is not None else {}
        if high is not None and (high < -(2**63) + 1 or (low is not None and low >= high)):
            return
        if low is not None and low > 2**63 - 1:
            return
        columns = {column.name: column for column in table.columns}
        physical = symbols(name for wanted in names for name in rows.physical(columns[wanted]))
        for day in self._days(rows, checked, start, end):
            bounds = map(_bound, (low, high))
            answer = self.call("read", table.name, day, keys(table, checked), physical, *bounds)
            yield rows.frame(arrow(answer), list(names))

    def _days(self, rows: Rows, partition: Partition, start: datetime | None, end: datetime | None) -> list[int]:
        """Dates to read, as q has them; one null for a table that has none."""
        if partition or not rows.day:
            return [date_of(rows.table, partition)]
        found: list[date] = list(self.call("dates").py())
        if rows.day == rows.stamp:
            found = [day for day in found if start is None or day >= start.date()]
            found = [day for day in found if end is None or day <= end.date()]
        return [_date(day) for day in found]

    def query(self, text: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Answer of a q text, which is a table, keyed or not; every table of the store is one of q's.

        Args:
            text: q; with parameters a function of them, in their order.
            parameters: values, bound by q.
        """
        return arrow(self._q().evaluate(text, *(parameters or {}).values()))

    def size(self, table: SeriesTable, partition: Partition | None = None) -> TableSize:
        """Rows and bytes of the files; of a part of a date's rows, their share by number."""
        checked = checked_partition(table, partition) if partition is not None else {}
        self._must_stand(table)
        answer = self.call("size", table.name, date_of(table, checked), keys(table, checked)).py()
        total, rows, raw, on_disk = map(int, answer)
        whole = TableSize(total, on_disk, raw)
        return whole if partition is None else share(whole, rows)


class KdbWriter(Writer):
    """Rows on their way into one partition or into a table, staged by q as they come."""

    block_rows: ClassVar[int] = 131_072

    def __init__(self, store: KdbStore, table: SeriesTable, partition: Partition | None) -> None:
        super().__init__(table, partition)
        self._store = store
        self._layout = Rows.of(table)
        self._id = f"write_{uuid.uuid4().hex}"

    def _begin(self) -> None:
        self._store.create(self.table)

    def _put(self, block: pa.Table) -> None:
        vectors = self._layout.vectors(block)
        self._store.call("stage", self.table.name, self._id, symbols(self._layout.names), vectors)

    def _commit(self) -> None:
        if self.partition is None:
            self._store.call("append", self.table.name, self._id)
        else:
            day, rest = date_of(self.table, self.partition), keys(self.table, self.partition)
            self._store.call("replace", self.table.name, self._id, day, rest)

    def _abandon(self) -> None:
        # What is left under staging goes when q next opens the folder; the first error is the one to tell.
        with suppress(StoreError):
            self._store.call("forget", self._id)


def symbols(names: Iterable[str]) -> Any:
    """Names as a vector of symbols."""
    kx, listed = pykx(), list(names)
    return kx.toq(np.array(listed, dtype=object)) if listed else kx.toq([], ktype=kx.SymbolVector)


def keys(table: SeriesTable, partition: Partition) -> Any:
    """A partition's values by column, without its day; none of none."""
    values = {key.column: partition[key.name] for key in table.partition_keys if partition and isinstance(key, Value)}
    return pykx().toq(values)


def date_of(table: SeriesTable, partition: Partition) -> int:
    """The day of a partition, as q has it; null where it has none."""
    return next(
        (_date(partition[key.name]) for key in table.partition_keys if partition and isinstance(key, Day)), NULL_LONG
    )


def _date(day: object) -> int:
    """Days since 2000. PyKX has no null of dates without a licence."""
    assert isinstance(day, date)
    return (day - _Q_EPOCH.date()).days


def _stamp(moment: datetime | None) -> int | None:
    """Nanoseconds since 2000, of any size."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise StoreError(f"time {moment!r} has no time zone; give one in UTC")
    return (moment - _Q_EPOCH) // timedelta(microseconds=1) * 1000


def _bound(stamp: int | None) -> int:
    return NULL_LONG if stamp is None or not -(2**63) < stamp < 2**63 else stamp
