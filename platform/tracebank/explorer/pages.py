"""What all pages of models and units share: how one is rendered, how units are named in addresses and in SQL."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse

from tracebank.explorer.addresses import from_address, in_address
from tracebank.explorer.shading import visible
from tracebank.explorer.state import Missing, explorer

PAGE: Final = 50
"""Units of one page of a list."""
_FORM: Final = "application/x-www-form-urlencoded"


def page(request: Request, name: str, status: int = 200, **shown: Any) -> HTMLResponse:
    """A template with what it shows."""
    means = {"visible": visible, "unit_address": unit_address, "token_search": token_search}
    return explorer(request).templates.TemplateResponse(request, name, means | shown, status_code=status)


def unit_address(dictionary: str, feature: int) -> str:
    """Where the page of a unit is."""
    return f"/units/{in_address(dictionary)}/{feature}"


def token_search(token: str, fires_on: bool, within: str = "") -> str:
    """Where units are found that fire on a token, or that do so after it.

    Args:
        token: as graphs write it.
        fires_on: whether it is to be fired on.
        within: only in dictionaries whose names begin so.
    """
    escaped = token.replace("\\", "\\\\").replace('"', '\\"')
    asked = f'"{escaped}"' if fires_on else f'after:"{escaped}"'
    return f"/search?q={quote(asked)}" + (f"&within={quote(within)}" if within else "")


def sql_text(text: str) -> str:
    """A text as a literal of SQL, for a statement that is shown to be copied."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def asked_unit(dictionary: str, feature: str) -> tuple[str, int]:
    """Dictionary and number that parts of an address name.

    Raises:
        Missing: the number is none.
    """
    if not (feature.isascii() and feature.isdecimal()):
        raise Missing(f"unit {feature[:200]!r}: units have numbers, from 0")
    return from_address(dictionary), int(feature[:30])


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form that one of our own pages sent."""
    came_from = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") or (came_from and urlsplit(came_from).netloc != request.headers.get("host")):
        raise HTTPException(403, "a form is taken from pages of this server only")
    if request.headers.get("content-type", "").partition(";")[0] != _FORM:
        raise HTTPException(415, f"a form is sent as {_FORM}")
    body = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=20))


Form = Annotated[dict[str, str], Depends(_form)]
