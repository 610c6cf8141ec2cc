"""What pages and API read of models, dictionaries and units; how units are found by tokens: `unit_search`.

A function reads in the transaction that it is given, so that all of a page is of one moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NoReturn, TypeVar

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from tracebank.explorer.prepared import Prepared
from tracebank.explorer.state import Missing
from tracebank_schemas.explorer import UnitSummary, UnitText
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.neuron_graphs import ExplanationComparison, GraphNode, NeuronGraph, UnitSimilarity
from tracebank_schemas.reward_probe import Probe, ProbeWeight
from tracebank_schemas.sparse_autoencoder import (
    Feature,
    FeatureExplanation,
    FeatureScore,
    FeatureToken,
    SparseAutoencoder,
)

GRAPH: Final = "neuron_graph"
"""Method of the explanations that are graphs."""
NEURONS: Final = "neurons"
"""Architecture of a layer of neurons."""
_NAMED: Final = 8
"""Names that a refusal tells."""
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model, as in `language_models`."""

    model: str
    parent: str | None
    method: str
    step: int | None
    source: str
    architecture: str
    layers: int
    hidden_size: int
    mlp_size: int
    vocabulary_size: int
    context_length: int | None
    parameters: int


@dataclass(frozen=True, slots=True)
class DictionaryFacts:
    """A dictionary or layer of neurons, as in `sparse_autoencoders`."""

    dictionary: str
    model: str
    study: str
    seed: int
    side: str
    site: str
    layer: int | None
    size: str
    architecture: str
    d_sae: int

    @property
    def of_neurons(self) -> bool:
        """Whether it is a layer of neurons."""
        return self.architecture == NEURONS


@dataclass(frozen=True, slots=True)
class Counts:
    """What is stored of a dictionary's units."""

    units: int
    graphs: int
    texts: int
    """Units with texts."""


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """A unit, as in `features`."""

    dictionary: str
    feature: int
    tokens: int
    fired: int
    density: float
    mean_activation: float
    max_activation: float
    top_tokens: list[str]
    raised_tokens: list[str]
    lowered_tokens: list[str]
    matched_dictionary: str | None
    matched_feature: int | None
    matched_cosine: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """How strongly a unit fires, as in `unit_summaries`."""

    tokens: int
    min_activation: float
    max_activation: float
    histogram: list[int]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a unit, as in `unit_texts`."""

    stratum: str
    quantile: int
    rank: int
    document: int
    first_position: int
    max_token: int
    min_activation: float
    max_activation: float
    tokens: list[str]
    activations: list[float]


@dataclass(frozen=True, slots=True)
class Graph:
    """The graph of a unit, as in `neuron_graphs`."""

    reason: str | None
    """Why there is none."""
    maximum: float
    threshold: float
    texts: int
    variants: int
    truncated: bool
    nodes: int
    ends: int


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node of a graph, as in `graph_nodes`."""

    trie: str
    node: int
    parent: int | None
    depth: int
    kind: str
    token: str
    fires_on: str | None
    importance: float
    value: float
    reach: int | None


@dataclass(frozen=True, slots=True)
class Score:
    """How well an explanation does, as in `feature_scores`."""

    explanation: str
    metric: str
    stratum: str
    threshold: float
    value: float | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a unit is said to mean, as in `feature_explanations`, with its scores."""

    explanation: str
    method: str
    explainer: str
    text: str
    scores: tuple[Score, ...] = ()

    def score(self, metric: str, stratum: str = "all") -> float | None:
        """One of its scores; None where there is none."""
        return next((one.value for one in self.scores if (one.metric, one.stratum) == (metric, stratum)), None)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a unit, as in `feature_tokens`."""

    role: str
    rank: int
    token_id: int
    token: str
    value: float
    lift: float | None


@dataclass(frozen=True, slots=True)
class Similar:
    """A unit that is like another by the tokens of their graphs."""

    dictionary: str
    feature: int
    relation: str
    """`similar`; `subset`: its tokens are among those of the unit; `superset`: the other way round."""
    similarity: float
    fires_on_shared: int
    after_shared: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How well a method explains a dictionary's units, as in `explanation_comparisons`."""

    dictionary: str
    stratum: str
    method: str
    less: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    units: int
    undefined: int


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """A probe of a model, as in `probes`, whose weights are kept."""

    probe: str
    study: str
    seed: int
    task: str
    kind: str
    representation: str


@dataclass(frozen=True, slots=True)
class WeighedUnit:
    """A unit by what a probe makes of it."""

    dictionary: str
    feature: int
    weight: float
    rank: int
    density: float
    top_tokens: list[str]


