"""Graphs of units as the relational store has them: to be run, searched, compared and shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import polars as pl
from sqlalchemy import ColumnElement, select

from tracebank.stores.relational import RelationalStore
from tracebank_schemas.neuron_graphs import GraphNode, NeuronGraph
from tracebank_schemas.sparse_autoencoder import Feature, FeatureToken

if TYPE_CHECKING:
    from tracebank_models.neuron_graphs.graph import NeuronGraph as Graph
    from tracebank_models.neuron_graphs.unit_study import UnitStudy

_SETTINGS: Final = ("graph", "train", "test")
_NODE: Final = ("feature", "trie", "node", "parent", "depth", "kind", "token", "importance", "value", "reach")


def stored_graphs(
    relational: RelationalStore, name: str, units: Sequence[int] | None = None
) -> "tuple[dict[int, Graph | None], dict[int, str | None]]":
    """Graphs of a dictionary's units, and why others have none, by number.

    Args:
        relational: the catalogue.
        name: of the dictionary, or layer of neurons.
        units: those wanted; None for all.

    Raises:
        dg.Failure: none of them was made.
    """
    from tracebank_models.neuron_graphs.graph import NODE_COLUMNS
    from tracebank_models.neuron_graphs.graph import NeuronGraph as Graph

    rows = _rows(relational, NeuronGraph, ("feature", "reason", "settings"), name, units)
    if not rows:
        raise dg.Failure(f"{name!r} has no graphs; materialise neuron_graphs/graphs first")
    schema = {"feature": pl.Int32(), **NODE_COLUMNS}
    stored = [schema[column] for column in _NODE]
    nodes = pl.DataFrame(
        _rows(relational, GraphNode, _NODE, name, units), schema=list(zip(_NODE, stored, strict=True)), orient="row"
    )
    nodes = nodes.with_columns(pl.col("token").str.replace_all("\u2400", "\0", literal=True))
    by_unit = nodes.select(list(schema)).partition_by("feature", as_dict=True, include_key=False)
    graphs: dict[int, Graph | None] = {}
    for unit, _, settings in sorted(rows, key=lambda row: row[0]):
        frame = by_unit.get((unit,))
        written = settings["graph"]["normalize_tokens"]
        graphs[unit] = None if frame is None else Graph.of_nodes(frame, normalize_tokens=written)
    return graphs, {unit: reason for unit, reason, _ in rows}


def match_nodes(relational: RelationalStore, name: str) -> tuple[pl.DataFrame, bool]:
    """Nodes of the tries that predict, of a dictionary's units, and whether tokens are normalised in them.

    Args:
        relational: the catalogue.
        name: of the dictionary, or layer of neurons.

    Returns:
        Columns of `many_graphs.NODES`; none where no graph was made.
    """
    from tracebank_models.neuron_graphs.graph import NODE_COLUMNS
    from tracebank_models.neuron_graphs.many_graphs import NODES

    schema = {column: NODE_COLUMNS.get(column, pl.Int32()) for column in NODES}
    mine = (GraphNode.dictionary == name) & (GraphNode.trie == "match")
    query = select(*(getattr(GraphNode, column) for column in NODES)).where(mine)
    with relational.reading() as session:
        nodes = pl.DataFrame(map(tuple, session.execute(query)), schema=schema, orient="row")
        settings = session.scalar(select(NeuronGraph.settings).where(NeuronGraph.dictionary == name).limit(1))
    nodes = nodes.with_columns(pl.col("token").str.replace_all("\u2400", "\0", literal=True))
    return nodes, bool(settings["graph"]["normalize_tokens"]) if settings else True


def stored_study(relational: RelationalStore, name: str) -> "UnitStudy":
    """How the graphs of a dictionary's units were made.

    Raises:
        dg.Failure: none was made.
    """
    from tracebank_models.neuron_graphs.unit_study import UnitStudy

    rows = _rows(relational, NeuronGraph, ("settings",), name, None)
    if not rows:
        raise dg.Failure(f"{name!r} has no graphs; materialise neuron_graphs/graphs first")
    return UnitStudy.from_dict(rows[0][0])


def require_features(relational: RelationalStore, name: str, maker: str = "sparse_features/features") -> None:
    """Refuse a dictionary whose features are no rows yet.

    Args:
        relational: the catalogue.
        name: of the dictionary, or layer of neurons.
        maker: asset that makes them.

    Raises:
        dg.Failure: there is none.
    """
    with relational.reading() as session:
        if session.scalar(select(Feature.feature).where(Feature.dictionary == name).limit(1)) is None:
            raise dg.Failure(f"{name!r} has no features; materialise {maker} first")


def explaining_tokens(relational: RelationalStore, name: str) -> pl.DataFrame:
    """Tokens that units of a dictionary fire on more often than on others: feature and token_id."""
    from tracebank_models.features.executable_explanations import SMALLEST_LIFT

    mine = (FeatureToken.dictionary == name) & (FeatureToken.role == "fires_on") & (FeatureToken.lift >= SMALLEST_LIFT)
    with relational.reading() as session:
        rows = session.execute(select(FeatureToken.feature, FeatureToken.token_id).where(mine))
        return pl.DataFrame(map(tuple, rows), schema={"feature": pl.Int32, "token_id": pl.Int32}, orient="row")


def all_nodes(relational: RelationalStore) -> pl.DataFrame:
    """Nodes of the tries that are drawn, of all units: dictionary, feature, trie, node, parent, ...."""
    columns = ("dictionary", "feature", "trie", "node", "parent", "depth", "kind", "token")
    query = select(*(getattr(GraphNode, column) for column in columns)).where(GraphNode.trie == "draw")
    types = {name: pl.String if name in ("dictionary", "trie", "kind", "token") else pl.Int64 for name in columns}
    with relational.reading() as session:
        return pl.DataFrame(map(tuple, session.execute(query)), schema=types, orient="row")


def _rows(
    relational: RelationalStore, table: Any, columns: Sequence[str], name: str, units: Sequence[int] | None
) -> list[tuple[Any, ...]]:
    mine: ColumnElement[bool] = table.dictionary == name
    if units is not None:
        mine &= table.feature.in_(list(units))
    with relational.reading() as session:
        return list(map(tuple, session.execute(select(*(getattr(table, column) for column in columns)).where(mine))))
