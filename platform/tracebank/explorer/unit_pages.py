"""The page of one unit: its graph, texts with what it does at every token, explanations with scores, who is alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup
from sqlalchemy.orm import Session

from tracebank.explorer import charts, model_pages, note_pages, search_pages, text_pages, unit_reads
from tracebank.explorer.graph_svg import MOST, Drawing, drawn
from tracebank.explorer.pages import asked_unit, page, sql_text, token_search
from tracebank.explorer.provenance import Shown, shown_by
from tracebank.explorer.shading import around, shaded, visible
from tracebank.explorer.state import Missing, explorer

router = APIRouter(include_in_schema=False)
for _pages in (model_pages, note_pages, search_pages, text_pages):
    router.include_router(_pages.router)

STRATA: Final = {
    "top": "Texts that it fires on most",
    "random": "Texts that it fires on, at random",
    "quantile": "Texts of each fifth by strength",
}
SCORED: Final = ("f1", "precision", "recall", "correlation")
"""Metrics of explanations that executable ones have."""


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text of a unit, shaded."""

    text: unit_reads.Text
    strongest: str
    """The token that the unit does most at."""
    html: Markup
    cut: int
    """Tokens of it that are not shown."""

    @property
    def key(self) -> str:
        """Name of it on the page and in addresses."""
        return f"{self.text.stratum}-{self.text.quantile}-{self.text.rank}"


@router.get("/units/{dictionary}/{feature}")
def unit(
    request: Request,
    dictionary: str,
    feature: str,
    texts: Literal["around", "all"] = "around",
    graph: Literal["strongest", "all"] = "strongest",
) -> HTMLResponse:
    """Everything of a unit; long texts are cut to what is around the strongest token unless all is asked for."""
    name, number = asked_unit(dictionary, feature)
    with explorer(request).relational.reading() as session:
        facts = unit_reads.unit(session, name, number)
        of = unit_reads.dictionary(session, name)
        summary = unit_reads.summary(session, name, number)
        largest = _largest(facts, summary)
        read = unit_reads.texts(session, name, number)
        before, after = unit_reads.neighbours(session, name, number)
        scores = model_pages.graph_scores(session, [name]).get(name, {})
        shown: dict[str, Any] = {
            "facts": facts,
            "of": of,
            "summary": summary,
            "histogram": _histogram(summary),
            "graph": unit_reads.graph(session, name, number),
            "drawing": _drawing(session, name, number, most=None if graph == "all" else MOST),
            "explanations": unit_reads.explanations(session, name, number),
            "control": scores.get("shuffled"),
            "tokens": _by_role(unit_reads.tokens(session, name, number)),
            "similar": unit_reads.similar(session, name, number),
            "texts": {
                stratum: [_shown(one, largest, texts == "all") for one in read if one.stratum == stratum]
                for stratum in STRATA
            },
            "notes": model_pages.notes(session, of.model, name, number),
            "before": before,
            "after": after,
            "made_by": _made_by(session, of),
        }
    sql = (
        "SELECT stratum, quantile, rank, tokens, activations\nFROM relational.unit_texts\n"
        f"WHERE dictionary = {sql_text(name)} AND feature = {number}\nORDER BY stratum, quantile, rank"
    )
    return page(request, "unit.html", strata=STRATA, scored=SCORED, sql=sql, whole=texts == "all", **shown)


@router.get("/units/{dictionary}/{feature}/card")
def card(request: Request, dictionary: str, feature: str) -> HTMLResponse:
    """The graph of a unit and what it fires on most, for a card beside a link to it."""
    name, number = asked_unit(dictionary, feature)
    with explorer(request).relational.reading() as session:
        facts = unit_reads.unit(session, name, number)
        nodes = unit_reads.nodes(session, name, number)
        graph = unit_reads.graph(session, name, number)
    drawing = drawn(nodes, f"Graph of {name}/{number}", most=16, width=440) if nodes else None
    return page(request, "unit_card.html", facts=facts, drawing=drawing, graph=graph)


@router.get("/units/{dictionary}/{feature}/texts/{key}")
def whole_text(request: Request, dictionary: str, feature: str, key: str) -> Response:
    """A text of a unit whole, in the place of the part of it that a page shows."""
    name, number = asked_unit(dictionary, feature)
    with explorer(request).relational.reading() as session:
        facts = unit_reads.unit(session, name, number)
        summary = unit_reads.summary(session, name, number)
        texts = [_shown(one, _largest(facts, summary), True) for one in unit_reads.texts(session, name, number)]
    for one in texts:
        if one.key == key:
            return HTMLResponse(Markup('<p class="text">{}</p>').format(one.html))
    there = ", ".join(one.key for one in texts) or "it has none"
    raise Missing(f"unit {name}/{number} has no text {key[:100]!r}: {there}")


def _largest(facts: unit_reads.UnitFacts, summary: unit_reads.Summary | None) -> float:
    """Magnitude that shades are shares of."""
    known = [facts.max_activation] if summary is None else [summary.max_activation, summary.min_activation]
    return max(map(abs, known))


def _shown(text: unit_reads.Text, largest: float, whole: bool) -> ShownText:
    window = None if whole else around(text.max_token, len(text.tokens))
    html = shaded(text.tokens, text.activations, largest, text.max_token, window)
    cut = 0 if window is None else len(text.tokens) - (window.stop - window.start)
    strongest = text.tokens[text.max_token] if text.max_token < len(text.tokens) else ""
    return ShownText(text, visible(strongest), html, cut)


def _drawing(session: Session, name: str, number: int, most: int | None) -> Drawing | None:
    nodes = unit_reads.nodes(session, name, number)
    if not nodes:
        return None
    return drawn(nodes, f"Graph of {name}/{number}", token_search, most)


def _histogram(summary: unit_reads.Summary | None) -> Markup | None:
    if summary is None or not any(summary.histogram):
        return None
    low, high = summary.min_activation, summary.max_activation
    fired = sum(summary.histogram)
    label = f"activation, of {fired:,} of {summary.tokens:,} tokens on which it is not 0"
    return charts.histogram(summary.histogram, low, high, label, "Activations")


def _by_role(tokens: Sequence[unit_reads.Token]) -> dict[str, list[unit_reads.Token]]:
    roles: dict[str, list[unit_reads.Token]] = {}
    for token in tokens:
        roles.setdefault(token.role, []).append(token)
    return roles


def _made_by(session: Session, of: unit_reads.DictionaryFacts) -> list[Shown]:
    """What wrote features, texts, graphs and scores of the units of a dictionary."""
    made = [
        shown_by(session, f"{key}", of.dictionary)
        for key in ("explorer/units", "neuron_graphs/graphs", "neuron_graphs/scores")
    ]
    if not of.of_neurons:
        made.insert(0, shown_by(session, "sparse_features/features", f"{of.study}-seed{of.seed}"))
    return made
