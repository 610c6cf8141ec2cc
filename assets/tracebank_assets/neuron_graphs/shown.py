"""Units on a terminal: found by tokens, and one of them with its graph, scores, examples and a text's values."""

import json
from typing import TYPE_CHECKING, Final

import polars as pl
from sqlalchemy import ColumnElement, select

from tracebank.cli.grid import NUMBER, PROSE, Grid
from tracebank.explorer import LONGEST_TEXT, unit_search
from tracebank.explorer.unit_search import Filter
from tracebank.settings import Settings
from tracebank.stores.relational import RelationalStore
from tracebank_assets.devices import prepared_device
from tracebank_assets.neuron_graphs.catalogue import stored_graphs, stored_study
from tracebank_assets.neuron_graphs.units import read_by, units_of
from tracebank_schemas.neuron_graphs import ExplanationComparison, NeuronGraph
from tracebank_schemas.sparse_autoencoder import FeatureExplanation, FeatureScore

if TYPE_CHECKING:
    from tracebank_models.neuron_graphs.graph import NeuronGraph as Graph

_GRAPH: Final = "neuron_graph"


def found_units(relational: RelationalStore, question: str, within: str = "") -> pl.DataFrame:
    """Units that answer a question, those that fire most strongly first: dictionary, feature, explanation and F1.

    Args:
        relational: the catalogue.
        question: see `search.parse`.
        within: only dictionaries whose names begin so.

    Raises:
        ValueError: the question is not understood.
    """
    schema = {"dictionary": pl.String, "feature": pl.Int64, "explanation": pl.String, "f1": pl.Float64}
    with relational.reading() as session:
        units = unit_search.found_units(session, Filter(question, within=within), limit=None).units
    rows = [(unit.dictionary, unit.feature, unit.graph, unit.f1) for unit in units]
    return pl.DataFrame(rows, schema=schema, orient="row")


def found_table(found: pl.DataFrame, question: str, limit: int) -> Grid:
    """The same for a terminal."""
    more = f", the first {limit} of {found.height:,}" if found.height > limit else ""
    grid = Grid("unit", ("F1", NUMBER), ("graph", PROSE), title=f"Units that answer {question}{more}")
    for dictionary, feature, text, f1 in found.head(limit).iter_rows():
        grid.add_row(f"{dictionary}/{feature}", _number(f1), text or "not scored yet")
    return grid


def scores_table(relational: RelationalStore, names: list[str]) -> Grid:
    """F1 of graphs over all units of dictionaries, and less look-ups' and other units' graphs'."""
    columns = ("", "token_maximum", "ngram_5", "shuffled")
    query = select(ExplanationComparison).where(
        ExplanationComparison.dictionary.in_(names),
        ExplanationComparison.method == _GRAPH,
        ExplanationComparison.stratum == "all",
        ExplanationComparison.metric == "f1",
    )
    with relational.reading() as session:
        rows = {(row.dictionary, row.less): row for row in session.scalars(query)}
        session.expunge_all()
    grid = Grid(
        "units of",
        ("units", NUMBER),
        "F1",
        "less the look-up by token",
        "less that by six tokens",
        "less other units' graphs",
        title="Graphs on texts that they were not made from: mean and 95 % over units",
    )
    for name in names:
        if (name, "") in rows:
            units = str(rows[name, ""].units)
            grid.add_row(name, units, *(_interval(rows.get((name, less))) for less in columns))
    return grid


def exported_graph(relational: RelationalStore, unit: str, form: str) -> str:
    """A unit's graph as text: see `export.exported`.

    Raises:
        ValueError: the unit or the form is not known, or the unit has no graph.
    """
    from tracebank_models.neuron_graphs.export import FORMATS, exported

    if form not in FORMATS:
        raise ValueError(f"--format: {form!r} is not allowed; allowed: {', '.join(FORMATS)}")
    name, number = _named(unit)
    graphs, reasons = stored_graphs(relational, name, [number])
    if (graph := graphs[number]) is None:
        raise ValueError(f"{unit}: has no graph: {reasons[number]}")
    return exported(graph, next(one for one in FORMATS if one == form))


