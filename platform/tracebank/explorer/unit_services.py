"""DeepDecipher's services over units: which there are, what each says of a model, a layer and a neuron.

A page is JSON as bytes. Texts are stored as JSON and go out as they are stored: nothing parses tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from tracebank.explorer import unit_reads
from tracebank.explorer.api_answers import Refused
from tracebank.explorer.prepared import Prepared
from tracebank.explorer.state import Missing
from tracebank.explorer.unit_reads import NEURONS, ModelFacts
from tracebank.explorer.unit_search import met
from tracebank_schemas.explorer import Note, UnitSummary
from tracebank_schemas.sparse_autoencoder import Feature

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
_MINE: Final = "WHERE dictionary = :dictionary AND feature = :feature"
_TEXTS: Final = Prepared(
    "SELECT document, max_token, min_activation, max_activation, CAST(tokens AS TEXT), CAST(activations AS TEXT)"
    f" FROM unit_texts {_MINE} AND stratum = 'top' ORDER BY quantile, rank"
)
_EXTENT: Final = Prepared(f"SELECT min_activation, max_activation FROM unit_summaries {_MINE}")
_REASON: Final = Prepared(f"SELECT reason FROM neuron_graphs {_MINE}")
_NODES: Final = Prepared(
    "SELECT node, parent, kind, token, importance, value, reach"
    f" FROM graph_nodes {_MINE} AND trie = 'draw' ORDER BY node"
)
_SIMILAR: Final = Prepared(
    f"SELECT other_dictionary AS dictionary, other_feature AS feature, similarity FROM unit_similarities {_MINE}"
    " UNION ALL SELECT dictionary, feature, similarity FROM unit_similarities"
    " WHERE other_dictionary = :dictionary AND other_feature = :feature ORDER BY 3 DESC, 1, 2"
)
_SAID: Final = Prepared(
    "SELECT said.text, said.explainer, score.value FROM feature_explanations AS said"
    " LEFT JOIN feature_scores AS score ON score.explanation = said.explanation"
    " AND score.metric = 'correlation' AND score.stratum = 'all'"
    f" {_MINE} ORDER BY said.method, said.explainer, said.explanation"
)
_VERSIONS: Final = Prepared(
    "SELECT asset_key, data_version FROM materializations WHERE partition = :part AND asset_key IN"
    f" ({', '.join(map(repr, SHOWN))}) ORDER BY finished_at, run_id"
)
_NEXT: Final = Prepared("SELECT min(service) FROM notes WHERE service > :above")
_NOTED: Final = Prepared("SELECT 1 FROM notes WHERE service = :service AND model = :model LIMIT 1")


def _there(of_neurons: bool) -> Prepared:
    kind = f"model = :model AND architecture {'=' if of_neurons else '<>'} '{NEURONS}'"
    tables = ("unit_summaries", "neuron_graphs", "feature_explanations")
    of = "FROM sparse_autoencoders AS owner JOIN {} AS made ON made.dictionary = owner.dictionary"
    return Prepared("SELECT " + ", ".join(f"EXISTS(SELECT 1 {of.format(table)} WHERE {kind})" for table in tables))


_THERE: Final = {of_neurons: _there(of_neurons) for of_neurons in (True, False)}
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


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to be asked."""

    there: frozenset[str]
    """Types of data that the model has some of: of its neurons, or of its dictionaries."""
    services: tuple[str, ...]
    """All that any model has, ours and users'."""
    noted: tuple[str, ...]
    """Those that users have noted something under of this model."""


def known(session: Session, target: Target) -> Known:
    """What there is to be asked of a model."""
    found: list[str] = []
    above = ""
    while (name := _NEXT.rows(session, above=above)[0][0]) is not None:  # a look-up a name, however many notes
        found.append(above := name)
    model = target.model.model
    noted = tuple(name for name in found if _NOTED.rows(session, service=name, model=model))
    ((texts, graphs, explanations),) = _THERE[target.of_neurons].rows(session, model=model)
    kinds = {"neuroscope": texts, "neuron2graph": graphs, "neuron_store": graphs, "neuron_explainer": explanations}
    there = frozenset(kind for kind, is_there in kinds.items() if is_there)
    return Known(there, (*DATA, *found), noted)


def missing_data(service: str, known: Known) -> list[str]:
    """Types of data that a service needs and the model has none of."""
    if service in DATA:
        return [kind for kind in DATA[service] if kind not in known.there]
    return [] if service in known.noted else [service]


