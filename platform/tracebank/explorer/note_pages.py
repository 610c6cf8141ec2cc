"""What users note of models and units: forms that keep it, and a page of everything that was noted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select

from tracebank.explorer import unit_reads
from tracebank.explorer.addresses import from_address, in_address
from tracebank.explorer.pages import Form, asked_unit, page, unit_address
from tracebank.explorer.state import explorer
from tracebank.explorer.unit_notes import RESERVED
from tracebank.explorer.worker import Refused
from tracebank_schemas.explorer import Note

router = APIRouter(include_in_schema=False)

LONGEST_NOTE: Final = 20_000
"""Characters."""
_SHOWN: Final = 500


@router.get("/notes")
def all_notes(request: Request) -> HTMLResponse:
    """Everything that was noted, the newest first."""
    with explorer(request).relational.reading() as session:
        found = list(session.scalars(select(Note).order_by(Note.written_at.desc()).limit(_SHOWN)))
        session.expunge_all()
    return page(request, "notes.html", notes=found, most=_SHOWN)


@router.post("/models/{model}/notes")
def note_of_model(request: Request, model: str, form: Form) -> Response:
    """Keep a note of a model, or delete it."""
    name = from_address(model)
    with explorer(request).relational.reading() as session:
        unit_reads.model(session, name)
    return _kept(request, form, f"/models/{in_address(name)}", model=name, dictionary="", feature=-1)


@router.post("/units/{dictionary}/notes")
def note_of_dictionary(request: Request, dictionary: str, form: Form) -> Response:
    """Keep a note of a dictionary or layer, or delete it."""
    name = from_address(dictionary)
    with explorer(request).relational.reading() as session:
        model = unit_reads.dictionary(session, name).model
    return _kept(request, form, f"/units/{in_address(name)}", model=model, dictionary=name, feature=-1)


@router.post("/units/{dictionary}/{feature}/notes")
def note_of_unit(request: Request, dictionary: str, feature: str, form: Form) -> Response:
    """Keep a note of a unit, or delete it."""
    name, number = asked_unit(dictionary, feature)
    with explorer(request).relational.reading() as session:
        unit_reads.unit(session, name, number)
        model = unit_reads.dictionary(session, name).model
    return _kept(request, form, unit_address(name, number), model=model, dictionary=name, feature=number)


def _kept(request: Request, form: dict[str, str], back: str, **key: str | int) -> Response:
    """Write the note of a form, or delete it, and go back to its page."""
    service, value = form.get("service", "").strip(), form.get("value", "").strip().replace("\r\n", "\n")
    deleted = bool(form.get("deleted"))
    if not 0 < len(service) <= 64 or "/" in service or not service.isprintable() or service in RESERVED:
        raise Refused(f"name: 1 to 64 printable characters without a slash, but not {', '.join(RESERVED)}")
    if not deleted and not 0 < len(value) <= LONGEST_NOTE:
        raise Refused(f"note: {len(value):,} characters are not allowed; allowed: 1 to {LONGEST_NOTE:,}")
    relational = explorer(request).relational
    with relational.session() as session:
        if deleted:
            gone = session.get(Note, (*key.values(), service))
            if gone is not None:
                session.delete(gone)
        else:
            row = {**key, "service": service, "value": value, "written_at": datetime.now(UTC)}
            relational.upsert(session, Note, [row])
    return RedirectResponse(f"{back}#notes", status_code=303)
