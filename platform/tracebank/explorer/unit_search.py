"""Units by pages, sorted and filtered, and those that answer a question about tokens: in SQL over the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from tracebank.explorer.unit_reads import GRAPH
from tracebank_schemas.neuron_graphs import GraphNode, NeuronGraph
from tracebank_schemas.sparse_autoencoder import Feature, FeatureExplanation, FeatureScore, SparseAutoencoder

if TYPE_CHECKING:
    from tracebank_models.neuron_graphs.search import Condition

Sort = Literal["f1", "density", "max_activation", "feature"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """A unit in a list."""

    dictionary: str
    feature: int
    density: float
    max_activation: float
    top_tokens: list[str]
    graph: str | None
    """What its graph says in words; None where none was scored yet."""
    f1: float | None
    """Of that, over all texts that it was not made from."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which units are wanted."""

    question: str = ""
    """About tokens of graphs, see `tracebank_models.neuron_graphs.search.parse`; empty: any."""
    dictionary: str | None = None
    within: str = ""
    """How the dictionary's name begins."""
    model: str | None = None
    least_f1: float | None = None
    least_density: float | None = None
    most_density: float | None = None
    with_graph: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A page of units."""

    units: list[FoundUnit]
    total: int
    """Units that are wanted, on all pages."""


def found_units(
    session: Session,
    wanted: Filter,
    sort: Sort = "f1",
    limit: int | None = 50,
    offset: int = 0,
) -> Found:
    """A page of the units that are wanted; those without a value stand last, equal ones by dictionary and number.

    Raises:
        ValueError: the question is not understood.
    """
    page = unit_rows(wanted, sort).limit(limit).offset(offset)
    units = [FoundUnit(*row) for row in session.execute(page)]
    if limit is None or (len(units) < limit and (units or not offset)):
        return Found(units, offset + len(units))
    counted = select(func.count()).select_from(Feature)
    counted = _joined(counted) if wanted.least_f1 is not None else counted
    return Found(units, int(session.scalar(counted.where(*_where(wanted))) or 0))


def unit_rows(wanted: Filter, sort: Sort) -> Select[Any]:
    """The rows of all units that are wanted: the fields of `FoundUnit`.

    Raises:
        ValueError: the question is not understood.
    """
    columns = {"density": Feature.density, "max_activation": Feature.max_activation, "f1": FeatureScore.value}
    order = [columns[sort].desc().nulls_last()] if sort != "feature" else []
    unit = (Feature.dictionary, Feature.feature)
    facts = (Feature.density, Feature.max_activation, Feature.top_tokens, FeatureExplanation.text, FeatureScore.value)
    rows: Select[Any] = _joined(select(*unit, *facts)).where(*_where(wanted)).order_by(*order, *unit)
    return rows


def _joined(query: Any) -> Any:
    """With the units' graphs in words, and their F1."""
    graph = and_(
        FeatureExplanation.dictionary == Feature.dictionary,
        FeatureExplanation.feature == Feature.feature,
        FeatureExplanation.method == GRAPH,
    )
    f1 = and_(
        FeatureScore.explanation == FeatureExplanation.explanation,
        FeatureScore.metric == "f1",
        FeatureScore.stratum == "all",
    )
    return query.select_from(Feature).outerjoin(FeatureExplanation, graph).outerjoin(FeatureScore, f1)


def _where(wanted: Filter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.dictionary is not None:
        where.append(Feature.dictionary == wanted.dictionary)
    if wanted.within:
        where.append(Feature.dictionary.startswith(wanted.within, autoescape=True))
    if wanted.model is not None:
        of_model = select(SparseAutoencoder.dictionary).where(SparseAutoencoder.model == wanted.model)
        where.append(Feature.dictionary.in_(of_model))
    if wanted.least_f1 is not None:
        where.append(FeatureScore.value >= wanted.least_f1)
    if wanted.least_density is not None:
        where.append(Feature.density >= wanted.least_density)
    if wanted.most_density is not None:
        where.append(Feature.density <= wanted.most_density)
    if wanted.with_graph or wanted.question:  # of a unit without a graph nothing is known, not that it lacks a token
        mine = (NeuronGraph.dictionary == Feature.dictionary, NeuronGraph.feature == Feature.feature)
        where.append(exists().where(*mine, NeuronGraph.reason.is_(None)))
    if wanted.question:
        from tracebank_models.neuron_graphs.search import parse

        answers = (and_(*map(met, conditions)) for conditions in parse(wanted.question))
        where.append(or_(*answers))
    return where


def met(condition: Condition) -> ColumnElement[bool]:
    """That a unit of `features` has a node of a token in a role, or that it lacks one."""
    node = aliased(GraphNode)
    roles: dict[str | None, ColumnElement[bool]] = {
        "fires_on": (node.depth == 1) & (node.kind == "token"),
        "after": (node.depth > 1) & node.kind.in_(("token", "gap")),
        "unless": node.kind == "negative",
        None: node.kind.in_(("token", "gap", "negative")),
    }
    wanted = [node.trie == "draw", node.token == condition.token, roles[condition.role]]
    if condition.fires_on is not None and condition.role != "fires_on":
        wanted.append(node.fires_on == condition.fires_on)
    units = select(node.dictionary, node.feature).where(*wanted)
    unit = tuple_(Feature.dictionary, Feature.feature)
    return unit.not_in(units) if condition.lacks else unit.in_(units)
