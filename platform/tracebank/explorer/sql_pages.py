"""The SQL page and exports: a query runs in a process of its own, read-only, within limits that the page states."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import Message, Send

from tracebank.explorer.pages import Form, page
from tracebank.explorer.sql_answer import drawn, table
from tracebank.explorer.sql_limits import EXPORT_SECONDS, MEMORY, ROWS, SECONDS
from tracebank.explorer.sql_offers import examples, tables
from tracebank.explorer.state import explorer
from tracebank.explorer.worker import Unanswered
from tracebank.stores.opening import open_series

router = APIRouter(include_in_schema=False)

CHARTS: Final = {"": "no chart", "line": "lines", "bar": "bars", "scatter": "points"}
FORMS: Final = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
}
ENGINES: Final = {
    "clickhouse": "ClickHouse",
    "duckdb": "DuckDB",
    "postgresql": "PostgreSQL",
    "timescaledb": "TimescaleDB",
}
LONGEST: Final = 100_000
"""Characters of a query."""
_GRACE: Final = 5.0
"""Seconds that the engine has beyond its own limit, before the process is stopped."""
_PULSE: Final = 0.25
_STALLED: Final = 20.0
"""Seconds that who takes an export has for a part of it."""
_LONGEST_ADDRESS: Final = 6_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form of the page says."""

    q: str = ""
    parameters: str = ""
    """`name=value`, one a line."""
    chart: str = ""
    x: str = ""
    y: str = ""
    by: str = ""

    @classmethod
    def of(cls, fields: dict[str, str]) -> Asked:
        """From the fields of a form, or of an address.

        Raises:
            HTTPException: the query is too long, or the chart is of no kind that there is.
        """
        asked = cls(**{name: fields.get(name, "").replace("\r\n", "\n").strip() for name in cls.__slots__})
        if len(asked.q) > LONGEST:
            raise HTTPException(413, f"q: a query of {len(asked.q):,} characters is not taken; at most {LONGEST:,} are")
        if asked.chart not in CHARTS:
            raise HTTPException(
                400, f"chart: {asked.chart[:80]!r} is not allowed; use {', '.join(filter(None, CHARTS))}"
            )
        return asked

    @property
    def address(self) -> str:
        """Where this page is found again; nothing runs there before it is told to."""
        given = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name)}
        return f"/sql?{urlencode(given)}" if given else "/sql"

    @property
    def axes(self) -> dict[str, str] | None:
        """Of the chart, where there is one."""
        return {"x": self.x, "y": self.y, "by": self.by} if self.chart else None

    def values(self) -> dict[str, str]:
        """Values of parameters by name.

        Raises:
            HTTPException: a line is not `name=value`.
        """
        found = {}
        for line in filter(None, map(str.strip, self.parameters.split("\n"))):
            name, separator, value = line.partition("=")
            if not separator or not name.strip().isidentifier():
                raise HTTPException(400, f"parameters: {line[:80]!r} is not name=value")
            found[name.strip()] = value.strip()
        return found


@router.get("/sql")
async def sql(request: Request, run: Annotated[str, Query(max_length=8)] = "") -> Response:
    """The page; what its address says is run only where it says so, and where no page of another site sent it."""
    asked = Asked.of(dict(request.query_params))
    if run == "1" and asked.q and not _is_sent_from_elsewhere(request):
        return await _whole(request, asked)
    return await _shown(request, asked)


@router.post("/sql")
async def run(request: Request, form: Form) -> Response:
    """Run what the form says: the page with its answer, or the answer alone where a part of the page is asked for."""
    asked = Asked.of(form)
    if request.headers.get("hx-request") != "true":
        return await _whole(request, asked)
    shown, headers, _ = await _tried(request, asked)
    if len(asked.address) < _LONGEST_ADDRESS:
        headers["HX-Push-Url"] = asked.address
    # A part of a page that tells of a refusal is no fault of the page's, and nothing for the browser's console.
    response = await run_in_threadpool(page, request, "sql_answer.html", asked=asked, **shown)
    response.headers.update(headers)
    return response


@router.get("/sql/answer.{form}")
async def export(request: Request, form: str) -> Response:
    """An answer as a file, as it comes."""
    if _is_sent_from_elsewhere(request):
        raise HTTPException(403, "an export is not begun by pages of other sites")
    return await _export(request, form, Asked.of(dict(request.query_params)))


