"""What `tracebank db upgrade` does for ClickHouse beside its tables: the views of the one SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebank.engines.clickhouse import activations
from tracebank.engines.clickhouse.relational import refresh

if TYPE_CHECKING:
    from tracebank.engines.clickhouse.store import ClickHouseStore
    from tracebank.settings import Settings
    from tracebank.stores.relational import RelationalStore


def completed(settings: Settings, series: ClickHouseStore, relational: RelationalStore) -> dict[str, str]:
    """Make the views of `relational` and of the activations anew.

    Returns:
        `activations`: why there is no such view; empty where there is one.

    Raises:
        StoreError: the relational store writes dates in a form that the views cannot read, or a store fails.
    """
    refresh(series, relational)
    with series.session() as client:
        absent = activations.attach(client, series.database, settings.activations, embedded=series.embedded)
    return {"activations": absent}
