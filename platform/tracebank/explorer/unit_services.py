"""DeepDecipher's services over units: which there are, what each says of a model, a layer and a neuron.

A page is JSON as bytes. Texts are stored as JSON and go out as they are stored: nothing parses tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import exists, func, or_, select, text
from sqlalchemy.orm import Session

from tracebank.explorer import unit_reads
from tracebank.explorer.api_answers import Refused
from tracebank.explorer.state import Missing
from tracebank.explorer.unit_reads import NEURONS, DrawnNode, ModelFacts
from tracebank.explorer.unit_search import met
from tracebank_schemas.explorer import Note, UnitSummary
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.neuron_graphs import NeuronGraph
from tracebank_schemas.sparse_autoencoder import Feature, FeatureExplanation

DATA: Final = {
    "metadata": (),
    "neuroscope": ("neuroscope",),
    "neuron2graph": ("neuron2graph", "neuron_store"),
    "neuron2graph-search": ("neuron_store",),
    "neuron_explainer": ("neuron_explainer",),
}
"""Services of ours, and the types of data that each needs of a model."""
SHOWN: Final = (
    "explorer/units",
    "explorer/imported",
    "neuron_graphs/graphs",
    "neuron_graphs/scores",
    "neuron_graphs/similarities",
    "sparse_features/dictionaries",
    "sparse_features/features",
    "sparse_features/explanations",
)
"""Assets whose rows pages show."""
_ROLES: Final[dict[str, tuple[Literal["fires_on", "after"], ...]]] = {
    "activating": ("fires_on",),
    "important": ("after",),
    "any": ("fires_on", "after"),
}
_TEXTS: Final = text(
    "SELECT document, max_token, min_activation, max_activation, CAST(tokens AS TEXT), CAST(activations AS TEXT)"
    " FROM unit_texts WHERE dictionary = :dictionary AND feature = :feature AND stratum = 'top' ORDER BY rank"
)
_LAYER: Final = re.compile(rf"layers\.(\d+)\.{NEURONS}")


@dataclass(frozen=True, slots=True)
class Target:
    """What a page is about: a model, a layer of it or a dictionary, or a unit."""

    model: ModelFacts
    dictionary: str | None = None
    """None: the model."""
    layer: int | None = None
    feature: int | None = None
    """None: the whole dictionary."""
    of_neurons: bool = True
    """False of dictionaries that were trained, and of a model's dictionaries together."""

    def __str__(self) -> str:
        """As refusals name it."""
        if self.dictionary is None:
            return f"model {self.model.model!r}"
        unit = "" if self.feature is None else f" {'neuron' if self.of_neurons else 'feature'} {self.feature} of"
        return f"{unit.strip()} {self.dictionary!r}".strip()

    def index(self, dictionary: str, feature: int) -> dict[str, Any]:
        """A unit as answers name it."""
        if self.of_neurons:
            return {"layer": layer_of(dictionary), "neuron": feature}
        return {"dictionary": dictionary, "feature": feature}


def layer_of(dictionary: str) -> int | None:
    """Number of the layer of neurons of a name; None of another dictionary."""
    found = _LAYER.fullmatch(dictionary.rpartition("/")[2])
    return int(found[1]) if found else None


def layer_name(model: str, layer: int) -> str:
    """Name of a layer of neurons as a dictionary."""
    return f"{model}/layers.{layer}.{NEURONS}"


def dictionaries_of(session: Session, target: Target) -> list[str]:
    """Names of the dictionaries that a target is about."""
    if target.dictionary is not None:
        return [target.dictionary]
    if target.of_neurons:
        return [layer_name(target.model.model, layer) for layer in range(target.model.layers)]
    return [one.dictionary for one in unit_reads.dictionaries(session, target.model.model) if not one.of_neurons]


def noted(session: Session, model: str | None = None) -> list[str]:
    """Names of services that users have noted something under, of one model or of all: a look-up a name."""
    found: list[str] = []
    above = ""
    while (name := session.scalar(select(func.min(Note.service)).where(Note.service > above))) is not None:
        found.append(above := name)
    if model is None:
        return found
    return [name for name in found if _is_noted(session, model, name)]


def _is_noted(session: Session, model: str, service: str) -> bool:
    return bool(session.scalar(select(exists().where(Note.service == service, Note.model == model))))


def stored(session: Session, target: Target) -> frozenset[str]:
    """Types of data that the model has some of: of its neurons, or of its dictionaries."""
    names = dictionaries_of(session, Target(target.model, of_neurons=target.of_neurons))
    there = (exists().where(table.dictionary.in_(names)) for table in (UnitSummary, NeuronGraph, FeatureExplanation))
    texts, graphs, explanations = session.execute(select(*there)).one()
    kinds = {"neuroscope": texts, "neuron2graph": graphs, "neuron_store": graphs, "neuron_explainer": explanations}
    return frozenset(kind for kind, is_there in kinds.items() if is_there)


