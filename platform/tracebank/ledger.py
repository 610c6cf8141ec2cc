"""The ledger: which rows came from which run of which code, kept when Dagster's own event log is pruned.

Rows and ledger lie in two stores, and no transaction spans both. So what is going to stand is entered as pending, with
the digest of the rows; then the rows are committed; then the entry is settled. What a killed writer left pending is
held against the rows that stand whenever the ledger is read or written: where they are what it was about to write, the
entry is settled, else it is dropped. Nobody reads a pending entry as done: it lies in a table of its own.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import psutil
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import aliased

from tracebank.content import SeriesContent
from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.ledger import Entry, Materialization, PendingMaterialization

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore
    from tracebank_schemas.series import Partition, SeriesTable

_SERIES: Final = "series."
_COLUMNS: Final = tuple(column.name for column in Materialization.__table__.columns)
_NO_ROWS: Final = {"rows": 0, "content": f"{0:016x}"}
_COMMIT: Final = timedelta(hours=1)
"""Longer than any commit of staged rows takes."""
_writing: set[tuple[str, str, str]] = set()
"""Entries that this process has pending: it settles or drops them itself."""


@dataclass(frozen=True, slots=True)
class Part:
    """One partition that a materialisation wrote."""

    table: str
    """E.g. `series.bars` or `relational.features`."""
    partition: Mapping[str, Any]
    rows: int
    content: str
    """Digest of the rows."""

    def as_json(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        partition = {
            key: value.isoformat() if isinstance(value, date) else value for key, value in self.partition.items()
        }
        return {"table": self.table, "partition": partition, "rows": self.rows, "content": self.content}


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of an entry that a killed writer had left pending."""

    asset_key: str
    partition: str
    settled: bool
    """False where its rows do not stand: the entry was dropped."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says of one partition, and what stands there."""

    asset_key: str
    partition: str
    table: str
    told: int
    """Rows that the newest entry tells of."""
    stands: int

    @property
    def agrees(self) -> bool:
        """True when both are the same."""
        return self.told == self.stands


