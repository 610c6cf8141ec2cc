"""`/doc`: what the API answers, from its OpenAPI document, with questions to copy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from tracebank.explorer.pages import page
from tracebank.explorer.sql_limits import EXPORT_SECONDS
from tracebank.explorer.sql_pages import FORMS

router = APIRouter(include_in_schema=False)

_DEEPEST: Final = 4
"""Shapes within shapes that are written out."""
_METHODS: Final = ("get", "post", "put", "delete")


@dataclass(frozen=True, slots=True)
class Place:
    """A parameter, where it stands, and what may stand there."""

    name: str
    where: str
    kind: str
    is_needed: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A route with its method."""

    key: str
    method: str
    path: str
    summary: str
    doc: str
    places: tuple[Place, ...]
    body: str
    """What is sent, as JSON in words; empty: nothing."""
    answers: tuple[tuple[str, str, str], ...]
    """Status, what it means, and what comes, as JSON in words."""
    example: str
    """To copy, below the server's address."""


@router.get("/doc")
def doc(request: Request) -> HTMLResponse:
    """Routes, parameters, shapes, and questions to copy."""
    address = str(request.base_url).rstrip("/")
    groups = _documented(request.app)
    return page(request, "doc.html", groups=groups, server=address, forms=FORMS, export_seconds=EXPORT_SECONDS)


@lru_cache(maxsize=4)
def _documented(app: FastAPI) -> dict[str, list[Operation]]:
    """Operations by the first part of their paths below `/api`, in the order of the document."""
    document = app.openapi()
    shapes = document.get("components", {}).get("schemas", {})
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method in filter(methods.__contains__, _METHODS):
            operation = _operation(path, method, methods[method], shapes)
            found.setdefault(", ".join(methods[method].get("tags", ["other"])), []).append(operation)
    return found


def _operation(path: str, method: str, told: dict[str, Any], shapes: dict[str, Any]) -> Operation:
    places = tuple(_place(one, shapes) for one in told.get("parameters", []))
    sent = _content(told.get("requestBody", {}), shapes)
    answers = tuple(
        (status, one["description"], _content(one, shapes)) for status, one in sorted(told["responses"].items())
    )
    flags = "" if method == "get" else f" -X {method.upper()}"
    flags += " -H 'Content-Type: application/json' -d @question.json" if sent else ""
    text = told.get("description", "") or told.get("summary", "")
    summary, _, rest = text.partition("\n\n")
    return Operation(
        key=f"{method}-{told.get('operationId', path)}",
        method=method.upper(),
        path=path,
        summary=" ".join(summary.split()),
        doc=rest.strip(),
        places=places,
        body=sent,
        answers=answers,
        example=f"curl{flags} 'SERVER{path}'",
    )


def _place(told: dict[str, Any], shapes: dict[str, Any]) -> Place:
    kind = _shape(told.get("schema", {}), shapes, 0)
    text = kind if isinstance(kind, str) else json.dumps(kind)
    return Place(told["name"], told["in"], text, told.get("required", False), told.get("description", ""))


def _content(told: dict[str, Any], shapes: dict[str, Any]) -> str:
    for kind, content in told.get("content", {}).items():
        if kind == "application/json":
            return json.dumps(_shape(content.get("schema", {}), shapes, 0), indent=2, ensure_ascii=False)
    return ""


def _shape(schema: dict[str, Any], shapes: dict[str, Any], depth: int) -> Any:
    """A schema as an example in words: what stands where, and of which type."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return name if depth > _DEEPEST else _shape(shapes.get(name, {}), shapes, depth + 1)
    if chosen := schema.get("anyOf") or schema.get("oneOf"):
        kinds = [_shape(one, shapes, depth) for one in chosen]
        whole = [kind for kind in kinds if not isinstance(kind, str)]
        return whole[0] if whole else " | ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "properties" in schema:
        return {name: _shape(one, shapes, depth) for name, one in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_shape(schema.get("items", {}), shapes, depth)]
    if isinstance(more := schema.get("additionalProperties"), dict):
        return {"…": _shape(more, shapes, depth)}
    return _simple(schema)


def _simple(schema: dict[str, Any]) -> str:
    bounds = {
        "from": schema.get("minimum", schema.get("minLength")),
        "to": schema.get("maximum", schema.get("maxLength")),
    }
    told = "".join(f" {word} {value:,}" for word, value in bounds.items() if value is not None)
    kind = str(schema.get("type", "anything"))
    return f"{kind}{' of characters' if kind == 'string' and told else ''}{told}"
