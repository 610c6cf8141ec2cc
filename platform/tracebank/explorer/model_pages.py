"""Pages of all models, of one model, and of one dictionary with its units."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tracebank.explorer import charts, unit_reads
from tracebank.explorer.addresses import from_address
from tracebank.explorer.pages import PAGE, asked_unit, page, sql_text, unit_address
from tracebank.explorer.provenance import shown_by
from tracebank.explorer.state import explorer
from tracebank.explorer.unit_search import SORTS, Filter, Sort, found_units
from tracebank.explorer.views import found_views
from tracebank_schemas.explorer import Note, UnitSummary
from tracebank_schemas.ledger import Materialization

router = APIRouter(include_in_schema=False)

BASELINES: Final = {
    "token_maximum": "less the look-up by token",
    "ngram_5": "less that by six tokens",
    "shuffled": "less other units' graphs",
}
"""What graphs are held against, as `less` of comparisons."""
_ORDERS: Final[dict[Sort, str]] = {
    "f1": "f1 DESC, ",
    "density": "f.density DESC, ",
    "max_activation": "f.max_activation DESC, ",
    "feature": "",
}
_BINS: Final = 24
_FEW: Final = 4
"""Dictionaries whose charts a page has at once; those of more come when they are asked for."""
_LEAST_DENSITY: Final = 1e-6
"""Units that fire more seldom are counted with those that do so seldomest."""


@dataclass(frozen=True, slots=True)
class Group:
    """What the ledger has of a group of assets."""

    name: str
    assets: int
    rows: int
    seconds: float


@router.get("/")
def home(request: Request) -> HTMLResponse:
    """All models, and what there is of results."""
    with explorer(request).relational.reading() as session:
        models, dictionaries = unit_reads.models(session), unit_reads.dictionaries(session)
        counts = unit_reads.counts(session, [one.dictionary for one in dictionaries])
        groups = _groups(session)
    of_model = {one.model: [d for d in dictionaries if d.model == one.model] for one in models}
    viewed = Counter(view.group for view in found_views())
    return page(request, "home.html", models=models, of_model=of_model, counts=counts, groups=groups, viewed=viewed)


def _groups(session: Session) -> list[Group]:
    """Groups of assets, each with how many there are and how many rows their newest materialisations wrote."""
    row = Materialization
    newest = (
        select(row.asset_key, row.partition, func.max(row.finished_at).label("moment"))
        .group_by(row.asset_key, row.partition)
        .subquery()
    )
    same = (row.asset_key == newest.c.asset_key) & (row.partition == newest.c.partition)
    query = select(row.asset_key, row.rows, row.seconds).join(newest, same & (row.finished_at == newest.c.moment))
    groups: dict[str, tuple[set[str], int, float]] = {}
    for key, rows, seconds in session.execute(query):
        assets, so_far, took = groups.get(key.partition("/")[0], (set(), 0, 0.0))
        groups[key.partition("/")[0]] = (assets | {key}, so_far + (rows or 0), took + (seconds or 0.0))
    return [Group(name, len(assets), rows, took) for name, (assets, rows, took) in sorted(groups.items())]


@router.get("/models/{model}")
def model(request: Request, model: str, probe: str = "") -> HTMLResponse:
    """A model: its layers and dictionaries, how well graphs explain them, and features by weight of a probe."""
    name = from_address(model)
    with explorer(request).relational.reading() as session:
        facts = unit_reads.model(session, name)
        dictionaries = unit_reads.dictionaries(session, name)
        graphs = graph_scores(session, [one.dictionary for one in dictionaries])
        dictionaries.sort(key=lambda one: (one.dictionary not in graphs, not one.of_neurons))
        names = [one.dictionary for one in dictionaries]
        probes = unit_reads.probes(session, name)
        chosen = probe or (probes[0].probe if probes else "")
        shown: dict[str, Any] = {
            "facts": facts,
            "dictionaries": dictionaries,
            "counts": unit_reads.counts(session, names),
            "graphs": graphs,
            "densities": [(one, density_chart(session, one)) for one in names] if len(names) <= _FEW else [],
            "probes": probes,
            "chosen": chosen,
            "weighed": unit_reads.weighed(session, chosen) if chosen else [],
            "tuned": [one for one in unit_reads.models(session) if one.parent == name],
            "notes": notes(session, name),
            "made_by": [shown_by(session, "neuron_graphs/scores"), shown_by(session, "sparse_features/features")],
        }
    sql = (
        "SELECT c.dictionary, c.less, c.value, c.low, c.high, c.units\n"
        "FROM relational.explanation_comparisons AS c\n"
        "JOIN relational.sparse_autoencoders AS d ON d.dictionary = c.dictionary\n"
        f"WHERE d.model = {sql_text(name)} AND c.method = 'neuron_graph' AND c.metric = 'f1' AND c.stratum = 'all'\n"
        "ORDER BY c.dictionary, c.less"
    )
    return page(request, "model.html", baselines=BASELINES, sql=sql, **shown)


@router.get("/models/{model}/densities")
def densities(request: Request, model: str) -> HTMLResponse:
    """Charts of the densities of all dictionaries of a model, as a part of its page."""
    name = from_address(model)
    with explorer(request).relational.reading() as session:
        unit_reads.model(session, name)
        names = [one.dictionary for one in unit_reads.dictionaries(session, name)]
        shown = [(one, density_chart(session, one)) for one in names]
    return page(request, "densities.html", densities=shown)


def graph_scores(session: Session, names: Sequence[str]) -> dict[str, dict[str, unit_reads.Comparison]]:
    """F1 of graphs by dictionary, alone (empty) and less each baseline."""
    found: dict[str, dict[str, unit_reads.Comparison]] = {}
    for row in unit_reads.comparisons(session, names):
        if row.method == unit_reads.GRAPH:
            found.setdefault(row.dictionary, {})[row.less] = row
    return found


def density_chart(session: Session, dictionary: str) -> Markup:
    """How many units fire on what share of tokens."""
    densities = unit_reads.densities(session, dictionary)
    firing = [math.log10(max(one, _LEAST_DENSITY)) for one in densities if one > 0]
    silent = len(densities) - len(firing)
    low = math.log10(_LEAST_DENSITY)
    bins = [0] * _BINS
    for one in firing:
        bins[min(_BINS - 1, int((one - low) / -low * _BINS))] += 1
    label = f"log10 of the share of tokens fired on; {silent:,} of {len(densities):,} fire on none"
    return charts.histogram(bins, low, 0.0, label, f"Density of {dictionary}")


def notes(session: Session, model: str = "", dictionary: str = "", feature: int = -1) -> list[Note]:
    """What was noted of a model, of a dictionary of it, or of a unit."""
    query = select(Note).where(Note.model == model, Note.dictionary == dictionary, Note.feature == feature)
    found = list(session.scalars(query.order_by(Note.service)))
    session.expunge_all()
    return found


@router.get("/units")
def chosen_unit(dictionary: str, feature: str) -> Response:
    """To the unit that the chooser of a page names."""
    name, number = asked_unit(dictionary, feature.strip())
    return RedirectResponse(unit_address(name, number), status_code=303)


@router.get("/units/{dictionary}")
def dictionary(
    request: Request,
    dictionary: str,
    sort: Sort = "f1",
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    q: Annotated[str, Query(max_length=1000)] = "",
    least_f1: str = "",
    graphs: bool = False,
) -> HTMLResponse:
    """A dictionary or a layer of neurons, with its units page by page."""
    name = from_address(dictionary)
    problem, least = "", None
    try:
        least = float(least_f1) if least_f1.strip() else None
    except ValueError:
        problem = f"least F1: {least_f1[:50]!r} is no number from 0 to 1"
    with explorer(request).relational.reading() as session:
        facts = unit_reads.dictionary(session, name)
        wanted = Filter(question=q.strip(), dictionary=name, least_f1=least, with_graph=graphs)
        try:
            found = found_units(session, wanted, sort, PAGE, offset)
        except ValueError as error:
            problem, found = str(error), found_units(session, Filter(dictionary=name), sort, PAGE, offset)
        shown: dict[str, Any] = {
            "facts": facts,
            "counts": unit_reads.counts(session, [name])[name],
            "found": found,
            "sparks": sparks(session, name, [one.feature for one in found.units]),
            "scores": graph_scores(session, [name]).get(name, {}),
            "density": density_chart(session, name),
            "notes": notes(session, facts.model, name),
            "made_by": shown_by(session, "neuron_graphs/scores", name),
        }
    sql = (
        "SELECT f.feature, f.density, f.max_activation, e.text, s.value AS f1\n"
        "FROM relational.features AS f\n"
        "LEFT JOIN relational.feature_explanations AS e ON e.dictionary = f.dictionary AND e.feature = f.feature\n"
        "  AND e.method = 'neuron_graph'\n"
        "LEFT JOIN relational.feature_scores AS s ON s.explanation = e.explanation\n"
        "  AND s.metric = 'f1' AND s.stratum = 'all'\n"
        f"WHERE f.dictionary = {sql_text(name)}\n"
        f"ORDER BY {_ORDERS[sort]}f.feature\nLIMIT {PAGE} OFFSET {offset}"
    )
    asked = {"sort": sort, "offset": offset, "q": q, "least_f1": least_f1, "graphs": graphs}
    return page(
        request, "dictionary.html", asked=asked, sorts=SORTS, size=PAGE, problem=problem, baselines=BASELINES, sql=sql,
        **shown,
    )  # fmt: skip


def sparks(session: Session, dictionary: str, features: Sequence[int]) -> dict[int, Markup]:
    """Small histograms of activations of units, counts by their logarithm."""
    query = select(UnitSummary.feature, UnitSummary.histogram).where(
        UnitSummary.dictionary == dictionary, UnitSummary.feature.in_(features)
    )
    return {
        feature: charts.sparkline(
            [math.log10(1 + count) for count in counts], f"{sum(counts):,} activations, log counts"
        )
        for feature, counts in session.execute(query)
        if any(counts)
    }
