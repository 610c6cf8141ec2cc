"""What every request of the explorer reads with: settings, the relational store, templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from tracebank.explorer.worker import Worker
from tracebank.settings import Settings
from tracebank.stores.relational import RelationalStore

if TYPE_CHECKING:
    from fastapi.templating import Jinja2Templates


@dataclass(frozen=True, slots=True)
class Options:
    """How the explorer is served; see `tracebank explore`."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    """What a request has to bring where the address is not loopback; empty: nothing."""
    origins: tuple[str, ...] = ()
    """Origins whose pages may read the API (CORS)."""


@dataclass(frozen=True, slots=True)
class Explorer:
    """What one process serves with."""

    settings: Settings
    options: Options
    relational: RelationalStore
    templates: Jinja2Templates
    sql: Worker
    """Answers SQL over both stores; see `sql_worker`."""
    inference: Worker | None
    """Answers which units fire on a text; None where no package does. See `inference` of the assets."""


def explorer(request: Request) -> Explorer:
    """Of the application that a request came to."""
    found = request.app.state.explorer
    assert isinstance(found, Explorer)
    return found


class Missing(LookupError):
    """What is asked for is not there: one line that says what is."""
