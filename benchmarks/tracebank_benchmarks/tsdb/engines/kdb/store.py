"""kdb+ as a series store: a database on disk, partitioned by date and splayed, that a q server or q in process keeps.

Unrun against q itself: where this was written there was no licence. What is sent is tested, and conversion, against a
double of the wire format; the shared suite runs where `TRACEBANK_TEST_KDB_URL` or a licence is there. The q of it is in
`store.q`. A write is staged on disk; a partition is then built anew, sorted, with its attributes, and takes its
place by renaming, in one message: other clients of that q see the old rows or the new ones. A crash of q between the
two renames leaves the old rows aside, which it puts back when it is next opened. Other q processes that have mapped the
database see a change once they load it again.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from importlib.resources import files
from types import TracebackType
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import polars as pl
import pyarrow as pa
from sqlalchemy.engine import URL

from tracebank.stores.faults import SchemaDrift, StoreError
from tracebank.stores.series_store import EngineInfo, TableSize
from tracebank.tables.drift import Difference, declaration, differences
from tracebank.tables.frames import Frame, fitted
from tracebank.tables.partition import check_belongs, checked_partition
from tracebank.tables.writer import Written, drained
from tracebank_benchmarks.tsdb.engines.kdb.connection import NULL_LONG, KdbConnection, arrow, pykx
from tracebank_benchmarks.tsdb.engines.kdb.rows import Rows
from tracebank_schemas.series import Partition, SeriesTable

URL_FORM: Final = (
    "kdb://user:password@host:5000/absolute/folder of the q server, or kdb:///absolute/folder with a licence"
)
_BLOCK: Final = 131_072
"""Rows of one message."""
_FOLDER: Final = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_Q_EPOCH: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def definitions() -> list[str]:
    """The functions that the adapter has q define, one line each."""
    text = files("tracebank_benchmarks.tsdb.engines.kdb").joinpath("store.q").read_text(encoding="utf-8")
    blocks = (
        "\n".join(line for line in block.splitlines() if not line.startswith("/")) for block in text.split("\n\n")
    )
    return [" ".join(line.strip() for line in block.splitlines()) for block in blocks if block.strip()]


class KdbStore:
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
        self.folder = folder
        self._url = url
        self._timeout = timeout
        self._connection = connection
        self._ready = False

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._ready = None, False

    def call(self, function: str, *arguments: Any) -> Any:
        """Value of one of the adapter's functions, of the folder and arguments.

        Raises:
            StoreError: q signals an error, or does not answer.
            TimeoutError: it ran longer than it may.
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

    # --- declarations ---------------------------------------------------------------------------------------------

    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained to every partition.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
            FrameRefused: a name is none that q takes.
        """
        rows, found = Rows.of(table), self._found(table)
        drift = differences(table, found) if found is not None else None
        if drift == []:
            return
        if fatal := [one for one in drift or () if not one.repairable]:
            first = fatal[0]
            raise SchemaDrift(
                f"table {table.name}: {first.what} is {first.found}, declared {first.declared} ({len(fatal)} such);"
                " copy its rows to a new table, or drop it and materialise again"
            )
        attributes = rows.attributes
        self.call(
            "create", table.name, json.dumps(declaration(table)).encode(), symbols(rows.names), rows.types.encode(),
            symbols(table.sort_key), symbols([rows.day, rows.stamp]),
            [symbols(attributes), symbols(attributes.values())],
        )  # fmt: skip

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""
        found = self._found(table)
        if found is None:
            return [Difference(table.name, "table", "present", "absent", True)]
        return differences(table, found)

    def _found(self, table: SeriesTable) -> dict[str, Any] | None:
        text = bytes(self.call("declared", table.name).py())
        kept: dict[str, Any] | None = json.loads(text) if text else None
        return kept

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        self.call("drop", table.name)

    # --- writing --------------------------------------------------------------------------------------------------

    def replacing(self, table: SeriesTable, partition: Partition) -> KdbWriter:
        """A writer whose rows replace the partition's, in one message, when its `with` block ends well."""
        return KdbWriter(self, table, checked_partition(table, partition))

    def replace(self, table: SeriesTable, partition: Partition, frames: Frame | Iterable[Frame]) -> Written:
        """Replace a partition by the rows of `frames`; q holds those of one day, or of a table without days, at once.

        Raises:
            FrameRefused: a frame does not fit; the old rows stand.
            StoreError: the engine failed; the old rows stand.
        """
        return drained(self.replacing(table, partition), frames)

    def append(self, table: SeriesTable, frames: Frame | Iterable[Frame]) -> Written:
        """Add rows of any partitions; every day that they are of is written anew, sorted."""
        return drained(KdbWriter(self, table, None), frames)

    # --- reading --------------------------------------------------------------------------------------------------

    def read(
        self,
        table: SeriesTable,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> pl.DataFrame:
        """Rows as Polars, of a partition and of `[start, end)` of the first time-stamp column where given."""
        wanted = self._wanted(table, columns)
        extra = [name for name in table.sort_key if ordered and name not in wanted]
        names = [*wanted, *extra]
        empty = pl.DataFrame(schema={name: table.polars_schema[name] for name in names})
        frame = pl.concat([empty, *self._frames(table, partition, names, start, end)])
        if ordered and table.sort_key:
            frame = frame.sort(table.sort_key, maintain_order=True)
        return frame.select(wanted)

    def read_batches(
        self,
        table: SeriesTable,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        """As `read`, in Arrow batches: day by day where no order is asked for, else held and sorted by the client."""
        if ordered:
            frames = iter([self.read(table, partition=partition, columns=columns, start=start, end=end)])
        else:
            frames = self._frames(table, partition, self._wanted(table, columns), start, end)
        for frame in frames:
            schema = pa.schema([table.arrow_schema.field(name) for name in frame.columns])
            for piece in frame.iter_slices(_BLOCK):
                if piece.height:
                    yield from piece.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema).to_batches()

    @staticmethod
    def _wanted(table: SeriesTable, columns: Sequence[str] | None) -> list[str]:
        declared = table.arrow_schema.names
        names = list(columns) if columns is not None else declared
        unknown = [name for name in names if name not in declared]
        if unknown or not names:
            raise StoreError(f"table {table.name}: columns {unknown or names} are not declared; it has {declared}")
        return names

    def _frames(
        self,
        table: SeriesTable,
        partition: Partition | None,
        names: list[str],
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[pl.DataFrame]:
        """One frame for each partition that may have rows."""
        rows, low, high = Rows.of(table), _stamp(start), _stamp(end)
        checked = checked_partition(table, partition) if partition is not None else {}
        if self._found(table) is None:
            raise StoreError(f"table {table.name} is not in {self.folder}: run 'tracebank db upgrade'")
        if high is not None and (high < -(2**63) + 1 or (low is not None and low >= high)):
            return
        if low is not None and low > 2**63 - 1:
            return
        columns = {column.name: column for column in table.columns}
        physical = symbols(name for wanted in names for name in rows.physical(columns[wanted]))
        for day in self._days(rows, checked.get("day"), start, end):
            answer = self.call("read", table.name, day, keys(table, checked), physical, *map(_bound, (low, high)))
            yield rows.frame(arrow(answer), names)

    def _days(self, rows: Rows, day: Any, start: datetime | None, end: datetime | None) -> list[Any]:
        """Dates to read, as q has them; one null for a table that has none."""
        if not rows.day:
            return [_date(None)]
        if day is not None:
            return [_date(day)]
        found: list[date] = list(self.call("dates").py())
        if rows.day == rows.stamp:
            found = [one for one in found if start is None or one >= start.date()]
            found = [one for one in found if end is None or one <= end.date()]
        return [_date(one) for one in found]

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
        if self._found(table) is None:
            raise StoreError(f"table {table.name} is not in {self.folder}: run 'tracebank db upgrade'")
        answer = self.call("size", table.name, _date(checked.get("day")), keys(table, checked)).py()
        total, rows, raw, on_disk = map(int, answer)
        share = rows / total if total else 0.0
        if partition is None:
            return TableSize(total, on_disk, raw)
        return TableSize(rows, round(on_disk * share), round(raw * share))


class KdbWriter:
    """Rows on their way into one partition (`replace`) or into a table (`append`), staged by q as they come."""

    def __init__(self, store: KdbStore, table: SeriesTable, partition: dict[str, Any] | None) -> None:
        self._store = store
        self._table = table
        self._layout = Rows.of(table)
        self._partition = partition
        self._id = f"write_{uuid.uuid4().hex}"
        self._rows = 0
        self._started = time.perf_counter()
        self._written: Written | None = None

    def __enter__(self) -> Self:
        self._store.create(self._table)
        return self

    def write(self, frame: Frame) -> None:
        """Take more rows.

        Raises:
            FrameRefused: columns, types, nulls, values or partition do not fit; nothing of this writer is written.
        """
        rows = fitted(self._table, frame)
        if self._partition is not None:
            check_belongs(self._table, self._partition, rows)
        for at in range(0, rows.num_rows, _BLOCK):
            vectors = self._layout.vectors(rows.slice(at, _BLOCK))
            self._store.call("stage", self._table.name, self._id, symbols(self._layout.names), vectors)
        self._rows += rows.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with _quietly():
                self._store.call("forget", self._id)
            return
        if self._partition is None:
            self._store.call("append", self._table.name, self._id)
        else:
            partition = self._partition
            day, rest = _date(partition.get("day")), keys(self._table, partition)
            self._store.call("replace", self._table.name, self._id, day, rest)
        size = self._store.size(self._table, self._partition)
        self._written = Written(self._rows, time.perf_counter() - self._started, size.bytes)

    @property
    def written(self) -> Written:
        """What was written, once the `with` block has ended well."""
        if self._written is None:
            raise RuntimeError(f"the write to {self._table.name} has not ended")
        return self._written


@contextmanager
def _quietly() -> Iterator[None]:
    """What is left under staging goes when q next opens the folder; the first error is the one to tell."""
    try:
        yield
    except (StoreError, TimeoutError):
        return


def symbols(names: Iterable[str]) -> Any:
    """Names as a vector of symbols."""
    kx, listed = pykx(), list(names)
    return kx.toq(np.array(listed, dtype=object)) if listed else kx.toq([], ktype=kx.SymbolVector)


def keys(table: SeriesTable, partition: dict[str, Any]) -> Any:
    """A partition's values by column, without its day."""
    return pykx().toq({table.partition_columns[name]: value for name, value in partition.items() if name != "day"})


def _date(day: object) -> int:
    """Days since 2000; q's null for none. PyKX has no null of dates without a licence."""
    return (day - _Q_EPOCH.date()).days if isinstance(day, date) else NULL_LONG


def _stamp(moment: datetime | None) -> int | None:
    """Nanoseconds since 2000, of any size."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise StoreError(f"time {moment!r} has no time zone; give one in UTC")
    return (moment - _Q_EPOCH) // timedelta(microseconds=1) * 1000


def _bound(stamp: int | None) -> int:
    return NULL_LONG if stamp is None or not -(2**63) < stamp < 2**63 else stamp
