"""Neuron graphs: what units fire on, as tries that predict them; how well they do, and which units are alike.

A unit is a neuron or a feature: a layer of neurons is a dictionary, see `sparse_autoencoder`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Float, ForeignKeyConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import DEFERRED, Base, owned_by
from tracebank_schemas.sparse_autoencoder import DICTIONARY, of_feature


class NeuronGraph(Base):
    """The graph of one unit, or why it has none."""

    __tablename__ = "neuron_graphs"
    __table_args__ = (of_feature(),)

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary, or layer of neurons")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit in it")
    reason: Mapped[str | None] = mapped_column(Text, doc="why there is no graph; null where there is one")
    maximum: Mapped[float] = mapped_column(Float, doc="largest activation, which values are shares of")
    threshold: Mapped[float] = mapped_column(Float, doc="share of the maximum from which on the unit fires")
    windows: Mapped[int] = mapped_column(doc="texts that it was made from")
    truncated: Mapped[int] = mapped_column(doc="of those, cut to the model's context")
    nodes: Mapped[int] = mapped_column(doc="of the trie, its root not counted")
    behaviours: Mapped[int] = mapped_column(doc="parts of the drawing that hang together")
    tokens_forwarded: Mapped[int] = mapped_column(doc="that the model read for it, its share of what units share")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything that it was made with")


class GraphNode(Base):
    """A node of a graph's trie: from a token that the unit fires on leftwards through its context."""

    __tablename__ = "graph_nodes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["dictionary", "feature"],
            ["neuron_graphs.dictionary", "neuron_graphs.feature"],
            ondelete="CASCADE",
            **DEFERRED,
        ),
        Index(None, "token"),
        Index(None, "activating"),
    )

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary of the unit")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit")
    node: Mapped[int] = mapped_column(primary_key=True, doc="number, from 0, which is the root")
    parent: Mapped[int | None] = mapped_column(doc="node that it hangs on; null of the root")
    depth: Mapped[int] = mapped_column(doc="0 the root, 1 what the unit fires on, 2 the token before it, ...")
    kind: Mapped[str] = mapped_column(String(16), doc="root, token, any, gap, start, negative or end")
    token: Mapped[str | None] = mapped_column(Text, doc="normalised text; null where it is of no token")
    activating: Mapped[str | None] = mapped_column(Text, doc="token at depth 1 that its path begins with")
    importance: Mapped[float | None] = mapped_column(Float, doc="how much of the activation goes with the token")
    value: Mapped[float | None] = mapped_column(Float, doc="of ends: share of the maximum that is predicted")


class UnitSimilarity(Base):
    """Two units whose graphs have the same tokens, or of which one has the other's."""

    __tablename__ = "unit_similarities"
    __table_args__ = (of_feature(), of_feature("other", "other_feature"), Index(None, "other", "other_feature"))

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary of the unit")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit")
    other: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary of the other")
    other_feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the other")
    kind: Mapped[str] = mapped_column(String(8), primary_key=True, doc="similar; or subset: of the other's tokens")
    similarity: Mapped[float] = mapped_column(Float, doc="share of tokens that the two have in common")


class ExplanationComparison(Base):
    """How a method of explaining does over all units of a dictionary, or how much better it does than another."""

    __tablename__ = "explanation_comparisons"

    dictionary: Mapped[str] = mapped_column(String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary")
    method: Mapped[str] = mapped_column(String(32), primary_key=True, doc="as in feature_explanations")
    less: Mapped[str] = mapped_column(
        String(32), primary_key=True, doc="method that is taken off, unit by unit; empty: none"
    )
    stratum: Mapped[str] = mapped_column(String(16), primary_key=True, doc="as in feature_scores")
    metric: Mapped[str] = mapped_column(String(32), primary_key=True, doc="as in feature_scores")
    value: Mapped[float | None] = mapped_column(Float, doc="mean over units; null where none has a value")
    low: Mapped[float | None] = mapped_column(
        Float, doc="lower end of the 95 % interval over units; null of under five"
    )
    high: Mapped[float | None] = mapped_column(Float, doc="upper end")
    units: Mapped[int] = mapped_column(doc="that the mean is over, with those that have no graph")
    undefined: Mapped[int] = mapped_column(doc="left out: the unit fires nowhere in these texts")
