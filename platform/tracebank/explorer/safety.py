"""What holds for every answer: headers, which hosts and origins are heard, a token, sizes, and faults of one line.

A browser may be made to ask a server of loopback by any page that it shows. So names that are not this server's are
refused (a name can be pointed at 127.0.0.1), and so is whatever would change something and comes from another page.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import secrets
import sys
import traceback
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracebank.settings import Settings

MOST_BYTES: Final = 64 << 20
"""Of the body of a request; what a route takes is less."""
LOGIN: Final = "/login"
COOKIE: Final = "tracebank"
SHORTEST_TOKEN: Final = 16
"""Characters: fewer are guessed."""
_LONGEST_ADDRESS: Final = 2_000
_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS: Final = {
    "Content-Security-Policy": "; ".join(f"{of} {from_}" for of, from_ in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
"""Of every answer that does not say otherwise itself."""
_READING: Final = ("GET", "HEAD", "OPTIONS")
_PUBLIC: Final = ("/static/", "/packages/")
"""What is seen without a token: how one is given."""
_log = logging.getLogger("tracebank.explorer")


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own, which nobody else reaches."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def cookie_of(token: str) -> str:
    """What a browser keeps instead of the token."""
    return hmac.new(token.encode(), b"a browser that brought the token", hashlib.sha256).hexdigest()


def is_same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def without_paths(settings: Settings, text: str) -> str:
    """A text without passwords, and without the folders that the stores, the user and Python have here."""
    text = settings.redact(text)
    embedded = [url.database for url in (settings.series, settings.relational) if not url.host and url.database]
    places = {Path.home(): "~", Path(sys.prefix): "…", Path(__file__).parents[3]: "…"}
    places |= {Path(one).parent: "…" for one in embedded} | {settings.home: "TRACEBANK_HOME"}
    for place, name in sorted(places.items(), key=lambda one: -len(str(one[0]))):
        if place != Path("/"):
            text = text.replace(str(place), name)
    return text


class _TooLarge(Exception):
    """The body is larger than is taken."""


class Safety:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, settings: Settings, host: str) -> None:
        self._app = app
        self._settings = settings
        own = urlsplit(settings.explorer_url).hostname or ""
        self._hosts = {"localhost", "127.0.0.1", "::1", own} if is_loopback(host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers of every answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_begun = False

        async def sent(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(Headers(scope=scope))
            await (refusal or self._app)(scope, _bounded(receive), sent)
        except _TooLarge:
            if is_begun:
                raise
            await _line(f"body: is larger than the limit of {MOST_BYTES:,} bytes", 413)(scope, receive, sent)
        except Exception as error:
            number = self._logged(scope, error)
            if is_begun:  # an answer that breaks off is told by its having no end
                raise
            await _line(f"a fault of the server's; its log tells of it as {number}", 500)(scope, receive, sent)

    def _refusal(self, headers: Headers) -> Response | None:
        size = headers.get("content-length", "0")
        if not (size.isascii() and size.isdecimal()) or int(size) > MOST_BYTES:
            return _line(f"body: is larger than the limit of {MOST_BYTES:,} bytes", 413)
        if self._hosts is not None and _name(headers.get("host", "")) not in self._hosts:
            return _line(
                "host: only localhost, 127.0.0.1, [::1] and the host of TRACEBANK_EXPLORER_URL are served", 421
            )
        return None

    def _logged(self, scope: Scope, error: Exception) -> str:
        number = secrets.token_hex(4)
        told = self._settings.redact("".join(traceback.format_exception(error)))
        _log.error("%s: %s %s: %s", number, scope["method"], scope["path"].encode("unicode_escape").decode(), told)
        return number


class Gate:
    """Who may ask for what: whoever has the token, and for changes only pages of this server and programs."""

    def __init__(self, app: ASGIApp, token: str, origins: tuple[str, ...]) -> None:
        self._app = app
        self._token, self._cookie = token, cookie_of(token)
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._may_change(scope, headers):
            return _line("origin: only pages of this server may send that", 403)
        is_public = scope["path"] == LOGIN or scope["path"].startswith(_PUBLIC)
        if not self._token or is_public or self._has_token(headers):
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            address = quote(scope["path"]) + (f"?{query}" if query else "")
            place = f"?next={quote(address, safe='')}" if len(address) < _LONGEST_ADDRESS else ""
            return RedirectResponse(f"{LOGIN}{place}", status_code=303)
        return _line("a token is needed: Authorization: Bearer TOKEN", 401, {"WWW-Authenticate": "Bearer"})

    def _may_change(self, scope: Scope, headers: Headers) -> bool:
        if scope["method"] in _READING:
            return True
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        if origin in self._origins and scope["method"] == "POST" and scope["path"].startswith("/api/"):
            return True  # a question that has a body
        return urlsplit(origin).netloc == headers.get("host")

    def _has_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return is_same(given.strip(), self._token)
        try:
            kept = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return kept is not None and is_same(kept.value, self._cookie)


def _bounded(receive: Receive) -> Receive:
    left = MOST_BYTES

    async def received() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                raise _TooLarge
        return message

    return received


def _name(host: str) -> str:
    """A host without its port; empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _line(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(text, status, headers)