_MODEL: Final = Prepared(
    f"SELECT {', '.join(field.name for field in fields(ModelFacts))} FROM language_models WHERE model = :model"
)


def models(session: Session) -> list[ModelFacts]:
    """All models by name."""
    return _read(session, ModelFacts, LanguageModel, order=(LanguageModel.model,))


def model(session: Session, name: str) -> ModelFacts:
    """One model.

    Raises:
        Missing: there is none of that name.
    """
    found = _MODEL.rows(session, model=name)
    return (
        ModelFacts(*found[0]) if found else _missing("model", name, session.scalars(select(LanguageModel.model)).all())
    )


def dictionaries(session: Session, of_model: str | None = None) -> list[DictionaryFacts]:
    """Dictionaries and layers of neurons of a model, or of all: by model and layer."""
    where = () if of_model is None else (SparseAutoencoder.model == of_model,)
    order = (SparseAutoencoder.model, SparseAutoencoder.layer, SparseAutoencoder.dictionary)
    return _read(session, DictionaryFacts, SparseAutoencoder, *where, order=order)


def dictionary(session: Session, name: str) -> DictionaryFacts:
    """One dictionary or layer of neurons.

    Raises:
        Missing: there is none of that name.
    """
    found = _read(session, DictionaryFacts, SparseAutoencoder, SparseAutoencoder.dictionary == name)
    if found:
        return found[0]
    return _missing("dictionary", name, session.scalars(select(SparseAutoencoder.dictionary)).all())


def counts(session: Session, names: Sequence[str]) -> dict[str, Counts]:
    """What is stored of the units of dictionaries."""

    def counted(table: Any, what: Any, *where: ColumnElement[bool]) -> dict[str, int]:
        query = select(table.dictionary, what).where(table.dictionary.in_(names), *where).group_by(table.dictionary)
        return {name: int(count) for name, count in session.execute(query)}

    units = counted(Feature, func.count())
    graphs = counted(NeuronGraph, func.count(), NeuronGraph.reason.is_(None))
    texts = counted(UnitSummary, func.count())
    return {name: Counts(units.get(name, 0), graphs.get(name, 0), texts.get(name, 0)) for name in names}


def comparisons(session: Session, names: Sequence[str], metric: str = "f1") -> list[Comparison]:
    """How well each method explains the units of dictionaries over all texts, alone and less the others."""
    mine = (ExplanationComparison.dictionary.in_(names), ExplanationComparison.metric == metric)
    order = (ExplanationComparison.dictionary, ExplanationComparison.method, ExplanationComparison.less)
    return _read(session, Comparison, ExplanationComparison, *mine, ExplanationComparison.stratum == "all", order=order)


def densities(session: Session, name: str) -> list[float]:
    """Share of tokens that each unit of a dictionary fires on."""
    return list(session.scalars(select(Feature.density).where(Feature.dictionary == name).order_by(Feature.feature)))


def unit(session: Session, name: str, number: int) -> UnitFacts:
    """One unit.

    Raises:
        Missing: there is none of that number, or no such dictionary.
    """
    found = _read(session, UnitFacts, Feature, *_mine(Feature, name, number)) if number < 1 << 63 else []
    if found:
        return found[0]
    dictionary(session, name)
    low, high, count = session.execute(
        select(func.min(Feature.feature), func.max(Feature.feature), func.count()).where(Feature.dictionary == name)
    ).one()
    there = f"it has {count:,}, from {low} to {high}" if count else "none is stored; materialise its features first"
    raise Missing(f"dictionary {name!r} has no unit {number}: {there}")


def neighbours(session: Session, name: str, number: int) -> tuple[int | None, int | None]:
    """Numbers of the units before and after one; None at an end."""
    before = select(func.max(Feature.feature)).where(Feature.dictionary == name, Feature.feature < number)
    after = select(func.min(Feature.feature)).where(Feature.dictionary == name, Feature.feature > number)
    return session.scalar(before), session.scalar(after)


def summary(session: Session, name: str, number: int) -> Summary | None:
    """How strongly a unit fires; None where it was not read yet."""
    return next(iter(_read(session, Summary, UnitSummary, *_mine(UnitSummary, name, number))), None)


def texts(session: Session, name: str, number: int, stratum: str | None = None) -> list[Text]:
    """Texts of a unit, of one stratum or of all: by stratum, fifth and rank."""
    where = _mine(UnitText, name, number) + (() if stratum is None else (UnitText.stratum == stratum,))
    return _read(session, Text, UnitText, *where, order=(UnitText.stratum, UnitText.quantile, UnitText.rank))


def graph(session: Session, name: str, number: int) -> Graph | None:
    """Facts of the graph of a unit, or why it has none; None where none was made."""
    return next(iter(_read(session, Graph, NeuronGraph, *_mine(NeuronGraph, name, number))), None)


