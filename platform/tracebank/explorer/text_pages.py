"""A text that a user types: which units fire on each token, and which their graphs say do."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from tracebank.explorer import LONGEST_TEXT, unit_reads
from tracebank.explorer.pages import Form, page
from tracebank.explorer.state import explorer
from tracebank.explorer.worker import Refused, Unanswered

router = APIRouter(include_in_schema=False)

_TOP: Final = 3
"""Units of each token."""
_ROWS: Final = 300
"""Tokens that are told one by one."""
_SECONDS: Final = 120.0
"""Of an answer."""


@router.get("/text")
def text(request: Request, model: str = "", dictionary: str = "") -> HTMLResponse:
    """Where a text is typed."""
    return page(request, "text.html", **_asked(request, model, dictionary, ""), answer=None, problem="")


@router.post("/text")
async def answered(request: Request, form: Form) -> HTMLResponse:
    """The same with the answer: htmx takes that part alone."""
    typed = form.get("text", "").replace("\r\n", "\n")
    model, dictionary = form.get("model", ""), form.get("dictionary", "")
    answer, problem, status = None, "", 200
    try:
        answer = await _answer(request, model, dictionary, typed)
    except Unanswered as error:
        problem, status = str(error), error.status
    if len(typed) > LONGEST_TEXT:
        typed, status = typed[:LONGEST_TEXT], 413
    shown = await run_in_threadpool(_asked, request, model, dictionary, typed)
    return page(request, "text.html", status, **shown, answer=answer, problem=problem)


def _asked(request: Request, model: str, dictionary: str, typed: str) -> dict[str, Any]:
    """What a user may choose from, and chose."""
    here = explorer(request)
    with here.relational.reading() as session:
        dictionaries = [one for one in unit_reads.dictionaries(session) if one.side != "both"]
        graphs = unit_reads.counts(session, [one.dictionary for one in dictionaries])
    of_model: dict[str, list[str]] = {}
    for one in sorted(dictionaries, key=lambda one: not graphs[one.dictionary].graphs):
        of_model.setdefault(one.model, []).append(one.dictionary)
    ready = here.inference is not None and here.inference.is_ready
    chosen = {"model": model or next(iter(of_model), ""), "dictionary": dictionary, "typed": typed}
    return {"of_model": of_model, "ready": ready, "longest": LONGEST_TEXT, "rows": _ROWS, **chosen}


async def _answer(request: Request, model: str, dictionary: str, typed: str) -> dict[str, Any]:
    """What `tracebank_assets.explorer.inference` says.

    Raises:
        Unanswered: there is no answer; one line.
    """
    worker = explorer(request).inference
    if worker is None:
        raise Refused("no installed package answers which units fire on a text")
    if not 0 < len(typed) <= LONGEST_TEXT:
        raise Refused(f"text: {len(typed):,} characters are not allowed; allowed: 1 to {LONGEST_TEXT:,}")
    answer: dict[str, Any] = await worker.ask(
        model, typed, [dictionary] if dictionary else None, _TOP, timeout=_SECONDS
    )
    return answer