def missing_data(session: Session, target: Target, service: str, there: frozenset[str]) -> list[str]:
    """Types of data that a service needs and the model has none of."""
    if service in DATA:
        return [kind for kind in DATA[service] if kind not in there]
    return [] if _is_noted(session, target.model.model, service) else [service]


def metadata(session: Session, target: Target, there: frozenset[str]) -> bytes:
    """What is known of a model, with the services that have something to say of it."""
    model = target.model
    told = {
        "name": model.model,
        "num_layers": model.layers,
        "layer_size": model.mlp_size,
        "activation_function": "",
        "num_total_neurons": model.layers * model.mlp_size,
        "num_total_parameters": model.parameters,
        "dataset": model.source if model.method == "pretraining" else "",
        "available_services": [name for name, needs in DATA.items() if there.issuperset(needs)]
        + noted(session, model.model),
    }
    return msgspec.json.encode(told)


def data_versions(session: Session, dictionaries: Sequence[str]) -> list[tuple[str, str, str]]:
    """Newest data versions of what pages of dictionaries show: asset, partition and version."""
    parts = {"", *dictionaries, *(name.rpartition("/")[0] for name in dictionaries)}
    entry = Materialization
    query = select(entry.asset_key, entry.partition, entry.data_version).order_by(entry.finished_at, entry.run_id)
    rows = session.execute(query.where(entry.asset_key.in_(SHOWN), entry.partition.in_(parts)))
    return sorted((*key, version) for key, version in {(asset, part): version for asset, part, version in rows}.items())


def page(session: Session, target: Target, service: str, query: dict[str, str]) -> bytes:
    """What a service says of a target.

    Raises:
        Missing: it has no such page, or nothing is stored of the target.
        Refused: the query cannot be used.
    """
    if service not in DATA:
        return _note(session, target, service, query)
    if service == "metadata":
        return metadata(session, target, stored(session, target))
    level = "neuron" if target.feature is not None else "model" if target.dictionary is None else "layer"
    made = _PAGES.get((service, level))
    if made is None:
        levels = [one for of, one in _PAGES if of == service]
        raise Missing(f"no {level} page exists for service {service!r}: it has one for each {' and '.join(levels)}")
    return made(session, target, query)


def _texts(session: Session, target: Target, _: dict[str, str]) -> bytes:
    mine = {"dictionary": target.dictionary, "feature": target.feature}
    assert target.dictionary is not None
    assert target.feature is not None
    summary = session.execute(
        select(UnitSummary.min_activation, UnitSummary.max_activation).where(
            UnitSummary.dictionary == target.dictionary, UnitSummary.feature == target.feature
        )
    ).one_or_none()
    if summary is None:
        raise Missing(f"no texts of {target} are stored: materialise explorer/units for its layer or dictionary")
    head = f'{{"min_range":{summary[0]!r},"max_range":{summary[1]!r},"min_activation":'
    parts = [
        f'{head}{low!r},"max_activation":{high!r},"data_index":{document},"max_activating_token_index":{at},'
        f'"tokens":{tokens},"activations":{activations}}}'
        for document, at, low, high, tokens, activations in session.execute(_TEXTS, mine)
    ]
    index = msgspec.json.encode(target.index(target.dictionary, target.feature))
    return b'{"neuron_index":%b,"texts":[%b]}' % (index, ",".join(parts).encode())


def _important(session: Session, target: Target, _: dict[str, str]) -> bytes:
    """Units with the range of their activations, the narrowest first."""
    reach = UnitSummary.max_activation - UnitSummary.min_activation
    names = dictionaries_of(session, target)
    query = select(UnitSummary.dictionary, UnitSummary.feature, reach).where(UnitSummary.dictionary.in_(names))
    rows = session.execute(query.order_by(reach, UnitSummary.dictionary, UnitSummary.feature)).all()
    units = [(target.index(name, number), value) for name, number, value in rows]
    told = {"num_neurons": len(units)} if target.dictionary is not None else {}
    return msgspec.json.encode(told | {"important_neurons": units})


