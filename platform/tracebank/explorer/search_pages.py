"""Units found by tokens over all dictionaries, and two units, dictionaries or models beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from tracebank.explorer import unit_reads
from tracebank.explorer.addresses import from_address
from tracebank.explorer.graph_svg import drawn
from tracebank.explorer.model_pages import BASELINES, density_chart, graph_scores
from tracebank.explorer.pages import PAGE, page, sql_text, token_search
from tracebank.explorer.provenance import shown_by
from tracebank.explorer.shading import around, shaded
from tracebank.explorer.state import Missing, explorer
from tracebank.explorer.unit_search import Filter, Found, found_units
from tracebank_schemas.sparse_autoencoder import DictionarySimilarity

router = APIRouter(include_in_schema=False)
_TEXTS = 3
"""Texts of a unit in a comparison."""


@router.get("/search")
def search(
    request: Request,
    q: Annotated[str, Query(max_length=1000)] = "",
    within: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> HTMLResponse:
    """Units whose graphs have tokens, the best explained first."""
    asked, within = q.strip(), from_address(within.strip())
    found, problem = Found([], 0), ""
    with explorer(request).relational.reading() as session:
        names = [one.dictionary for one in unit_reads.dictionaries(session)]
        if asked:
            try:
                found = found_units(session, Filter(question=asked, within=within), "f1", PAGE, offset)
            except ValueError as error:
                problem = str(error)
        made_by = shown_by(session, "neuron_graphs/graphs")
    return page(
        request, "search.html", 400 if problem else 200, q=q, within=within, offset=offset, size=PAGE, found=found,
        problem=problem, asked=asked, names=names, made_by=made_by,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """A unit, dictionary or model of a comparison."""

    name: str
    kind: str
    model: unit_reads.ModelFacts | None = None
    dictionary: unit_reads.DictionaryFacts | None = None
    unit: unit_reads.UnitFacts | None = None


@router.get("/compare")
def compare(
    request: Request,
    a: Annotated[str, Query(max_length=300)] = "",
    b: Annotated[str, Query(max_length=300)] = "",
) -> HTMLResponse:
    """Two units, two dictionaries or layers, or two models side by side."""
    with explorer(request).relational.reading() as session:
        names = [one.dictionary for one in unit_reads.dictionaries(session)]
        models = [one.model for one in unit_reads.models(session)]
        sides = [_side(session, from_address(one.strip())) for one in (a, b) if one.strip()]
        if len({one.kind for one in sides}) > 1:
            raise Missing(f"{sides[0].name} is a {sides[0].kind}, {sides[1].name} a {sides[1].kind}: compare two alike")
        shown: dict[str, Any] = _compared(session, sides) if len(sides) == 2 else {}
    return page(
        request, "compare.html", a=a, b=b, names=[*models, *names], sides=sides, baselines=BASELINES, **shown
    )  # fmt: skip


def _side(session: Session, name: str) -> Side:
    """What a name names: a dictionary and a number, a dictionary, or a model.

    Raises:
        Missing: nothing.
    """
    of, _, number = name.rpartition("/")
    dictionaries = {one.dictionary: one for one in unit_reads.dictionaries(session)}
    if name in dictionaries:
        return Side(name, "dictionary", dictionary=dictionaries[name])
    if of in dictionaries and number.isascii() and number.isdecimal():
        return Side(name, "unit", dictionary=dictionaries[of], unit=unit_reads.unit(session, of, int(number[:30])))
    models = {one.model: one for one in unit_reads.models(session)}
    if name in models:
        return Side(name, "model", model=models[name])
    raise Missing(unit_reads.named("unit, dictionary or model", name, [*models, *dictionaries]))


def _compared(session: Session, sides: list[Side]) -> dict[str, Any]:
    kind = sides[0].kind
    if kind == "unit":
        return _compared_units(session, sides)
    if kind == "dictionary":
        names = [one.name for one in sides]
        row = DictionarySimilarity
        pair = select(row).where(row.dictionary.in_(names), row.other.in_(names))
        alike = session.scalars(pair).first() if names[0] != names[1] else None
        session.expunge_all()
        sql = (
            "SELECT dictionary, less, value, low, high, units\nFROM relational.explanation_comparisons\n"
            f"WHERE dictionary IN ({', '.join(map(sql_text, names))})\n"
            "  AND method = 'neuron_graph' AND metric = 'f1' AND stratum = 'all'\nORDER BY dictionary, less"
        )
        return {
            "graphs": graph_scores(session, names),
            "counts": unit_reads.counts(session, names),
            "densities": [density_chart(session, name) for name in names],
            "alike": alike,
            "made_by": [shown_by(session, "neuron_graphs/scores", name) for name in dict.fromkeys(names)],
            "sql": sql,
        }
    names = [one.name for one in sides]
    sql = f"SELECT * FROM relational.language_models\nWHERE model IN ({', '.join(map(sql_text, names))})"
    of_model = [unit_reads.dictionaries(session, name) for name in names]
    scores = graph_scores(session, [one.dictionary for some in of_model for one in some])
    return {"of_model": of_model, "graphs": scores, "made_by": shown_by(session, "neuron_graphs/scores"), "sql": sql}


def _compared_units(session: Session, sides: list[Side]) -> dict[str, Any]:
    graphs: list[Markup] = []
    texts: list[list[Markup]] = []
    said: list[list[unit_reads.Explanation]] = []
    for side in sides:
        assert side.unit is not None
        name, number = side.unit.dictionary, side.unit.feature
        nodes = unit_reads.nodes(session, name, number)
        graphs.append(drawn(nodes, f"Graph of {side.name}", token_search, 30, 480).svg if nodes else Markup(""))
        read = unit_reads.texts(session, name, number, "top")[:_TEXTS]
        largest = abs(side.unit.max_activation)
        texts.append(
            [
                shaded(one.tokens, one.activations, largest, one.max_token, around(one.max_token, len(one.tokens), 24))
                for one in read
            ]
        )
        said.append(unit_reads.explanations(session, name, number))
    first, second = sides[0].unit, sides[1].unit
    assert first is not None
    assert second is not None
    near = unit_reads.similar(session, first.dictionary, first.feature)
    alike = next((one for one in near if (one.dictionary, one.feature) == (second.dictionary, second.feature)), None)
    where = " OR ".join(
        f"(dictionary = {sql_text(one.dictionary)} AND feature = {one.feature})" for one in (first, second)
    )
    return {
        "drawings": graphs,
        "texts": texts,
        "said": said,
        "alike": alike,
        "made_by": shown_by(session, "neuron_graphs/similarities"),
        "sql": f"SELECT * FROM relational.graph_nodes\nWHERE trie = 'draw' AND ({where})\nORDER BY feature, node",
    }
