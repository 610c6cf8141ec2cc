"""Serving the explorer: what has to be there first, and uvicorn with one process or several, which are spawned.

Usage beside another program, which it ends with: python -m tracebank.explorer.serving PORT, its input held open.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import webbrowser
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracebank.explorer.safety import SHORTEST_TOKEN, is_loopback
from tracebank.explorer.state import Options
from tracebank.explorer.worker import TOKEN
from tracebank.ports import check_free
from tracebank.settings import Settings, SettingsError
from tracebank.stores.faults import StoreError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from sqlalchemy import Connection
    from uvicorn import Server

_OPTIONS: Final = "TRACEBANK_EXPLORER_OPTIONS"
"""Variable by which spawned processes hear how they serve."""
_STOP: Final = 1
"""Seconds that answers under way have when the server is stopped."""
_OPENED: Final = 15.0


def check_options(options: Options) -> None:
    """Refuse an address that others reach without a token, a token that is guessed, and what is no origin.

    Raises:
        SettingsError: one line that names the option and what is allowed.
    """
    if not options.token and not is_loopback(options.host):
        raise SettingsError(
            f"--host: {options.host!r} is reached by others, so requests need a token: set {TOKEN} or --token"
        )
    if options.token and (len(options.token) < SHORTEST_TOKEN or not options.token.isascii()):
        raise SettingsError(f"--token: use {SHORTEST_TOKEN} characters of ASCII or more")
    for origin in options.origins:
        scheme, separator, host = origin.partition("://")
        if scheme not in ("http", "https") or not separator or not host or "/" in host:
            raise SettingsError(f"--cors-origin: {origin!r} is no origin; use e.g. https://pages.example:8443")


def check_stores(settings: Settings) -> None:
    """Refuse to show a relational store that is not there, or that is behind.

    Raises:
        StoreError: one line that says what to run.
    """
    from tracebank.stores.opening import open_relational

    where = Path(str(settings.relational.database))
    if settings.relational.drivername == "sqlite" and not where.exists():
        raise StoreError(f"{where}: no store yet; run 'tracebank demo', or 'tracebank db upgrade' for an empty one")
    store = open_relational(settings)
    try:
        with store.reading() as session:
            stands = _revision(session.connection())
    finally:
        store.close()
    newest = max(one.name[:4] for one in files("tracebank_schemas.migrations.versions").iterdir() if one.name[0] == "0")
    if stands != newest:
        shown = settings.relational.render_as_string()
        raise StoreError(
            f"{shown}: stands at {stands or 'nothing'}, the newest is {newest}; run 'tracebank db upgrade'"
        )


def _revision(connection: Connection) -> str | None:
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def address(options: Options) -> str:
    """Where a browser finds it."""
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    return f"http://{f'[{host}]' if ':' in host else host}:{options.port}"


def closing_line(settings: Settings) -> str:
    """Where pages are found once they are served, for commands that have made something to show."""
    return f"Pages and API on {settings.explorer_url}: 'tracebank explore' serves them"


def serve(settings: Settings, options: Options, workers: int = 1, *, open_browser: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: of the home.
        options: host, port, token and origins.
        workers: processes that answer, all on the one port.
        open_browser: show the first page, once it is there.

    Raises:
        PortTaken: something listens there already.
        SettingsError: an option is not allowed.
        StoreError: there is no store to show, or it is behind.
    """
    check_options(options)
    check_stores(settings)
    check_free(options.host, options.port)
    if open_browser:
        threading.Thread(target=_open, args=(options,), daemon=True).start()
    if workers == 1:
        _server(settings, options).run()
        return
    import uvicorn

    os.environ.update(settings.environment())
    os.environ[_OPTIONS] = json.dumps(asdict(options))
    uvicorn.run("tracebank.explorer.serving:spawned", factory=True, workers=workers, **_uvicorn(options))


def spawned() -> FastAPI:
    """The application of a process that uvicorn spawned."""
    from tracebank.explorer.app import create_app

    told = json.loads(os.environ.pop(_OPTIONS))
    return create_app(Settings.load(), Options(**told | {"origins": tuple(told["origins"])}))


def _server(settings: Settings, options: Options) -> Server:
    import uvicorn

    from tracebank.explorer.app import create_app

    return uvicorn.Server(uvicorn.Config(create_app(settings, options), **_uvicorn(options)))


def _uvicorn(options: Options) -> dict[str, Any]:
    return {
        "host": options.host,
        "port": options.port,
        "log_level": "warning",
        "server_header": False,
        "timeout_graceful_shutdown": _STOP,
        "timeout_keep_alive": 15,
    }


def _open(options: Options) -> None:
    """Wait until the port is listened on, and show the first page."""
    import socket

    give_up = time.monotonic() + _OPENED
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection((host, options.port), 1):
            webbrowser.open(address(options))
            return
        time.sleep(0.1)


def beside() -> None:
    """Serve on loopback until the input ends: then the program that started this one has ended."""
    options = Options(port=int(sys.argv[1]))
    server = _server(Settings.load(), options)

    def end() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    server.run()


if __name__ == "__main__":
    beside()