def data_version(code: str, config: Mapping[str, Any], inputs: Mapping[str, str], content: str) -> str:
    """Version of rows: equal code, config, inputs and content give equal versions."""
    text = json.dumps([code, config, inputs, content], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


class Ledger:
    """Entries of materialisations, and the rows that they tell of."""

    def __init__(self, relational: RelationalStore, series: SeriesStore) -> None:
        self._relational = relational
        self._series = series

    def intend(self, entry: Materialization) -> None:
        """Enter what is about to be written; what dead writers left pending is judged first."""
        self.recover()
        row = {**entry.row(), "writer": _this_writer()}
        with self._relational.session() as session:
            self._relational.upsert(session, PendingMaterialization, [row])
        _writing.add(_key(entry))

    def settle(self, session: Session, entry: Materialization) -> None:
        """Enter what was written as done, in the caller's transaction: relational rows may be written in the same."""
        self._relational.upsert(session, Materialization, [entry.row()])
        session.execute(delete(PendingMaterialization).where(_same(entry)))

    def enter(self, entry: Materialization) -> None:
        """Enter as done what another entry wrote."""
        with self._relational.session() as session:
            self.settle(session, entry)

    def forget(self, entry: Materialization) -> None:
        """Leave an entry of this process to be judged as a dead writer's is: it was settled, or its write failed."""
        _writing.discard(_key(entry))

    def latest_version(self, asset_key: str, partition: str) -> str | None:
        """Data version of the newest materialisation of an asset's partition; None where there is none."""
        self.recover()
        query = (
            select(Materialization.data_version)
            .where(Materialization.asset_key == asset_key, Materialization.partition == partition)
            .order_by(Materialization.finished_at.desc())
            .limit(1)
        )
        with self._relational.reading() as session:
            return session.scalar(query)

    def recover(self) -> list[Judged]:
        """Settle or drop what killed writers left pending, each by the rows that stand."""
        with self._relational.reading() as session:
            left = [one for one in session.scalars(select(PendingMaterialization)) if not _alive(one)]
            session.expunge_all()
        return [judged for one in left if (judged := self._judge(one))]

    def _judge(self, left: PendingMaterialization) -> Judged | None:
        stands = all(self._stands(part) for part in left.parts)
        if not stands and _may_live(left):
            return None
        entry = Materialization(**{name: getattr(left, name) for name in _COLUMNS})
        with self._relational.session() as session:
            if stands:
                self.settle(session, entry)
            else:
                session.execute(delete(PendingMaterialization).where(_same(entry)))
        return Judged(left.asset_key, left.partition, stands)

    def _stands(self, part: Mapping[str, Any]) -> bool:
        if (found := _series_part(part)) is None:
            return False  # relational rows are committed with the entry itself: it would not be pending any more
        table, partition = found
        if self._series.size(table, partition).rows != part["rows"]:
            return False
        content = SeriesContent(table)
        for batch in self._series.read_batches(table, partition=partition, ordered=False):
            content.update(batch)
        return content.digest == str(part["content"])

    def gone(self, removed: Sequence[tuple[SeriesTable, Partition]], run_id: str) -> None:
        """Enter that partitions of series tables were removed: the newest entries tell of no rows there.

        Args:
            removed: the partitions.
            run_id: by what.
        """
        now, entries = datetime.now(UTC), []
        for entry in self._newest():
            parts = [part | _NO_ROWS if _series_part(part) in removed else part for part in entry.parts]
            if parts != entry.parts:
                told = {"run_id": run_id, "data_version": "", "content": "", "started_at": now, "finished_at": now}
                entries.append({**entry.row(), **told, "rows": 0, "bytes": 0, "seconds": 0.0, "parts": parts})
        with self._relational.session() as session:
            self._relational.upsert(session, Materialization, entries)

    def compare(self) -> list[Standing]:
        """Rows of the newest entry of every partition beside those that stand in the series store.

        Tables are compared whole, which is one look a table; partitions only of those that differ.
        """
        by_table: dict[str, list[tuple[Materialization, dict[str, Any]]]] = {}
        for entry in self._newest():
            for part in entry.parts:
                if _series_part(part):
                    by_table.setdefault(part["table"], []).append((entry, part))
        return [one for told in by_table.values() for one in self._compared(told)]

    def _compared(self, told: list[tuple[Materialization, dict[str, Any]]]) -> Iterator[Standing]:
        table, _ = _series_part(told[0][1]) or (None, None)
        assert table is not None
        as_told = self._series.size(table).rows == sum(part["rows"] for _, part in told)
        for entry, part in told:
            _, partition = _series_part(part) or (table, {})
            stands = part["rows"] if as_told else self._series.size(table, partition).rows
            yield Standing(entry.asset_key, entry.partition, part["table"], part["rows"], stands)

    def _newest(self) -> list[Materialization]:
        place = func.row_number().over(
            partition_by=(Materialization.asset_key, Materialization.partition),
            order_by=Materialization.finished_at.desc(),
        )
        ranked = select(Materialization, place.label("place")).subquery()
        newest = aliased(Materialization, ranked)
        with self._relational.reading() as session:
            found = list(session.scalars(select(newest).where(ranked.c.place == 1)))
            session.expunge_all()
        return found


def _series_part(part: Mapping[str, Any]) -> tuple[SeriesTable, Partition] | None:
    """Table and partition of a part; None where it is relational, or of a table that is not declared any more."""
    name = str(part["table"])
    if not name.startswith(_SERIES) or (table := TABLES.get(name.removeprefix(_SERIES))) is None:
        return None
    dates = {key for key, column in table.partition_columns.items() if _is_date(table, key, column)}
    values = part["partition"].items()
    return table, {key: date.fromisoformat(value) if key in dates else value for key, value in values}


def _is_date(table: SeriesTable, key: str, column: str) -> bool:
    return key == "day" or str(table.arrow_schema.field(column).type) == "date32[day]"


def _key(entry: Entry) -> tuple[str, str, str]:
    return entry.run_id, entry.asset_key, entry.partition


def _same(entry: Entry) -> ColumnElement[bool]:
    pending = PendingMaterialization
    run_id, asset_key, partition = _key(entry)
    return (pending.run_id == run_id) & (pending.asset_key == asset_key) & (pending.partition == partition)


@cache
def _host() -> str:
    return socket.gethostname()


def _this_writer() -> str:
    process = psutil.Process(os.getpid())
    return f"{_host()}|{process.pid}|{process.create_time()}"


def _alive(left: PendingMaterialization) -> bool:
    """Whether the writer is a process of this host that still runs, and will settle its entry itself."""
    host, pid, started = left.writer.split("|")
    if host != _host():
        return False
    if left.writer == _this_writer():
        return _key(left) in _writing
    try:
        return str(psutil.Process(int(pid)).create_time()) == started
    except psutil.NoSuchProcess:
        return False


def _may_live(left: PendingMaterialization) -> bool:
    """Whether the writer is on another host, where it may be committing: no entry is pending for longer than that."""
    return left.writer.split("|")[0] != _host() and datetime.now(UTC) - left.finished_at < _COMMIT
