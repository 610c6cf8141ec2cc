"""The two stores: a time-series store behind one protocol, and the relational catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebank.stores.protocol import (
    FrameRefused,
    SchemaDrift,
    SeriesStore,
    StoreBusy,
    StoreError,
    TableSize,
    Written,
)

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank.stores.clickhouse import ClickHouseStore
    from tracebank.stores.migrations import SchemaStatus
    from tracebank.stores.relational import RelationalStore

__all__ = [
    "FrameRefused",
    "SchemaDrift",
    "SeriesStore",
    "StoreBusy",
    "StoreError",
    "TableSize",
    "Written",
    "open_relational",
    "open_series",
    "upgrade",
]


def open_series(settings: Settings) -> ClickHouseStore:
    """The series store that the settings name; connects only when it is used."""
    from tracebank.stores.clickhouse import ClickHouseStore

    return ClickHouseStore(settings.series, lock_timeout=settings.lock_timeout)


def open_relational(settings: Settings) -> RelationalStore:
    """The relational store that the settings name; connects only when it is used."""
    from tracebank.stores.relational import RelationalStore

    return RelationalStore(settings.relational)


def upgrade(settings: Settings) -> SchemaStatus:
    """Bring both stores and the views of the one SQL up to what is declared. Safe to run again.

    Raises:
        StoreError: a store is not to be had, or a series table differs in a way that adding columns does not mend.
    """
    from tracebank.sql.relational_views import refresh
    from tracebank.stores.migrations import upgrade as upgrade_stores

    series, relational = open_series(settings), open_relational(settings)
    try:
        result = upgrade_stores(series, relational)
        refresh(series, relational)
        return result
    finally:
        relational.close()
