"""Routes of exchange: rows in Neuronpedia's and Anthropic's forms, out and in; and units on a text of the asker's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from tracebank.explorer import LONGEST_TEXT, exchange, exchange_in, unit_reads
from tracebank.explorer.api_answers import (
    REFUSALS,
    UNCHANGED,
    ApiRoute,
    Refused,
    TooLarge,
    answered,
    body_of,
    unchanged,
    version_of,
)
from tracebank.explorer.api_targets import DictionaryName, FeatureNumber, ModelName, target_of
from tracebank.explorer.state import explorer

router = APIRouter(route_class=ApiRoute, responses={**REFUSALS})

Form = Literal["neuronpedia-features", "neuronpedia-activations", "neuronpedia-explanations"]
LONGEST: Final = 64 << 20
"""Bytes of rows that are taken in at once."""
_SECONDS: Final = 120.0
"""Of an answer about a text."""
_LINES: Final = "application/x-ndjson"
_OUT: Final[dict[str, Callable[[Session, str, str, Sequence[int]], Iterator[dict[str, Any]]]]] = {
    "neuronpedia-features": exchange.features,
    "neuronpedia-activations": exchange.activations,
    "neuronpedia-explanations": exchange.explanations,
}
_IN: Final[dict[str, tuple[type[exchange_in.NeuronpediaRow], Callable[..., None]]]] = {
    "neuronpedia-features": (exchange_in.FeatureRow, exchange_in.take_features),
    "neuronpedia-activations": (exchange_in.ActivationRow, exchange_in.take_activations),
    "neuronpedia-explanations": (exchange_in.ExplanationRow, exchange_in.take_explanations),
}
_SENT: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {}}, _LINES: {"schema": {}}}}
}
_GOT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A row a line.", "content": {_LINES: {}}},
    **UNCHANGED,
}
_DONE: Final[dict[str, Any]] = {"status_code": 204, "response_class": Response, "openapi_extra": _SENT}
_PLACE: Final = "/{model}/features/{dictionary}/exchange"


async def _sent(request: Request) -> bytes:
    return await body_of(request, LONGEST)


Sent = Annotated[bytes, Depends(_sent)]


class AskedText(BaseModel):
    """A text, and whose units are asked about."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(description=f"1 to {LONGEST_TEXT:,} characters.")
    dictionaries: list[str] | None = Field(default=None, max_length=100, description="None: all of the model.")
    top: int = Field(default=5, ge=1, le=50, description="Units of each token.")


@router.get(f"{_PLACE}/anthropic/{{feature}}", operation_id="anthropic_out", response_model=dict[str, Any])
def anthropic_out(request: Request, model: ModelName, dictionary: DictionaryName, feature: FeatureNumber) -> Response:
    """A feature as Anthropic's JSON: texts by strength, and logits."""
    with explorer(request).relational.reading() as session:
        target = target_of(session, model, None, feature, dictionary)
        assert target.feature is not None
        body = msgspec.json.encode(exchange.anthropic(session, str(target.dictionary), target.feature))
    version = version_of(body)
    return unchanged(request, version) or answered(request, body, version)


@router.put(f"{_PLACE}/anthropic/{{feature}}", operation_id="anthropic_in", **_DONE)
def anthropic_in(
    request: Request, model: ModelName, dictionary: DictionaryName, feature: FeatureNumber, sent: Sent
) -> Response:
    """Take a feature in as Anthropic's JSON: its texts and logits are written over."""
    relational = explorer(request).relational
    with relational.reading() as session:
        target = target_of(session, model, None, feature, dictionary)
        count = unit_reads.dictionary(session, str(target.dictionary)).d_sae
    assert target.feature is not None
    exchange_in.take_anthropic(relational, str(target.dictionary), count, target.feature, sent)
    return Response(status_code=204)


@router.get(f"{_PLACE}/{{form}}", operation_id="rows_out", response_class=Response, responses=_GOT)
def rows_out(
    request: Request,
    model: ModelName,
    dictionary: DictionaryName,
    form: Form,
    feature: Annotated[int | None, Query(ge=0, lt=1 << 31, description="One alone.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most features.")] = 100,
    offset: Annotated[int, Query(ge=0, le=1 << 31, description="Features that are left out before.")] = 0,
) -> Response:
    """Rows as Neuronpedia has them, always the newest: of one feature or of a page of them."""
    with explorer(request).relational.reading() as session:
        target = target_of(session, model, None, None if feature is None else str(feature), dictionary)
        name = str(target.dictionary)
        wanted = [feature] if feature is not None else exchange.numbers(session, name, limit, offset)
        lines = [msgspec.json.encode(row) for row in _OUT[form](session, target.model.model, name, wanted)]
    body = b"".join(line + b"\n" for line in lines)
    version = version_of(body)
    return unchanged(request, version) or answered(request, body, version, kind=_LINES)


@router.put(f"{_PLACE}/{{form}}", operation_id="rows_in", **_DONE)
def rows_in(request: Request, model: ModelName, dictionary: DictionaryName, form: Form, sent: Sent) -> Response:
    """Take rows in as Neuronpedia has them (an array, or one a line): all, or none where one cannot be used."""
    relational = explorer(request).relational
    with relational.reading() as session:
        name = str(target_of(session, model, dictionary=dictionary).dictionary)
        count = unit_reads.dictionary(session, name).d_sae
    kind, take = _IN[form]
    take(relational, name, count, exchange_in.rows_of(sent, kind))
    return Response(status_code=204)


@router.post(
    "/{model}/activations",
    operation_id="activations",
    response_model=dict[str, Any],
    responses={503: {"description": "Others ask at the moment."}, 504: {"description": "It took too long."}},
)
async def activations(request: Request, model: ModelName, asked: Annotated[AskedText, Body()]) -> Response:
    """Per token the units that fire most, true and as their graphs predict; and those that fire most on the text."""
    if len(asked.text) > LONGEST_TEXT:
        raise TooLarge(f"text: {len(asked.text):,} characters are not allowed; the limit is {LONGEST_TEXT:,}")
    if not asked.text:
        raise Refused(f"text: is empty; allowed: 1 to {LONGEST_TEXT:,} characters")
    name = await run_in_threadpool(_known, request, model, asked.dictionaries or [])
    worker = explorer(request).inference
    if worker is None:
        raise Refused("no installed package answers which units fire on a text")
    found = await worker.ask(name, asked.text, asked.dictionaries, asked.top, timeout=_SECONDS)
    return answered(request, msgspec.json.encode(found))


def _known(request: Request, model: str, dictionaries: Sequence[str]) -> str:
    """Name of a model that is there, with its dictionaries."""
    with explorer(request).relational.reading() as session:
        for dictionary in dictionaries:
            target_of(session, model, dictionary=dictionary)
        return target_of(session, model).model.model
