"""What users say of models, layers and units: any JSON, kept and deleted under the name that it is asked for by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import delete

from tracebank.explorer.api_answers import REFUSALS, ApiRoute, Refused, body_of, parsed
from tracebank.explorer.api_targets import (
    DictionaryName,
    FeatureNumber,
    LayerNumber,
    ModelName,
    NeuronNumber,
    NoteName,
    target_of,
)
from tracebank.explorer.state import Missing, explorer
from tracebank.explorer.unit_services import DATA, Target, note_key
from tracebank_schemas.explorer import Note

LONGEST: Final = 1 << 20
"""Bytes of a note."""
RESERVED: Final = (*DATA, "all", "features", "notes", "units", "activations")
"""Names that a note cannot have: the API has something else there."""
_SENT: Final[dict[str, Any]] = {"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}}
_DONE: Final[dict[str, Any]] = {"status_code": 204, "response_class": Response}

router = APIRouter(route_class=ApiRoute, responses=REFUSALS)


async def _sent(request: Request) -> bytes:
    return await body_of(request, LONGEST)


Sent = Annotated[bytes, Depends(_sent)]


@router.put("/{model}/notes/{service}", operation_id="note_model", openapi_extra=_SENT, **_DONE)
def note_model(request: Request, model: ModelName, service: NoteName, value: Sent) -> Response:
    """Note something of a model."""
    return _put(request, service, value, model)


@router.put("/{model}/notes/{service}/{layer}", operation_id="note_layer", openapi_extra=_SENT, **_DONE)
def note_layer(request: Request, model: ModelName, service: NoteName, layer: LayerNumber, value: Sent) -> Response:
    """Note something of a layer of neurons."""
    return _put(request, service, value, model, layer)


@router.put("/{model}/notes/{service}/{layer}/{neuron}", operation_id="note_neuron", openapi_extra=_SENT, **_DONE)
def note_neuron(
    request: Request, model: ModelName, service: NoteName, layer: LayerNumber, neuron: NeuronNumber, value: Sent
) -> Response:
    """Note something of a neuron."""
    return _put(request, service, value, model, layer, neuron)


@router.put(
    "/{model}/features/{dictionary}/notes/{service}", operation_id="note_dictionary", openapi_extra=_SENT, **_DONE
)
def note_dictionary(
    request: Request, model: ModelName, dictionary: DictionaryName, service: NoteName, value: Sent
) -> Response:
    """Note something of a dictionary."""
    return _put(request, service, value, model, None, None, dictionary)


@router.put(
    "/{model}/features/{dictionary}/notes/{service}/{feature}",
    operation_id="note_feature",
    openapi_extra=_SENT,
    **_DONE,
)
def note_feature(
    request: Request,
    model: ModelName,
    dictionary: DictionaryName,
    service: NoteName,
    feature: FeatureNumber,
    value: Sent,
) -> Response:
    """Note something of a feature."""
    return _put(request, service, value, model, None, feature, dictionary)


@router.delete("/{model}/notes/{service}", operation_id="forget_model", **_DONE)
def forget_model(request: Request, model: ModelName, service: NoteName) -> Response:
    """Delete what was noted of a model."""
    return _delete(request, service, model)


@router.delete("/{model}/notes/{service}/{layer}", operation_id="forget_layer", **_DONE)
def forget_layer(request: Request, model: ModelName, service: NoteName, layer: LayerNumber) -> Response:
    """Delete what was noted of a layer of neurons."""
    return _delete(request, service, model, layer)


@router.delete("/{model}/notes/{service}/{layer}/{neuron}", operation_id="forget_neuron", **_DONE)
def forget_neuron(
    request: Request, model: ModelName, service: NoteName, layer: LayerNumber, neuron: NeuronNumber
) -> Response:
    """Delete what was noted of a neuron."""
    return _delete(request, service, model, layer, neuron)


@router.delete("/{model}/features/{dictionary}/notes/{service}", operation_id="forget_dictionary", **_DONE)
def forget_dictionary(request: Request, model: ModelName, dictionary: DictionaryName, service: NoteName) -> Response:
    """Delete what was noted of a dictionary."""
    return _delete(request, service, model, None, None, dictionary)


@router.delete("/{model}/features/{dictionary}/notes/{service}/{feature}", operation_id="forget_feature", **_DONE)
def forget_feature(
    request: Request, model: ModelName, dictionary: DictionaryName, service: NoteName, feature: FeatureNumber
) -> Response:
    """Delete what was noted of a feature."""
    return _delete(request, service, model, None, feature, dictionary)


def _put(request: Request, service: str, value: bytes, *place: str | None) -> Response:
    relational = explorer(request).relational
    target = _target(request, *place)
    if service in RESERVED or not service.isprintable() or len(service) > 64:
        raise Refused(
            f"name: {service[:100]!r} is not allowed; allowed: 1 to 64 printable characters,"
            f" but not {', '.join(RESERVED)}"
        )
    said = parsed("note", value, object)
    keys = ("model", "dictionary", "feature", "service")
    row = dict(zip(keys, note_key(target, service), strict=True))
    with relational.session() as session:
        relational.upsert(session, Note, [{**row, "value": said, "written_at": datetime.now(UTC)}])
    return Response(status_code=204)


def _delete(request: Request, service: str, *place: str | None) -> Response:
    target = _target(request, *place)
    keys = (Note.model, Note.dictionary, Note.feature, Note.service)
    mine = (key == value for key, value in zip(keys, note_key(target, service), strict=True))
    with explorer(request).relational.session() as session:
        gone = session.execute(delete(Note).where(*mine)).rowcount  # type: ignore[attr-defined]
    if not gone:
        raise Missing(f"nothing is noted of {target} as {service[:100]!r}")
    return Response(status_code=204)


def _target(request: Request, *place: str | None) -> Target:
    with explorer(request).relational.reading() as session:
        return target_of(session, *place)  # type: ignore[arg-type]
