"""`tracebank explore`: pages and an API over every trace."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def explore(
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8080,
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1, max=64)] = 1,
    token: Annotated[
        str,
        typer.Option(
            envvar="TRACEBANK_EXPLORER_TOKEN",
            show_envvar=True,
            show_default=False,
            help="What requests have to bring; others see it in a command, so set the variable.",
        ),
    ] = "",
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Origin whose pages may read the API, e.g. https://pages.example.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show the first page in a browser.")] = False,
) -> None:
    """Serve pages and an API: units, results, the ledger, SQL. Ctrl-C ends."""
    from tracebank.explorer.serving import address, serve
    from tracebank.explorer.state import Options
    from tracebank.settings import Settings

    options = Options(host, port, token, tuple(cors_origin or ()))
    sys.stderr.write(f"explorer on {address(options)}; Ctrl-C ends\n")
    sys.stderr.flush()
    serve(Settings.load(), options, workers, open_browser=open_)
