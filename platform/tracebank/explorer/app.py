"""The application: routes of all pages and of the API, and what holds for every answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from tracebank.explorer import doc_page, ledger_pages, login_page, result_pages, sql_pages, unit_api, unit_pages
from tracebank.explorer.addresses import in_address
from tracebank.explorer.safety import Gate, Safety, without_paths
from tracebank.explorer.state import Explorer, Missing, Options, explorer
from tracebank.explorer.views import ENTRY_POINTS
from tracebank.explorer.worker import Unanswered, Worker
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.relational import RelationalStore

SQL_MEMORY: Final = 4 << 30
"""Bytes of address space of the process that answers SQL; what the engine may hold is `sql_worker`'s business."""
_HERE: Final = Path(__file__).parent
ROUTERS: Final = (
    *(unit_api.router, unit_pages.router, result_pages.router, ledger_pages.router),
    *(sql_pages.router, doc_page.router, login_page.router),
)
_TOLD: Final = ("ETag", "Link", "Content-Disposition", "X-Total-Count")
"""Headers that pages of other origins may read."""


def create_app(settings: Settings, options: Options | None = None) -> FastAPI:
    """The application over the stores of settings. Nothing is opened until a request comes."""
    # The pages of FastAPI's own documentation load scripts from elsewhere; `/doc` is ours.
    app = FastAPI(title="tracebank", docs_url=None, redoc_url=None, openapi_url="/doc/openapi.json", lifespan=_served)
    options = options or Options()
    app.state.explorer = Explorer(
        settings,
        options,
        RelationalStore(settings.relational, settings.home),
        _templates(),
        sql=Worker("tracebank.explorer.sql_worker:answer", settings, memory=SQL_MEMORY),
        inference=_inference(settings),
    )
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    app.mount("/packages/htmx", StaticFiles(directory=str(files("django_htmx") / "static" / "django_htmx")))
    for fault, answer in _ANSWERS.items():
        app.add_exception_handler(fault, answer)
    for router in ROUTERS:
        app.include_router(router)
    # What is added last is asked first.
    app.add_middleware(Gate, token=options.token, origins=options.origins)
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type", "If-None-Match"),
            expose_headers=_TOLD,
        )
    app.add_middleware(Safety, settings=settings, host=options.host)
    return app


@asynccontextmanager
async def _served(app: FastAPI) -> AsyncIterator[None]:
    """What was opened while the application was served is closed when it ends."""
    yield
    served: Explorer = app.state.explorer
    for worker in filter(None, (served.sql, served.inference)):
        await worker.close()
    served.relational.close()


def _inference(settings: Settings) -> Worker | None:
    """Who answers which units fire on a text: an entry point, which is loaded in a process of its own."""
    found = entry_points(group=ENTRY_POINTS, name="activations")
    return next((Worker(point.value, settings) for point in found), None)


def _templates() -> Jinja2Templates:
    templates = Jinja2Templates(directory=_HERE / "templates")
    templates.env.filters["in_address"] = in_address
    return templates


async def _missing(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), status_code=404)


async def _unanswered(_: Request, error: Exception) -> Response:
    assert isinstance(error, Unanswered)
    return PlainTextResponse(str(error), status_code=error.status)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(str(error.detail), status_code=error.status_code, headers=error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"][1:])) or "request"
    return PlainTextResponse(f"{place}: {str(first.get('input'))[:100]!r} is not allowed: {first['msg']}", 422)


async def _no_store(request: Request, error: Exception) -> Response:
    return PlainTextResponse(without_paths(explorer(request).settings, str(error)), status_code=503)


_ANSWERS: Final[dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    Missing: _missing,
    Unanswered: _unanswered,
    HTTPException: _refused,
    RequestValidationError: _invalid,
    StoreError: _no_store,
}
"""What is no fault of the server's, as one line."""
