"""How the API answers: bytes with their version, compressed where that is asked for, and refusals of one line."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, Final, TypeVar, get_args

import msgspec
import zstandard
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import Match

JSON: Final = "application/json"
_TEXT: Final[dict[str, Any]] = {"content": {"text/plain": {"schema": {"type": "string"}}}}
REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "What was sent cannot be used: one line that says what is allowed.", **_TEXT},
    404: {"description": "Not there: one line that says what is.", **_TEXT},
    413: {"description": "Longer than the limit that the line names.", **_TEXT},
    422: {"description": "A parameter cannot be used: one line that says what is allowed.", **_TEXT},
}
"""Of every route, as the OpenAPI document tells them."""
UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As the version in If-None-Match."}}
_SMALL: Final = 1024
"""Bytes that are not worth being compressed."""
_LEVEL: Final = 1
"""Of both compressions: bodies are made for each request."""


_Kind = TypeVar("_Kind")


class Refused(ValueError):
    """What was sent cannot be used: one line."""


class TooLarge(Refused):
    """It is longer than is taken: one line that names the limit."""


class ApiRoute(APIRoute):
    """A route that a slash may end, and whose refusals are one line of plain text."""

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """As without the slash."""
        path = scope["path"]
        return super().matches({**scope, "path": path.rstrip("/")} if path.endswith("/") else scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """With refusals as text."""
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return PlainTextResponse(_one_line(error), status_code=422)
            except Refused as error:
                return _refused(error)

        return answered


def _refused(error: Refused) -> Response:
    return PlainTextResponse(str(error), status_code=413 if isinstance(error, TooLarge) else 400)


def _one_line(error: RequestValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"][1:])) or str(first["loc"][0])
    return f"{place}: {str(first.get('input'))[:100]!r} is not allowed: {first['msg']}"


async def body_of(request: Request, most: int) -> bytes:
    """What was sent.

    Raises:
        TooLarge: it is longer than so many bytes; no more of it is read.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge(f"body: is larger than the limit of {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


def parsed(what: str, sent: bytes, kind: type[_Kind], lines: bool = False) -> _Kind:
    """What was sent as JSON, or one value a line.

    Raises:
        Refused: it is something else.
    """
    try:
        if lines:
            return msgspec.json.Decoder(get_args(kind)[0]).decode_lines(sent)  # type: ignore[return-value]
        return msgspec.json.decode(sent, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError) as error:
        raise Refused(f"{what}: what was sent is not allowed: {str(error)[:300]}") from None


def version_of(*parts: object) -> str:
    """A weak ETag of what an answer depends on."""
    return f'W/"{sha256(repr(parts).encode()).hexdigest()[:24]}"'


def unchanged(request: Request, version: str) -> Response | None:
    """304, where the asker has this version."""
    asked = request.headers.get("if-none-match")
    if asked is None or version not in (one.strip() for one in asked.split(",")):
        return None
    return Response(status_code=304, headers={"ETag": version})


def answered(
    request: Request, body: bytes, version: str | None = None, headers: dict[str, str] | None = None, kind: str = JSON
) -> Response:
    """An answer, in the encoding that is asked for."""
    told = {"Vary": "Accept-Encoding", "Cache-Control": "no-cache", **(headers or {})}
    if version is not None:
        told["ETag"] = version
    asked = request.headers.get("accept-encoding")
    if asked and len(body) > _SMALL:
        body, encoding = compressed(body, asked)
        if encoding:
            told["Content-Encoding"] = encoding
    return Response(body, media_type=kind, headers=told)


def compressed(body: bytes, asked: str) -> tuple[bytes, str | None]:
    """Bytes in the best of the encodings that a header asks for, and which that is."""
    wanted = {}
    for one in asked.lower().split(","):
        name, _, quality = one.strip().partition(";")
        wanted[name.strip()] = quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    if wanted.get("zstd"):
        return zstandard.ZstdCompressor(level=_LEVEL).compress(body), "zstd"
    if wanted.get("gzip"):
        return gzip.compress(body, _LEVEL, mtime=0), "gzip"
    return body, None
