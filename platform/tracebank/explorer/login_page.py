"""Where a browser brings the token, where one is needed."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from tracebank.explorer.pages import Form, page
from tracebank.explorer.safety import COOKIE, LOGIN, cookie_of, is_same
from tracebank.explorer.state import explorer

router = APIRouter(include_in_schema=False)

_WAIT: Final = 1.0
"""Seconds that a wrong token costs."""
_KEPT: Final = 30 * 24 * 3600


@router.get(LOGIN)
def login(request: Request, next: str = "/") -> Response:
    """The form."""
    if not explorer(request).options.token:
        return RedirectResponse("/", status_code=303)
    return page(request, "login.html", next=_own(next))


@router.post(LOGIN)
async def bring(request: Request, form: Form) -> Response:
    """Keep a cookie that stands for the token, and go to what was asked for."""
    token, place = explorer(request).options.token, _own(form.get("next", "/"))
    if not token or not is_same(form.get("token", ""), token):
        await asyncio.sleep(_WAIT)
        return page(request, "login.html", 401, next=place, problem="That is not the token.")
    response = RedirectResponse(place, status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, cookie_of(token), max_age=_KEPT, httponly=True, samesite="strict", secure=secure)
    return response


def _own(place: str) -> str:
    """A page of this server; the first one for what is none."""
    is_own = place.startswith("/") and not place.startswith("//") and "\\" not in place and place.isprintable()
    return place if is_own else "/"