@router.post("/sql/answer.{form}")
async def export_of_form(request: Request, form: str, fields: Form) -> Response:
    """As `export`, of a query that is longer than addresses are."""
    return await _export(request, form, Asked.of(fields))


def _is_sent_from_elsewhere(request: Request) -> bool:
    return request.headers.get("sec-fetch-site") in ("cross-site", "same-site")


async def _whole(request: Request, asked: Asked) -> Response:
    """The page with an answer, or with why there is none."""
    shown, headers, status = await _tried(request, asked)
    response = await _shown(request, asked, status, **shown)
    response.headers.update(headers)
    return response


async def _tried(request: Request, asked: Asked) -> tuple[dict[str, Any], dict[str, str], int]:
    """What an answer is shown with, or why there is none; headers, and the status of a page of it."""
    try:
        answer = await _answer(request, asked)
    except Unanswered as error:
        return {"problem": str(error)}, {}, error.status
    except HTTPException as error:
        return {"problem": error.detail}, {}, error.status_code
    read = {"X-Query-Rows-Read": str(answer["rows_read"])} if answer["rows_read"] else {}
    headers = {"X-Query-Seconds": f"{answer['seconds']:.3f}", **read}
    return await run_in_threadpool(_parts, asked, answer), headers, 200


async def _answer(request: Request, asked: Asked) -> dict[str, Any]:
    """Rows of a query; it is stopped where whoever asked has left."""
    if not asked.q:
        raise HTTPException(400, "q: there is no query")
    arguments = asked.q, asked.values(), SECONDS, asked.axes
    question = explorer(request).sql.ask("rows", *arguments, timeout=SECONDS + _GRACE)
    answering = asyncio.ensure_future(question)
    try:
        while not (await asyncio.wait({answering}, timeout=_PULSE))[0]:
            if await request.is_disconnected():
                raise HTTPException(499, "nobody waits for the answer")
        answer: dict[str, Any] = answering.result()
        return answer
    finally:
        if not answering.done():
            answering.cancel()


def _parts(asked: Asked, answer: dict[str, Any]) -> dict[str, Any]:
    """What the answer is shown with."""
    chart, problem = drawn(asked.chart, answer["points"]) if answer["points"] else ("", "")
    return {"answer": answer, "table": table(answer), "drawing": chart, "no_chart": problem}


async def _shown(request: Request, asked: Asked, status: int = 200, **parts: Any) -> HTMLResponse:
    settings = explorer(request).settings
    limits = {"seconds": SECONDS, "memory": MEMORY, "export_seconds": EXPORT_SECONDS, "most": ROWS}

    def shown() -> HTMLResponse:
        engine = open_series(settings).engine
        offers = {
            "tables": tables(),
            "examples": examples(engine),
            "charts": CHARTS,
            "engine": engine,
            "named": ENGINES[engine],
        }
        return page(request, "sql.html", status, **{"asked": asked, "longest": LONGEST} | limits | offers | parts)

    return await run_in_threadpool(shown)


async def _export(request: Request, form: str, asked: Asked) -> Response:
    if form not in FORMS:
        raise HTTPException(404, f"form {form[:40]!r} is not written; there are {', '.join(FORMS)}")
    if not asked.q:
        raise HTTPException(400, "q: there is no query")
    parts = explorer(request).sql.stream(form, asked.q, asked.values(), EXPORT_SECONDS, timeout=EXPORT_SECONDS + _GRACE)
    try:
        first = await anext(parts, b"")  # what is refused is refused before an answer begins
    except BaseException:
        await parts.aclose()
        raise
    return _Export(first, parts, FORMS[form], f"answer.{form}")


class _Export(StreamingResponse):
    """Parts of a file. One that breaks off has no end, so that nobody takes it for whole."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes], media_type: str, name: str) -> None:
        super().__init__(_after(first, rest), media_type=media_type)
        self.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        self._rest = rest

    async def stream_response(self, send: Send) -> None:
        """Whoever takes no part for a while is left: others wait for the process that makes them."""

        async def patient(message: Message) -> None:
            async with asyncio.timeout(_STALLED):
                await send(message)

        async with aclosing(self._rest):
            await super().stream_response(patient)


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for part in rest:
        yield part
