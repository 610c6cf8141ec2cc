"""TimescaleDB on PostgreSQL: the same adapter with hypertables and, where asked for, a columnstore.

Without the extension nothing is made: a plain table in its place would be another engine under this one's name. A
table without a time stamp has nothing to be chunked by, and is PostgreSQL's own beside the hypertables. Chunks are the
extension's partitions: a replace deletes the partition's rows, which lie in the chunks of its day, in the transaction
that writes the new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import psycopg
from sqlalchemy.engine import URL

from tracebank.engines.postgresql import ddl
from tracebank.engines.postgresql.store import PostgreSQLStore
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import EngineInfo
from tracebank_schemas.series import TIMESTAMP, SeriesTable

ABSENT: Final = (
    "extension timescaledb is not installed on this server; install it and name it in shared_preload_libraries"
)
_AFTER: Final = "1 day"
_EVERY: Final = "10 minutes"
"""How often the server looks for chunks that are old enough; recorded days of long ago are at once."""


def extension_version(session: psycopg.Connection) -> str:
    """Version of the extension that the server offers, or "" where it has none."""
    text = "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
    found = session.execute(text).fetchone()
    return str(found[0]) if found else ""


def opened(settings: Settings) -> TimescaleDBStore:
    """The store that the settings name; nothing is connected yet."""
    url = settings.series.set(drivername="postgresql+psycopg")
    return TimescaleDBStore(url, lock_timeout=settings.lock_timeout)


class TimescaleDBStore(PostgreSQLStore):
    """Series tables as hypertables, in chunks by day where a table is partitioned by day."""

    engine: ClassVar[str] = "timescaledb"
    _known: ClassVar[str] = "SELECT approximate_row_count(%s::regclass)"

    def __init__(
        self, url: URL, *, columnstore: bool = True, policy: bool = True, segments: Sequence[str] = (), **options: Any
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: of the database.
            columnstore: give tables a columnstore, segmented by the repeated names of their sort key.
            policy: have the server fill it by itself, with what is older than a day.
            segments: columns that segment a table which has them, besides those of its sort key.
            options: as `PostgreSQLStore` takes them.
        """
        super().__init__(url, partitioned=False, **options)
        self.columnstore = columnstore
        self._policy = policy
        self._segments = tuple(segments)

    def info(self) -> EngineInfo:
        """Version of the extension, its licence and its server."""
        server = super().info()
        with self.session() as session:
            version = extension_version(session)
            if not version:
                raise StoreError(ABSENT)
            row = session.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
        licence = str(row[0]) if row and row[0] else "licence unknown"
        return EngineInfo(self.engine, version, f"{licence}, PostgreSQL {server.version}")

    def prepare(self, session: psycopg.Connection, table: SeriesTable) -> None:
        """Make the hypertable, or add the columns that its declaration gained, in a session that is open.

        Raises:
            StoreError: the extension is not there.
            SchemaDrift: the table that stands differs in any other way.
        """
        if not extension_version(session):
            raise StoreError(f"table {table.name}: {ABSENT}, or use the engine postgresql")
        session.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        super().prepare(session, table)

    def _making(self, table: SeriesTable) -> list[str]:
        chunked = []
        if _is_timed(table):
            chunked = hypertable(table, self.place(table))
            if self.columnstore:
                chunked += columnstore(table, self.place(table), self._segments, policy=self._policy)
        # A hypertable hands its indexes on to its chunks, so that they may be there before it is one.
        return [*super()._making(table), *chunked]

    def to_columnstore(self, table: SeriesTable) -> None:
        """Convert every chunk: what a policy would do later."""
        with self.session() as session:
            name = self.place(table)
            for (chunk,) in session.execute("SELECT show_chunks(%s::regclass)::text", (name,)).fetchall():
                # A sub-query as its argument is refused: chunks are named one by one.
                text = psycopg.ClientCursor(session).mogrify(
                    "CALL convert_to_columnstore(%s::regclass, true)", (chunk,)
                )
                session.execute(text.encode())

    def sizes(self, session: psycopg.Connection, table: SeriesTable) -> tuple[int, int]:
        """Bytes of all chunks with indexes and columnstore, and of the rows before they were compressed."""
        if not _is_timed(table):
            return super().sizes(session, table)
        name = self.place(table)
        found = session.execute(
            "SELECT hypertable_size(%s::regclass), coalesce((SELECT sum(before_compression_total_bytes)"
            " FROM hypertable_columnstore_stats(%s::regclass)), 0)::bigint",
            (name, name),
        ).fetchone()
        assert found is not None
        return int(found[0]), int(found[1]) or int(found[0])


def _is_timed(table: SeriesTable) -> bool:
    return any(column.type == TIMESTAMP for column in table.columns)


def hypertable(table: SeriesTable, place: str) -> list[str]:
    """DDL that makes a table a hypertable by its first time stamp, in chunks of a day, or of a week without days.

    Raises:
        StoreError: the table has no time stamp.
    """
    stamp = next((column.name for column in table.columns if column.type == TIMESTAMP), None)
    if stamp is None:
        raise StoreError(f"table {table.name}: has no time stamps, so that it cannot be a hypertable")
    interval = "1 day" if "day" in table.partition_columns else "7 days"
    name = ddl.literal(place)
    return [
        f"SELECT create_hypertable({name}, by_range({ddl.literal(stamp)}, INTERVAL '{interval}'),"
        " create_default_indexes => false)"
    ]


def columnstore(table: SeriesTable, place: str, segments: Sequence[str] = (), *, policy: bool = True) -> list[str]:
    """DDL that gives a hypertable its columnstore, and a policy that moves chunks into it once they are a day old."""
    settings = {"timescaledb.enable_columnstore": "true", **_columnstore(table, segments)}
    text = ", ".join(f"{key} = {value}" for key, value in settings.items())
    made = [f"ALTER TABLE {place} SET ({text})"]
    if policy:
        made.append(
            f"CALL add_columnstore_policy({ddl.literal(place)}, after => INTERVAL '{_AFTER}',"
            f" schedule_interval => INTERVAL '{_EVERY}', if_not_exists => true)"
        )
    return made


def _columnstore(table: SeriesTable, more: Sequence[str]) -> Mapping[str, str]:
    repeated = {column.name for column in table.columns if column.repeated}
    segments = [name for name in table.sort_key if name in repeated]
    segments += [name for name in more if name in repeated and name not in segments]
    order = [name for name in table.sort_key if name not in repeated]
    found = {}
    if segments:
        found["timescaledb.segmentby"] = ddl.literal(", ".join(segments))
    if order:
        found["timescaledb.orderby"] = ddl.literal(", ".join(order))
    return found
