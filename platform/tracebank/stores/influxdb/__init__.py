"""The InfluxDB 1.x adapter: line protocol in, InfluxQL out, over HTTP. Nothing is imported until a name is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracebank.stores.influxdb.connection import InfluxConnection
    from tracebank.stores.influxdb.store import InfluxStore

__all__ = ["InfluxConnection", "InfluxStore"]


def __getattr__(name: str) -> object:
    if name == "InfluxStore":
        from tracebank.stores.influxdb.store import InfluxStore

        return InfluxStore
    if name == "InfluxConnection":
        from tracebank.stores.influxdb.connection import InfluxConnection

        return InfluxConnection
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
