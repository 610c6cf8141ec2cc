"""How both stores are opened, from the settings that name them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from tracebank.engines import engine_module

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tracebank.settings import Settings
    from tracebank.stores.migrations import SchemaStatus
    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore


def open_series(settings: Settings) -> SeriesStore:
    """The series store that the settings name; connects only when it is used.

    Raises:
        StoreError: the engine's client is not installed.
    """
    found: SeriesStore = engine_module(settings.series, "store").opened(settings)
    return found


def open_relational(settings: Settings) -> RelationalStore:
    """The relational store that the settings name; connects only when it is used."""
    from tracebank.stores.relational import RelationalStore

    return RelationalStore(settings.relational, settings.home)


def upgrade(settings: Settings) -> SchemaStatus:
    """Bring both stores and the views of the one SQL up to what is declared. Safe to run again.

    Raises:
        StoreError: a store is not to be had, or a series table differs in a way that adding columns does not mend.
    """
    from dataclasses import replace

    from tracebank.stores.migrations import upgrade as upgrade_stores

    series, relational = open_series(settings), open_relational(settings)
    try:
        status = upgrade_stores(series, relational, _views_of(settings))
        return replace(status, **engine_module(settings.series, "upgrade").completed(settings, series, relational))
    finally:
        relational.close()


def _views_of(settings: Settings) -> Callable[[Connection], AbstractContextManager[object]]:
    """What a migration of the relational store stands in: a block that replaces the views in PostgreSQL."""
    if settings.relational.get_backend_name() != "postgresql":
        return nullcontext
    from tracebank.engines.postgresql.relational import views_replaced

    return partial(views_replaced, series=settings.series, relational=settings.relational)
