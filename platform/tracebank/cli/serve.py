"""`tracebank serve`: both databases, read-only, for programs that speak ClickHouse's HTTP protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def serve(
    port: Annotated[int, typer.Option(help="On 127.0.0.1.", min=1, max=65535)] = 8123,
) -> None:
    """Serve both databases read-only on loopback, for DBeaver, Grafana, Superset, Jupyter and other clients."""
    import asyncio

    from tracebank.engines.clickhouse.reach import connected
    from tracebank.engines.clickhouse.serve import HOST, relay
    from tracebank.settings import Settings
    from tracebank.stores.faults import StoreError

    settings = Settings.load()
    if settings.series.drivername != "chdb":
        shown = settings.series.render_as_string()
        raise typer.BadParameter(
            f"only an embedded ClickHouse store is served; {shown} is reached as it is",
            param_hint="TRACEBANK_SERIES_URL",
        )
    folder = Path(str(settings.series.database))
    connected(folder, "reader", settings.lock_timeout).close()
    sys.stderr.write(f"http://{HOST}:{port}  user default, no password, databases series and relational; Ctrl-C ends\n")
    try:
        asyncio.run(relay(folder, port, settings.lock_timeout))
    except StoreError as error:
        raise typer.BadParameter(str(error), param_hint="--port") from None
