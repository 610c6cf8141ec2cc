"""Lists of dictionaries and units: by pages, sorted, filtered, and whole as Arrow, Parquet or CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.orm import Session

from tracebank.explorer import api_shapes, unit_reads
from tracebank.explorer.addresses import in_address
from tracebank.explorer.api_answers import REFUSALS, UNCHANGED, ApiRoute, Refused, answered, unchanged, version_of
from tracebank.explorer.api_targets import DictionaryName, ModelName, target_of
from tracebank.explorer.state import explorer
from tracebank.explorer.unit_exports import KINDS, Form, written
from tracebank.explorer.unit_search import Filter, Sort, found_units, unit_rows

router = APIRouter(route_class=ApiRoute, responses={**REFUSALS, **UNCHANGED})

MOST: Final = 1000
"""Units of a page."""
_BATCH: Final = 5000
"""Units that an export holds at once."""
_LARGEST: Final = 1 << 62

Limit = Annotated[int, Query(ge=1, le=MOST, description="Most units.")]
Offset = Annotated[int, Query(ge=0, le=_LARGEST, description="Units that are left out before.")]
Order = Annotated[Sort, Query(description="Largest first; feature: by number.")]
Question = Annotated[
    str, Query(max_length=2000, description='Tokens of graphs, such as: import after:from OR any:" a" NOT unless:x')
]
Share = Annotated[float | None, Query(ge=0, le=1)]


@router.get("/{model}/features", response_model=list[api_shapes.DictionaryRow], operation_id="dictionaries")
def dictionaries(request: Request, model: ModelName) -> Response:
    """Dictionaries and layers of neurons of a model, with what is stored of each."""
    with explorer(request).relational.reading() as session:
        target = target_of(session, model)
        found = unit_reads.dictionaries(session, target.model.model)
        counts = unit_reads.counts(session, [one.dictionary for one in found])
    rows = [asdict(one) | asdict(counts[one.dictionary]) for one in found]
    for row in rows:
        del row["model"]
    body = msgspec.json.encode(rows)
    version = version_of(body)
    return unchanged(request, version) or answered(request, body, version)


@router.get("/{model}/units", response_model=list[api_shapes.UnitRow], operation_id="model_units")
def model_units(
    request: Request,
    model: ModelName,
    q: Question = "",
    sort: Order = "f1",
    limit: Limit = 100,
    offset: Offset = 0,
    least_f1: Share = None,
    least_density: Share = None,
    most_density: Share = None,
    with_graph: bool = False,
) -> Response:
    """Units of all dictionaries and layers of a model; `X-Total-Count` and `Link` tell of further pages."""
    with explorer(request).relational.reading() as session:
        name = target_of(session, model).model.model
        wanted = Filter(q, None, "", name, least_f1, least_density, most_density, with_graph)
        return _page(request, session, wanted, sort, limit, offset)


@router.get("/{model}/features/{dictionary}", response_model=list[api_shapes.UnitRow], operation_id="dictionary_units")
def dictionary_units(
    request: Request,
    model: ModelName,
    dictionary: DictionaryName,
    q: Question = "",
    sort: Order = "f1",
    limit: Limit = 100,
    offset: Offset = 0,
    least_f1: Share = None,
    least_density: Share = None,
    most_density: Share = None,
    with_graph: bool = False,
) -> Response:
    """Units of a dictionary or layer; `X-Total-Count` and `Link` tell of further pages."""
    with explorer(request).relational.reading() as session:
        name = target_of(session, model, dictionary=dictionary).dictionary
        wanted = Filter(q, name, "", None, least_f1, least_density, most_density, with_graph)
        return _page(request, session, wanted, sort, limit, offset)


def _page(request: Request, session: Session, wanted: Filter, sort: Sort, limit: int, offset: int) -> Response:
    try:
        found = found_units(session, wanted, sort, limit, offset)
    except ValueError as error:
        raise Refused(str(error)) from None
    links = []
    for relation, at in (("prev", offset - limit), ("next", offset + limit)):
        if (at < offset and offset > 0) or (offset < at < found.total):
            links.append(f'<{request.url.include_query_params(offset=max(0, at), limit=limit)}>; rel="{relation}"')
    headers = {"X-Total-Count": str(found.total)} | ({"Link": ", ".join(links)} if links else {})
    body = msgspec.json.encode(found.units)
    version = version_of(found.total, body)
    return unchanged(request, version) or answered(request, body, version, headers)


_BYTES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A row a unit.", "content": {kind.partition(";")[0]: {} for kind in KINDS.values()}}
}


@router.get("/{model}/units.{form}", operation_id="units_exported", response_class=Response, responses=_BYTES)
def units_exported(request: Request, model: ModelName, form: Form, q: Question = "") -> Response:
    """Units of a model, all rows in bounded memory: with a list of top tokens (in CSV as JSON)."""
    relational = explorer(request).relational
    with relational.reading() as session:
        wanted = Filter(q, model=target_of(session, model).model.model)
        try:
            query = unit_rows(wanted, "feature")
        except ValueError as error:
            raise Refused(str(error)) from None

    def chunks() -> Iterator[bytes]:
        with relational.reading() as session:
            rows = session.execute(query.execution_options(yield_per=_BATCH))
            yield from written(form, (list(map(tuple, batch)) for batch in rows.partitions()))

    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{in_address(str(wanted.model))}-units.{form}"}
    return StreamingResponse(chunks(), media_type=KINDS[form], headers=headers)
