"""What can be queried: databases, tables, columns with their units, rows and bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, text

from tracebank.engines.clickhouse import activations
from tracebank.engines.clickhouse.relational import VIEWS
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.series_store import SeriesStore
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.catalogue import METADATA, TABLES

if TYPE_CHECKING:
    from tracebank.query.connection import Connection
    from tracebank.settings import Settings
    from tracebank.stores.relational import RelationalStore
    from tracebank_schemas.series import Column

Size = tuple[int, int | None]
"""Rows, and bytes where the engine tells them."""

_TABLES: Final = (
    "SELECT database, name, total_rows AS rows, total_bytes AS bytes, comment FROM system.tables"
    " WHERE database IN (currentDatabase(), 'relational') AND NOT startsWith(name, '.') AND NOT is_temporary"
    " ORDER BY database DESC, name"
)
_COLUMNS: Final = (
    "SELECT database, table, name, type, comment FROM system.columns"
    " WHERE database IN (currentDatabase(), 'relational') ORDER BY database, table, position"
)


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column, as a query sees it."""

    name: str
    type: str
    unit: str
    doc: str


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table that a query may name."""

    database: str
    name: str
    rows: int | None
    """None where the relational store did not tell."""
    bytes: int | None
    """On disk; None where the engine does not tell it by table."""
    doc: str
    columns: tuple[ColumnInfo, ...]


def tables(connection: Connection) -> list[TableInfo]:
    """Every table of `series` and `relational`.

    Raises:
        StoreError: a store cannot be opened.
    """
    settings = connection.settings
    series = open_series(settings)
    if not series.catalogue:
        return _declared(settings, series)
    found = connection.sql(_TABLES).rows(named=True)
    columns: dict[tuple[str, str], list[ColumnInfo]] = {}
    for row in connection.sql(_COLUMNS).rows(named=True):
        columns.setdefault((row["database"], row["table"]), []).append(_column(row))
    relational = open_relational(settings)
    try:
        sizes = _relational_sizes(relational, [row["name"] for row in found if row["database"] == VIEWS])
        sizes |= _vector_sizes(relational)
    finally:
        relational.close()
    return [_table(row, columns.get((row["database"], row["name"]), []), sizes) for row in found]


def _declared(settings: Settings, series: SeriesStore) -> list[TableInfo]:
    """Every declared table that stands, where the engine's own catalogue is not asked."""
    store = open_relational(settings)
    try:
        sizes = _relational_sizes(store, list(METADATA.tables))
    finally:
        store.close()
    found = []
    for entry in declared():
        if entry.database == VIEWS:
            if entry.name in sizes:
                rows, size = sizes[entry.name]
                found.append(replace(entry, rows=rows, bytes=size))
            continue
        table = TABLES[entry.name]
        if not any(difference.what == "table" for difference in series.differences(table)):
            stored = series.size(table)
            found.append(replace(entry, rows=stored.rows, bytes=stored.bytes))
    return found


def declared() -> list[TableInfo]:
    """Every table that is declared, whatever stands; rows and bytes are not told. No store is opened."""
    found = [
        TableInfo("series", name, None, None, table.doc, tuple(map(_declared_column, table.columns)))
        for name, table in sorted(TABLES.items())
    ]
    for name, stored in sorted(METADATA.tables.items()):
        columns = tuple(ColumnInfo(c.name, str(c.type.compile()), "", c.doc or "") for c in stored.columns)
        found.append(TableInfo(VIEWS, name, None, None, _model_doc(name), columns))
    return found


def _declared_column(column: Column) -> ColumnInfo:
    return ColumnInfo(column.name, str(column.type), column.unit, column.doc)


def _table(row: dict[str, Any], columns: list[ColumnInfo], sizes: dict[str, Size]) -> TableInfo:
    name, rows, size, doc = row["name"], row["rows"], row["bytes"], row["comment"]
    if row["database"] == VIEWS:
        rows, size = sizes.get(name, (None, None))
        doc = _model_doc(name)
    elif name == activations.NAME:
        rows, size = sizes.get(name, (None, None))
        doc = activations.DOC
    elif name in TABLES:
        doc = TABLES[name].doc
    return TableInfo(row["database"], name, rows, size, doc, tuple(columns))


def _column(row: dict[str, Any]) -> ColumnInfo:
    unit, doc = "", row["comment"]
    if row["database"] == VIEWS:
        table = METADATA.tables.get(row["table"])
        declared = None if table is None else table.columns.get(row["name"])
        doc = "" if declared is None else declared.doc or ""
    else:
        for column in _declared_columns(row["table"]):
            if column.name == row["name"]:
                unit, doc = column.unit, column.doc
    return ColumnInfo(row["name"], row["type"], unit, doc)


def _declared_columns(table: str) -> tuple[Column, ...]:
    if table == activations.NAME:
        return activations.COLUMNS
    return TABLES[table].columns if table in TABLES else ()


def _vector_sizes(store: RelationalStore) -> dict[str, Size]:
    """Tokens and bytes of the shards that are registered; a view has no figures of its own."""
    sums = select(func.sum(ActivationShard.tokens), func.sum(ActivationShard.bytes))
    try:
        with store.reading() as session:
            tokens, size = session.execute(sums).one()
    except StoreError:
        return {}
    return {activations.NAME: (int(tokens or 0), int(size or 0))}


def _model_doc(name: str) -> str:
    from tracebank_schemas.catalogue import MODELS

    for model in MODELS:
        if model.__tablename__ == name:
            return (model.__doc__ or "").strip().splitlines()[0]
    return ""


def _relational_sizes(store: RelationalStore, names: list[str]) -> dict[str, Size]:
    """Rows and bytes of relational tables, from the store itself; empty where the tables are not there."""
    known = [name for name in names if name in METADATA.tables]
    sizes: dict[str, Size] = {}
    for name in known:
        quoted = store.engine.dialect.identifier_preparer.quote(name)
        try:
            with store.reading() as session:
                rows = int(session.execute(text(f"SELECT count(*) FROM {quoted}")).scalar_one())
            sizes[name] = (rows, _bytes(store, name))
        except StoreError:
            continue
    return sizes


def _bytes(store: RelationalStore, name: str) -> int | None:
    queries = {
        "postgresql": "SELECT pg_total_relation_size(quote_ident(:name)::regclass)",
        "sqlite": (
            "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name = :name)"
        ),
    }
    try:
        with store.reading() as session:
            found = session.scalar(text(queries[store.engine.dialect.name]), {"name": name})
    except StoreError:
        return None
    return None if found is None else int(found)