def metadata(target: Target, known: Known) -> bytes:
    """What is known of a model, with the services that have something to say of it."""
    model = target.model
    ours = [name for name, needs in DATA.items() if known.there.issuperset(needs)]
    told = {
        "name": model.model,
        "num_layers": model.layers,
        "layer_size": model.mlp_size,
        "activation_function": "",
        "num_total_neurons": model.layers * model.mlp_size,
        "num_total_parameters": model.parameters,
        "dataset": model.source if model.method == "pretraining" else "",
        "available_services": [*ours, *known.noted],
    }
    return msgspec.json.encode(told)


def data_versions(session: Session, dictionaries: Sequence[str]) -> list[tuple[str, str, str]]:
    """Newest data versions of what pages of dictionaries show: asset, partition and version."""
    newest: dict[tuple[str, str], str] = {}
    for part in sorted({"", *dictionaries, *(name.rpartition("/")[0] for name in dictionaries)}):
        newest.update({(asset, part): version for asset, version in _VERSIONS.rows(session, part=part)})
    return sorted((*key, version) for key, version in newest.items())


def page(session: Session, target: Target, service: str, query: dict[str, str], known: Known) -> list[bytes]:
    """What a service says of a target, in pieces: texts are long, and every copy of all of them costs.

    Raises:
        Missing: it has no such page, or nothing is stored of the target.
        Refused: the query cannot be used.
    """
    if service not in DATA:
        return [_note(session, target, service, query)]
    if service == "metadata":
        return [metadata(target, known)]
    level = "neuron" if target.feature is not None else "model" if target.dictionary is None else "layer"
    made = _PAGES.get((service, level))
    if made is None:
        levels = [one for of, one in _PAGES if of == service]
        raise Missing(f"no {level} page exists for service {service!r}: it has one for each {' and '.join(levels)}")
    told = made(session, target, query)
    return told if isinstance(told, list) else [told]


def _texts(session: Session, target: Target, _: dict[str, str]) -> list[bytes]:
    assert target.dictionary is not None
    assert target.feature is not None
    mine = {"dictionary": target.dictionary, "feature": target.feature}
    summary = _EXTENT.rows(session, **mine)
    if not summary:
        raise Missing(f"no texts of {target} are stored: materialise explorer/units for its layer or dictionary")
    least, most = summary[0]
    head = f'{{"min_range":{least!r},"max_range":{most!r},"min_activation":'
    told = [b'{"neuron_index":%b,"texts":[' % msgspec.json.encode(target.index(target.dictionary, target.feature))]
    for document, at, low, high, tokens, activations in _TEXTS.rows(session, **mine):
        told.append(
            f'{head}{low!r},"max_activation":{high!r},"data_index":{document},"max_activating_token_index":{at},'
            f'"tokens":{tokens},"activations":{activations}}}'.encode()
        )
        told.append(b",")
    told[-1 if len(told) > 1 else len(told) :] = [b"]}"]
    return told


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
    mine = {"dictionary": target.dictionary, "feature": target.feature}
    facts = _REASON.rows(session, **mine)
    if not facts:
        raise Missing(f"no graph of {target} was made: materialise neuron_graphs/graphs for its layer or dictionary")
    if facts[0][0] is not None:
        raise Missing(f"{target} has no graph: {facts[0][0]}")
    drawing: Drawing = drawn(trie_of_rows(_NODES.rows(session, **mine)))
    similar = [
        {**target.index(dictionary, feature), "similarity": similarity}
        for dictionary, feature, similarity in _SIMILAR.rows(session, **mine)
        if not target.of_neurons or dictionary.startswith(f"{target.model.model}/layers.")
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
    said = _SAID.rows(session, dictionary=target.dictionary, feature=target.feature)
    if not said:
        raise Missing(f"no explanation of {target} is stored: materialise neuron_graphs/scores or explanations")
    words, _, score = max(said, key=lambda row: (bool(row[1]), -2.0 if row[2] is None else row[2]))
    return msgspec.json.encode({"explanation": words, "score": score})


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


_PAGES: Final[dict[tuple[str, str], Callable[[Session, Target, dict[str, str]], bytes | list[bytes]]]] = {
    ("neuroscope", "model"): _important,
    ("neuroscope", "layer"): _important,
    ("neuroscope", "neuron"): _texts,
    ("neuron2graph", "neuron"): _graph,
    ("neuron2graph-search", "model"): _found,
    ("neuron_explainer", "neuron"): _explained,
}
