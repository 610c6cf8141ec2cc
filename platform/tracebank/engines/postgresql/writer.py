"""Atomic writes into PostgreSQL: one transaction a write, rows by binary COPY, block by block.

Rows of a partition go into a table that stands alone, which nobody reads and nobody waits for. At the end it takes the
old one's place: readers of the partition's siblings wait for milliseconds. All of it is one transaction, so that the
server itself undoes what a killed writer began.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import psycopg
import pyarrow as pa

from tracebank.engines.postgresql import ddl
from tracebank.engines.postgresql.partitions import Leaf, exists, parts
from tracebank.tables.frames import Frame, Limits
from tracebank.tables.partition import by_partition
from tracebank.tables.writer import Writer
from tracebank_schemas.series import TIMESTAMP, Partition, PartitionValue, SeriesTable

if TYPE_CHECKING:
    from tracebank.engines.postgresql.store import PostgreSQLStore

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 0.8
"""Seconds that a swap waits for readers at a time: others queue up behind it. Less than the server takes to look for
deadlocks."""


@dataclass(slots=True)
class _Target:
    """Where the rows of one partition go."""

    leaf: Leaf
    place: str
    stage: bool
    """Whether it stands alone, and is to take the partition's place or be added to it."""
    rows: int = 0


class PostgreSQLWriter(Writer):
    """Rows on their way into one partition (`replace`) or into a table (`append`)."""

    block_rows: ClassVar[int] = 262_144
    limits: ClassVar[Limits] = ddl.LIMITS

    def __init__(
        self,
        store: PostgreSQLStore,
        table: SeriesTable,
        partition: Partition | None,
        session: psycopg.Connection | None = None,
    ) -> None:
        """Args:
        store: where the table is.
        table: the declaration.
        partition: that is replaced; None to add rows of any.
        session: a connection of the caller's that commits each statement; by default one of its own.

        Raises:
            FrameRefused: the partition's keys do not fit.
        """
        super().__init__(table, partition)
        self._store = store
        self._whole = store.leaf(table, self.partition) if self.partition is not None else None
        self._given = session
        self._open = ExitStack()
        self._targets: dict[tuple[PartitionValue, ...], _Target] = {}
        self.serialise_seconds = 0.0
        """Spent on checking and encoding so far."""

    def _checked(self, frame: Frame) -> pa.Table:
        start = time.perf_counter()
        rows = super()._checked(frame)
        self.serialise_seconds += time.perf_counter() - start
        return rows

    def _begin(self) -> None:
        store = self._store
        with store.faults():
            self._session = self._given or self._open.enter_context(
                closing(psycopg.connect(store.conninfo(), autocommit=True))
            )
            store.prepare(self._session, self.table)
            self._divided = store.divided(self._session, self.table)
            self._session.execute("BEGIN")
            self._wait(store.lock_timeout)
            if self._whole is not None:
                name = f"{store.place(self.table)} {self._whole.condition()}"
                self._session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
            if self._whole is not None and not self._divided:
                self._session.execute(f"DELETE FROM {store.place(self.table)} WHERE {self._whole.condition()}".encode())

    def _wait(self, seconds: float) -> None:
        self._session.execute(f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}".encode())

    def _put(self, block: pa.Table) -> None:
        with self._store.faults():
            if not self._divided:
                self._copy(self._store.place(self.table), block, "")
                return
            found = [(self.partition, block)] if self.partition is not None else by_partition(self.table, block)
            for values, rows in found:
                target = self._target(values)
                self._copy(target.place, rows, ", FREEZE" if target.stage else "")
                target.rows += rows.num_rows

    def _target(self, values: Mapping[str, PartitionValue]) -> _Target:
        place = tuple(values.values())
        if place not in self._targets:
            leaf = self._store.leaf(self.table, values)
            if self._whole is None and exists(self._session, leaf.place):
                self._targets[place] = _Target(leaf, leaf.place, stage=False)
            else:
                self._targets[place] = _Target(leaf, self._stage(leaf), stage=True)
        return self._targets[place]

    def _stage(self, leaf: Leaf) -> str:
        """A table that stands alone. Rows may be frozen into it, since nobody saw it without them: a reader whose
        transaction began before sees the new rows, and not none."""
        place = ddl.path(parts(self._store.schema), f"stage_{uuid.uuid4().hex}")
        columns = f"{ddl.columns(self.table)}, CONSTRAINT bounds CHECK ({leaf.condition()})"
        self._session.execute(f"CREATE TABLE {place} ({columns})".encode())
        return place

    def _copy(self, place: str, rows: pa.Table, option: str) -> None:
        from tracebank.engines.postgresql.copy import HEADER, TRAILER, encoded

        pieces = encoded(physical_columns(self.table, rows))
        text = f"COPY {place} ({ddl.names(self.table)}) FROM STDIN (FORMAT BINARY{option})"
        with self._session.cursor() as cursor, cursor.copy(text.encode()) as copy:
            copy.write(HEADER)
            while (piece := self._timed(lambda: next(pieces, None))) is not None:
                copy.write(piece)
            copy.write(TRAILER)

    def _timed(self, make: Callable[[], memoryview | None]) -> memoryview | None:
        start = time.perf_counter()
        piece = make()
        self.serialise_seconds += time.perf_counter() - start
        return piece

    def _commit(self) -> None:
        with self._store.faults():
            if self._divided:
                if self._whole is not None and not self._targets and exists(self._session, self._whole.place):
                    self._target(self._whole.values)  # replaced by nothing
                for target in self._targets.values():
                    if target.stage and self._store.indexed:
                        for text in ddl.create_index(self.table, target.place):
                            self._session.execute(text.encode())
                self._swap_patiently()
            self._session.execute("COMMIT")
            self._open.close()

    def _swap_patiently(self) -> None:
        """Swap; where a reader is in the way, let others pass and try again."""
        give_up = time.monotonic() + self._store.lock_timeout
        wait = _FIRST_WAIT
        while self._targets:
            left = give_up - time.monotonic()
            try:
                with self._session.transaction():
                    self._wait(min(wait, max(left, 0.001)))
                    self._swap()
                return
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if left <= 0:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _swap(self) -> None:
        # One writer at a time; readers do not wait for this one. What is above a partition is locked before it is.
        self._session.execute(
            f"LOCK TABLE ONLY {self._store.place(self.table)} IN SHARE UPDATE EXCLUSIVE MODE".encode()
        )
        for target in self._targets.values():
            leaf, there = target.leaf, exists(self._session, target.leaf.place)
            if target.stage and not (there and self._whole is None):
                if there:
                    leaf.detach(self._session)
                leaf.attach(self._session, target.place, target.rows)
                continue
            if target.stage:  # another writer made the partition meanwhile
                names = ddl.names(self.table)
                self._session.execute(f"INSERT INTO {leaf.place} ({names}) SELECT {names} FROM {target.place}".encode())
                self._session.execute(f"DROP TABLE {target.place}".encode())
            leaf.note(self._session, leaf.place, leaf.rows(self._session) + target.rows)

    def _abandon(self) -> None:
        """Leave: PostgreSQL undoes what was not committed."""
        if self._given is not None:
            with suppress(psycopg.Error):  # its connection is gone, and the transaction with it
                self._given.rollback()
        self._open.close()


def physical_columns(table: SeriesTable, rows: pa.Table) -> list[pa.Array[Any]]:
    """Columns as the table has them: time stamps a second time, in nanoseconds."""
    columns = []
    for name, source in ddl.physical(table):
        chunks = rows.column(source.name).chunks
        values = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
        columns.append(values.cast(pa.int64()) if name != source.name and source.type == TIMESTAMP else values)
    return columns