def unit_grids(settings: Settings, relational: RelationalStore, unit: str, text: str | None) -> list[Grid]:
    """Everything of a unit: explanations with scores, where its graph has values, and what it does on texts.

    Args:
        settings: of the home.
        relational: the catalogue.
        unit: name and number.
        text: shown token by token; None takes the text around its strongest activation.

    Raises:
        ValueError: the unit is not known, or the text too long or empty.
        dg.Failure: it has no graph yet.
    """
    name, number = _named(unit)
    if text is not None and not 0 < len(text) <= LONGEST_TEXT:
        raise ValueError(f"--text: {len(text):,} characters are not allowed; allowed: 1 to {LONGEST_TEXT:,}")
    graphs, reasons = stored_graphs(relational, name, [number])
    explained = Grid("method", ("F1", NUMBER), ("correlation", NUMBER), ("what it says", PROSE), title=unit)
    for method, words, f1, correlation in _explanations(relational, name, number):
        explained.add_row(method, _number(f1), _number(correlation), words)
    grids = [explained]
    if reasons[number]:
        explained.add_row("", "", "", f"no graph: {reasons[number]}")
    return [*grids, _on_text(settings, relational, name, number, graphs, text)]


def _on_text(
    settings: Settings,
    relational: RelationalStore,
    name: str,
    number: int,
    graphs: "dict[int, Graph | None]",
    text: str | None,
) -> Grid:
    from tracebank_models.neuron_graphs.unit_study import values_on, values_on_strongest

    units = units_of(relational, name)
    device = prepared_device(settings, units.study.effort.threads)
    read, how = read_by(relational, units, device), stored_study(relational, name)
    with relational.reading() as session:
        maximum = session.get_one(NeuronGraph, (name, number)).maximum
    graph = graphs[number]
    shown = (
        values_on(read, number, maximum, graph, text)
        if text is not None
        else values_on_strongest(read, number, maximum, graph, how)
    )
    grid = Grid("token", ("predicted", NUMBER), ("true", NUMBER), title="Shares of the unit's maximum, token by token")
    for token, predicted, true in shown:
        grid.add_row(json.dumps(token, ensure_ascii=False), _share(predicted), _share(true))
    return grid


def _explanations(
    relational: RelationalStore, name: str, number: int
) -> list[tuple[str, str, float | None, float | None]]:
    def score(metric: str) -> ColumnElement[float | None]:
        return (
            select(FeatureScore.value)
            .where(
                FeatureScore.explanation == FeatureExplanation.explanation,
                FeatureScore.metric == metric,
                FeatureScore.stratum == "all",
            )
            .scalar_subquery()
        )

    mine = (FeatureExplanation.dictionary == name) & (FeatureExplanation.feature == number)
    query = (
        select(FeatureExplanation.method, FeatureExplanation.text, score("f1"), score("correlation"))
        .where(mine)
        .order_by(FeatureExplanation.method)
    )
    with relational.reading() as session:
        return [(method, text, f1, correlation) for method, text, f1, correlation in session.execute(query)]


def _named(unit: str) -> tuple[str, int]:
    name, _, number = unit.rpartition("/")
    if not name or not number.isdecimal():
        raise ValueError(f"unit: {unit!r} is not allowed; allowed: DICTIONARY/N or MODEL/layers.N.neurons/N")
    return name, int(number)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _share(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.005 else "0"


def _interval(row: ExplanationComparison | None) -> str:
    if row is None or row.value is None:
        return "not defined"
    ends = f" ({row.low:.2f} to {row.high:.2f})" if row.low is not None and row.high is not None else ""
    return f"{row.value:.2f}{ends}"
