"""The API over units, in DeepDecipher's routes and shapes; features of dictionaries in the same ones."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy.orm import Session

from tracebank.explorer import api_shapes, unit_reads, unit_services
from tracebank.explorer.api_answers import REFUSALS, UNCHANGED, ApiRoute, answered, unchanged, version_of
from tracebank.explorer.api_targets import (
    DictionaryName,
    FeatureNumber,
    LayerNumber,
    ModelName,
    NeuronNumber,
    ServiceName,
    target_of,
)
from tracebank.explorer.exchange_api import router as exchanged
from tracebank.explorer.prepared import Prepared
from tracebank.explorer.state import Missing, explorer
from tracebank.explorer.unit_lists import router as lists
from tracebank.explorer.unit_notes import router as notes
from tracebank.explorer.unit_services import Known, Target

api = APIRouter(prefix="/api", route_class=ApiRoute, responses={**REFUSALS, **UNCHANGED}, tags=["units"])
binary = APIRouter(prefix="/bin", route_class=ApiRoute, responses={404: REFUSALS[404]}, tags=["units"])

SearchQuery = Annotated[
    str | None, Query(description="Of neuron2graph-search: activating:tok,important:tok,any:tok; all must be met.")
]
Get = Annotated[str | None, Query(description="Of a note: a key or an index of it.")]
_NOTES: Final = Prepared(
    "SELECT service, written_at FROM notes WHERE model = :model AND dictionary = :dictionary AND feature = :feature"
    " ORDER BY service"
)
_PAGE: dict[str, Any] = {"response_model": api_shapes.Page}
_ALL: dict[str, Any] = {"response_model": dict[str, api_shapes.Part]}


@api.get("", response_model=api_shapes.Models, operation_id="index")
def index(request: Request) -> Response:
    """All models, with the services that have something to say of each."""
    with explorer(request).relational.reading() as session:
        targets = [Target(model) for model in unit_reads.models(session)]
        told = [unit_services.metadata(target, unit_services.known(session, target)) for target in targets]
    body = b'{"models":[%b]}' % b",".join(told)
    version = version_of(body)
    return unchanged(request, version) or answered(request, body, version)


@api.get("/{model}/all", operation_id="model_all", **_ALL)
def model_all(request: Request, model: ModelName, query: SearchQuery = None, get: Get = None) -> Response:
    """What all services say of a model."""
    return _all(request, model, query=query, get=get)


@api.get("/{model}/all/{layer}", operation_id="layer_all", **_ALL)
def layer_all(request: Request, model: ModelName, layer: LayerNumber) -> Response:
    """What all services say of a layer of neurons."""
    return _all(request, model, layer)


@api.get("/{model}/all/{layer}/{neuron}", operation_id="neuron_all", **_ALL)
def neuron_all(request: Request, model: ModelName, layer: LayerNumber, neuron: NeuronNumber) -> Response:
    """What all services say of a neuron."""
    return _all(request, model, layer, neuron)


@api.get("/{model}/features/{dictionary}/all", operation_id="dictionary_all", **_ALL)
def dictionary_all(request: Request, model: ModelName, dictionary: DictionaryName) -> Response:
    """What all services say of a dictionary."""
    return _all(request, model, dictionary=dictionary)


@api.get("/{model}/features/{dictionary}/all/{feature}", operation_id="feature_all", **_ALL)
def feature_all(request: Request, model: ModelName, dictionary: DictionaryName, feature: FeatureNumber) -> Response:
    """What all services say of a feature."""
    return _all(request, model, None, feature, dictionary)


api.include_router(exchanged)
api.include_router(lists)
api.include_router(notes)


@api.get("/{model}/features/{dictionary}/{service}", operation_id="dictionary_service", **_PAGE)
def dictionary_service(
    request: Request, model: ModelName, dictionary: DictionaryName, service: ServiceName, get: Get = None
) -> Response:
    """What a service says of a dictionary."""
    return _one(request, service, model, dictionary=dictionary, get=get)


@api.get("/{model}/features/{dictionary}/{service}/{feature}", operation_id="feature_service", **_PAGE)
def feature_service(
    request: Request,
    model: ModelName,
    dictionary: DictionaryName,
    service: ServiceName,
    feature: FeatureNumber,
    get: Get = None,
) -> Response:
    """What a service says of a feature."""
    return _one(request, service, model, None, feature, dictionary, get=get)


@api.get("/{model}/{service}", operation_id="model_service", **_PAGE)
def model_service(
    request: Request, model: ModelName, service: ServiceName, query: SearchQuery = None, get: Get = None
) -> Response:
    """What a service says of a model."""
    return _one(request, service, model, query=query, get=get)


@api.get("/{model}/{service}/{layer}", operation_id="layer_service", **_PAGE)
def layer_service(
    request: Request, model: ModelName, service: ServiceName, layer: LayerNumber, get: Get = None
) -> Response:
    """What a service says of a layer of neurons."""
    return _one(request, service, model, layer, get=get)


@api.get("/{model}/{service}/{layer}/{neuron}", operation_id="neuron_service", **_PAGE)
def neuron_service(
    request: Request,
    model: ModelName,
    service: ServiceName,
    layer: LayerNumber,
    neuron: NeuronNumber,
    get: Get = None,
) -> Response:
    """What a service says of a neuron."""
    return _one(request, service, model, layer, neuron, get=get)


@binary.get("/{rest:path}", status_code=406, response_class=PlainTextResponse, operation_id="binary")
def not_binary(rest: str) -> Response:
    """Answers in postcard and snappy are not offered."""
    del rest
    return PlainTextResponse("postcard and snappy are not offered; ask /api for JSON, zstd or gzip", status_code=406)


router = APIRouter()
router.include_router(api)
router.include_router(binary)


def _one(
    request: Request,
    service: str,
    model: str,
    layer: str | None = None,
    unit: str | None = None,
    dictionary: str | None = None,
    **asked: str | None,
) -> Response:
    query = {name: value for name, value in asked.items() if value is not None}
    with explorer(request).relational.reading() as session:
        target = target_of(session, model, layer, unit, dictionary)
        known = unit_services.known(session, target)
        if service not in known.services:
            raise Missing(unit_reads.named("service", service, ["all", *known.services]))
        version = _version(session, target, known, service, query)
        if (same := unchanged(request, version)) is not None:
            return same
        told = unit_services.metadata(target, known)
        if service == "metadata":
            return answered(request, told, version)
        part = _part(session, target, service, query, known)
    return answered(request, b"".join((b"{", *part, b',"metadata":', told, b"}")), version)


def _all(
    request: Request,
    model: str,
    layer: str | None = None,
    unit: str | None = None,
    dictionary: str | None = None,
    **asked: str | None,
) -> Response:
    query = {name: value for name, value in asked.items() if value is not None}
    with explorer(request).relational.reading() as session:
        target = target_of(session, model, layer, unit, dictionary)
        known = unit_services.known(session, target)
        version = _version(session, target, known, "all", query)
        if (same := unchanged(request, version)) is not None:
            return same
        told: list[bytes] = []
        for service in known.services:
            try:
                part = _part(session, target, service, query, known)
            except (Missing, ValueError) as error:
                part = [b'"error":', msgspec.json.encode(str(error))]
            told += [b"," if told else b"{", msgspec.json.encode(service), b":{", *part, b"}"]
    return answered(request, b"".join((*told, b"}")), version)


def _part(session: Session, target: Target, service: str, query: dict[str, str], known: Known) -> list[bytes]:
    """What a service says, or which data are missing, as fields of an object."""
    if lacks := unit_services.missing_data(service, known):
        return [b'"missing_data_types":', msgspec.json.encode(lacks)]
    return [b'"data":', *unit_services.page(session, target, service, query, known)]


def _version(session: Session, target: Target, known: Known, *asked: object) -> str:
    """Version of an answer: of every partition in the ledger that it may show, and of the notes on its target."""
    versions = unit_services.data_versions(session, unit_services.dictionaries_of(session, target))
    model, dictionary, feature, _ = unit_services.note_key(target, "")
    notes = _NOTES.rows(session, model=model, dictionary=dictionary, feature=feature) if known.noted else ()
    return version_of(asked, target, versions, list(map(tuple, notes)), known.services, known.noted)
