"""Native partitions: how a table is divided, and how a partition's rows are swapped.

A table is divided by the values of its keys, one level each, and by day last; a table without keys has one partition
for all rows. Partitions lie in a schema of their own, `<schema>_parts`: readers name tables, and need no right on what
is below them. The comment of each holds its values and its number of rows, which is never counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import psycopg
import pyarrow as pa

from tracebank.engines.postgresql import ddl
from tracebank_schemas.series import Day, PartitionValue, SeriesTable, Value

_STANDING: Final = """
WITH RECURSIVE below(oid) AS (
    SELECT to_regclass(%s)::oid UNION ALL SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.oid
)
SELECT obj_description(oid, 'pg_class') {sizes} FROM below JOIN pg_class USING (oid) WHERE relkind = 'r'
"""
NOTES: Final = _STANDING.format(sizes="")
"""Note of each partition of a table. No partition is locked: servers have locks for a few thousand."""
NAMES: Final = _STANDING.replace("obj_description(oid, 'pg_class') {sizes}", "oid::regclass::text")
"""Name of each, as SQL text."""
SIZES: Final = _STANDING.format(sizes=", pg_total_relation_size(oid), pg_table_size(oid)")
"""Note and bytes of each."""


def parts(schema: str) -> str:
    """Schema of the partitions of a schema's tables."""
    return f"{schema}_parts"


def levels(table: SeriesTable) -> tuple[Day | Value, ...]:
    """Keys in the order in which the table is divided."""
    return tuple(sorted(table.partition_keys, key=lambda key: isinstance(key, Day)))


def divided(table: SeriesTable, level: int) -> str:
    """How a table is divided at a level, as `CREATE TABLE` takes it."""
    if not table.partition_keys:
        return f"PARTITION BY RANGE ({ddl.quoted(table.columns[0].name)})"
    key = levels(table)[level]
    return f"PARTITION BY {'RANGE' if isinstance(key, Day) else 'LIST'} ({ddl.quoted(key.column)})"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One partition of a table, be it there or not."""

    table: SeriesTable
    schema: str
    values: Mapping[str, PartitionValue]

    @property
    def place(self) -> str:
        """Its full name."""
        return self._named(len(levels(self.table)))

    def _named(self, depth: int) -> str:
        """Full name of the table that holds the first `depth` of its values; of the table itself for 0."""
        if not depth and self.table.partition_keys:
            return ddl.path(self.schema, self.table.name)
        values = [str(self.values[key.name]) for key in levels(self.table)[:depth]]
        digest = hashlib.sha256(json.dumps([self.table.name, *values]).encode()).hexdigest()[:20]
        return ddl.path(parts(self.schema), f"{self.table.name[:24]}_{digest}")

    def _parent(self, depth: int) -> str:
        return self._named(depth - 1) if depth > 1 else ddl.path(self.schema, self.table.name)

    def _bound(self, depth: int) -> str:
        if not self.table.partition_keys:
            return "DEFAULT"
        key = levels(self.table)[depth - 1]
        value = self.values[key.name]
        if isinstance(key, Day) and isinstance(value, date):
            return "FOR VALUES FROM ({}) TO ({})".format(*map(ddl.literal, key.bounds(value)))
        return f"FOR VALUES IN ({ddl.literal(value)})"

    def condition(self) -> str:
        """What holds for its rows, in the words of its bounds: the engine then need not look at them to attach it."""
        found = []
        for key in levels(self.table):
            value, column = self.values[key.name], ddl.quoted(key.column)
            if isinstance(key, Day) and isinstance(value, date):
                start, end = map(ddl.literal, key.bounds(value))
                found += [f"{column} >= {start}", f"{column} < {end}"]
            else:
                found.append(f"{column} = {ddl.literal(value)}")
        return " AND ".join(found) or "true"

    def attach(self, session: psycopg.Connection, stage: str, rows: int) -> None:
        """Put a table that stands alone in its place, with what is above it; in a transaction of the caller's."""
        depth = max(len(levels(self.table)), 1)
        for above in range(1, depth):
            if not exists(session, self._named(above)):
                form = f"CREATE TABLE {self._named(above)} ({ddl.columns(self.table)}) {divided(self.table, above)}"
                session.execute(form.encode())
                self._attach(session, self._named(above), above)
        self.note(session, stage, rows)
        session.execute(f"ALTER TABLE {stage} RENAME TO {self.place.partition('.')[2]}".encode())
        self._attach(session, self.place, depth)

    def _attach(self, session: psycopg.Connection, place: str, depth: int) -> None:
        text = f"ALTER TABLE {self._parent(depth)} ATTACH PARTITION {place} {self._bound(depth)}"
        session.execute(text.encode())

    def detach(self, session: psycopg.Connection) -> None:
        """Remove it with its rows; it is there."""
        depth = max(len(levels(self.table)), 1)
        session.execute(f"ALTER TABLE {self._parent(depth)} DETACH PARTITION {self.place}".encode())
        session.execute(f"DROP TABLE {self.place}".encode())

    def note(self, session: psycopg.Connection, place: str, rows: int) -> None:
        """Keep its values and its rows."""
        values = {name: str(value) for name, value in self.values.items()}
        text = f"COMMENT ON TABLE {place} IS {ddl.literal(json.dumps({'partition': values, 'rows': rows}))}"
        session.execute(text.encode())

    def rows(self, session: psycopg.Connection) -> int:
        """Its rows, as they are noted."""
        found = session.execute("SELECT obj_description(%s::regclass, 'pg_class')", (self.place,)).fetchone()
        return noted(self.table, found[0] if found else None)[1]


def exists(session: psycopg.Connection, place: str) -> bool:
    """Whether there is a table of this full name."""
    found = session.execute("SELECT to_regclass(%s)", (place,)).fetchone()
    return found is not None and found[0] is not None


def noted(table: SeriesTable, comment: str | None) -> tuple[dict[str, PartitionValue], int]:
    """Values and rows out of a partition's comment."""
    note = json.loads(comment or '{"partition": {}, "rows": 0}')
    return {key.name: value(table, key, note["partition"][key.name]) for key in table.partition_keys}, note["rows"]


def value(table: SeriesTable, key: Day | Value, text: str) -> PartitionValue:
    """A key's value out of its text."""
    kind = table.arrow_schema.field(key.column).type
    if isinstance(key, Day) or kind == pa.date32():
        return date.fromisoformat(text)
    return text if kind == pa.string() else int(text)