def nodes(session: Session, name: str, number: int, trie: str = "draw") -> list[DrawnNode]:
    """Nodes of one of the two tries of a unit's graph, parents first."""
    where = (*_mine(GraphNode, name, number), GraphNode.trie == trie)
    return _read(session, DrawnNode, GraphNode, *where, order=(GraphNode.node,))


def explanations(session: Session, name: str, number: int) -> list[Explanation]:
    """Every explanation of a unit with its scores, by method."""
    mine = _mine(FeatureExplanation, name, number)
    columns = (getattr(FeatureExplanation, field) for field in ("explanation", "method", "explainer", "text"))
    order = (FeatureExplanation.method, FeatureExplanation.explainer, FeatureExplanation.explanation)
    said: Sequence[Any] = session.execute(select(*columns).where(*mine).order_by(*order)).all()
    scores: dict[str, list[Score]] = {}
    asked = FeatureScore.explanation.in_(row[0] for row in said)
    for score in _read(session, Score, FeatureScore, asked, order=(FeatureScore.metric, FeatureScore.stratum)):
        scores.setdefault(score.explanation, []).append(score)
    return [
        Explanation(key, method, explainer, words, tuple(scores.get(key, ()))) for key, method, explainer, words in said
    ]


def tokens(session: Session, name: str, number: int) -> list[Token]:
    """Tokens that a unit fires on, and those whose logits it raises and lowers, by role and rank."""
    order = (FeatureToken.role, FeatureToken.rank)
    return _read(session, Token, FeatureToken, *_mine(FeatureToken, name, number), order=order)


def similar(session: Session, name: str, number: int) -> list[Similar]:
    """Units that are like a unit, the most alike first."""
    row = UnitSimilarity
    figures = (row.relation, row.similarity, row.fires_on_shared, row.after_shared)
    to = select(row.other_dictionary, row.other_feature, *figures).where(*_mine(row, name, number))
    of = select(row.dictionary, row.feature, *figures).where(row.other_dictionary == name, row.other_feature == number)
    found = [Similar(*values) for values in session.execute(to)]
    for other, feature, relation, likeness, fires_on, after in session.execute(of):
        found.append(
            Similar(other, feature, "superset" if relation == "subset" else relation, likeness, fires_on, after)
        )
    return sorted(found, key=lambda one: (-one.similarity, one.dictionary, one.feature))


def probes(session: Session, of_model: str) -> list[ProbeFacts]:
    """Probes of a model whose weights are kept, by name."""
    kept = Probe.probe.in_(select(ProbeWeight.probe).distinct())
    return _read(session, ProbeFacts, Probe, Probe.model == of_model, kept, order=(Probe.probe,))


def weighed(session: Session, probe: str, limit: int = 50) -> list[WeighedUnit]:
    """Units by their weight in a probe, the largest magnitude first.

    Raises:
        Missing: no weights of such a probe are kept.
    """
    same = and_(ProbeWeight.dictionary == Feature.dictionary, ProbeWeight.feature == Feature.feature)
    query = (
        select(
            ProbeWeight.dictionary,
            ProbeWeight.feature,
            ProbeWeight.weight,
            ProbeWeight.rank,
            Feature.density,
            Feature.top_tokens,
        )
        .join(Feature, same)
        .where(ProbeWeight.probe == probe)
        .order_by(ProbeWeight.rank)
        .limit(limit)
    )
    found = [WeighedUnit(*row) for row in session.execute(query)]
    if found:
        return found
    return _missing("probe", probe, session.scalars(select(ProbeWeight.probe).distinct()).all())


def named(kind: str, asked: str, known: Sequence[str]) -> str:
    """One line: what is asked for is not there, and some of what is."""
    told = sorted(known)
    more = f" and {len(told) - _NAMED:,} more" if len(told) > _NAMED else ""
    there = f"there are {', '.join(told[:_NAMED])}{more}" if told else "there is none yet"
    return f"no {kind} {asked[:200]!r}: {there}"


def _missing(kind: str, asked: str, known: Sequence[str]) -> NoReturn:
    raise Missing(named(kind, asked, known))


def _mine(table: Any, name: str, number: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.dictionary == name, table.feature == number


def _read(
    session: Session, kind: type[_Row], table: Any, *where: ColumnElement[bool], order: Sequence[Any] = ()
) -> list[_Row]:
    """Rows of a table as a dataclass whose fields are named as its columns."""
    columns = [getattr(table, field.name) for field in fields(kind)]  # type: ignore[arg-type]
    return [kind(*row) for row in session.execute(select(*columns).where(*where).order_by(*order))]