def _graph(session: Session, target: Target, _: dict[str, str]) -> bytes:
    from tracebank_models.neuron_graphs.drawing import Drawing, drawn, trie_of_rows

    assert target.dictionary is not None
    assert target.feature is not None
    facts = unit_reads.graph(session, target.dictionary, target.feature)
    if facts is None:
        raise Missing(f"no graph of {target} was made: materialise neuron_graphs/graphs for its layer or dictionary")
    if facts.reason is not None:
        raise Missing(f"{target} has no graph: {facts.reason}")
    nodes: list[DrawnNode] = unit_reads.nodes(session, target.dictionary, target.feature)
    drawing: Drawing = drawn(trie_of_rows(nodes))
    similar = [
        {**target.index(one.dictionary, one.feature), "similarity": one.similarity}
        for one in unit_reads.similar(session, target.dictionary, target.feature)
        if not target.of_neurons or one.dictionary.startswith(f"{target.model.model}/layers.")
    ]
    told = {"graph": _compact(drawing.nodes, drawing.edges), "graphviz": drawing.dot(), "similar": similar}
    return msgspec.json.encode(told)


def _compact(nodes: dict[str, dict[str, Any]], edges: dict[tuple[str, str], None]) -> dict[str, Any]:
    """Nodes by depth, each with the places of those that it needs before it; and where each depth begins."""
    ordered = sorted(nodes, key=lambda name: (nodes[name]["depth"], name))
    place = {name: at for at, name in enumerate(ordered)}
    needs: dict[str, list[int]] = {name: [] for name in ordered}
    for source, target in edges:
        needs[target].append(place[source])
    depths = [nodes[name]["depth"] for name in ordered]
    begins = [at for at, depth in enumerate(depths) if at == 0 or depth != depths[at - 1]]
    told = [
        {"token": nodes[name]["token"], "required": sorted(needs[name]), "importance": nodes[name]["importance"]}
        for name in ordered
    ]
    return {"subgraph_indices": [*begins, len(ordered)], "graph": told}


def _explained(session: Session, target: Target, _: dict[str, str]) -> bytes:
    """What an asked model says of the unit; where none was asked, what goes best with its activations."""
    assert target.dictionary is not None
    assert target.feature is not None
    said = unit_reads.explanations(session, target.dictionary, target.feature)
    if not said:
        raise Missing(
            f"no explanation of {target} is stored: materialise neuron_graphs/scores or sparse_features/explanations"
        )
    scored = [(one, one.score("correlation")) for one in said]
    best, score = max(scored, key=lambda pair: (bool(pair[0].explainer), -2.0 if pair[1] is None else pair[1]))
    return msgspec.json.encode({"explanation": best.text, "score": score})


def _found(session: Session, target: Target, query: dict[str, str]) -> bytes:
    """Units whose graphs have tokens in roles, as sent: sorted."""
    from tracebank_models.neuron_graphs.search import MOST_TERMS, Condition

    asked = query.get("query")
    if not asked:
        raise Refused("query: is missing; allowed are terms such as query=activating:tok,important:tok,any:tok")
    terms = asked.split(",")
    if len(terms) > MOST_TERMS:
        raise Refused(f"query: {len(terms)} terms are not allowed; allowed: up to {MOST_TERMS}")
    names = dictionaries_of(session, target)
    statement = select(Feature.dictionary, Feature.feature).where(Feature.dictionary.in_(names))
    for term in terms:
        kind, colon, token = term.partition(":")
        if kind not in _ROLES or not colon or ":" in token:
            raise Refused(
                f"query: {term[:100]!r} is not allowed; allowed are activating:, important: or any: and a token,"
                " which may hold neither , nor :"
            )
        statement = statement.where(or_(*(met(Condition(role, token, None)) for role in _ROLES[kind])))
    units = [target.index(*row) for row in session.execute(statement)]
    return msgspec.json.encode(sorted(units, key=lambda one: tuple(one.values())))


def _note(session: Session, target: Target, service: str, query: dict[str, str]) -> bytes:
    note = session.get(Note, note_key(target, service))
    if note is None:
        raise Missing(f"nothing is noted of {target} as {service!r}: PUT it under notes/{service}")
    value = note.value
    if "get" in query:
        value = _part(value, query["get"], target, service)
    return msgspec.json.encode(value)


def _part(value: Any, key: str, target: Target, service: str) -> Any:
    if isinstance(value, dict) and key in value:
        return value[key]
    if isinstance(value, list) and key.isdecimal() and int(key[:18]) < len(value):
        return value[int(key)]
    raise Missing(f"{service!r} of {target} has no field or index {key[:100]!r}")


def note_key(target: Target, service: str) -> tuple[str, str, int, str]:
    """Key of the note on a target."""
    return target.model.model, target.dictionary or "", -1 if target.feature is None else target.feature, service


_PAGES: Final[dict[tuple[str, str], Callable[[Session, Target, dict[str, str]], bytes]]] = {
    ("neuroscope", "model"): _important,
    ("neuroscope", "layer"): _important,
    ("neuroscope", "neuron"): _texts,
    ("neuron2graph", "neuron"): _graph,
    ("neuron2graph-search", "model"): _found,
    ("neuron_explainer", "neuron"): _explained,
}
