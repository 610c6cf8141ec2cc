"""Neuron graphs: what units fire on, as tries that predict them; how well they do, and which units are alike.

A unit is a neuron or a feature: a layer of neurons is a dictionary, see `sparse_autoencoder`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Float, ForeignKeyConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import DEFERRED, Base, TokenText, owned_by
from tracebank_schemas.sparse_autoencoder import DICTIONARY, of_feature


class NeuronGraph(Base):
    """The graph of one unit, or why it has none."""

    __tablename__ = "neuron_graphs"
    __table_args__ = (of_feature(),)

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary, or layer of neurons")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit in it")
    reason: Mapped[str | None] = mapped_column(Text, doc="why there is no graph; null where there is one")
    maximum: Mapped[float] = mapped_column(Float, doc="largest activation, which values are shares of")
    threshold: Mapped[float] = mapped_column(Float, doc="share of the maximum from which on the unit fires; 0: above 0")
    texts: Mapped[int] = mapped_column(doc="pruned texts that it was made from")
    variants: Mapped[int] = mapped_column(doc="texts with other words that were kept beside them")
    truncated: Mapped[bool] = mapped_column(doc="whether a text does not begin where its document does")
    nodes: Mapped[int] = mapped_column(doc="of the trie that predicts, ends not counted")
    ends: Mapped[int] = mapped_column(doc="nodes of it at which a value is predicted")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything that it was made with")


class GraphNode(Base):
    """A node of a graph: from a token that the unit fires on leftwards through its context."""

    __tablename__ = "graph_nodes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["dictionary", "feature"],
            ["neuron_graphs.dictionary", "neuron_graphs.feature"],
            ondelete="CASCADE",
            **DEFERRED,
        ),
        Index(None, "token"),
        Index(None, "fires_on"),
    )

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary of the unit")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit")
    trie: Mapped[str] = mapped_column(String(8), primary_key=True, doc="match, which predicts; or draw, without `any`")
    node: Mapped[int] = mapped_column(primary_key=True, doc="number, from 0, which is the root")
    parent: Mapped[int | None] = mapped_column(doc="node that it hangs on; null of the root")
    depth: Mapped[int] = mapped_column(doc="0 the root, 1 what the unit fires on, 2 the token before it, ...")
    kind: Mapped[str] = mapped_column(String(16), doc="root, token, any, gap, start, negative or end")
    token: Mapped[str] = mapped_column(TokenText, doc="normalised text; empty where it is of no token")
    fires_on: Mapped[str | None] = mapped_column(TokenText, doc="token at depth 1 of its path; null of the root")
    importance: Mapped[float] = mapped_column(Float, doc="share of the activation that goes where the token is masked")
    value: Mapped[float] = mapped_column(Float, doc="of ends: share of the maximum that is predicted")
    reach: Mapped[int | None] = mapped_column(doc="of gaps and negatives: tokens back to the left, at most")


class UnitSimilarity(Base):
    """Two units whose graphs have the same tokens, or of which one has the other's."""

    __tablename__ = "unit_similarities"
    __table_args__ = (
        of_feature(),
        of_feature("other_dictionary", "other_feature"),
        Index(None, "other_dictionary", "other_feature"),
    )

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="of the unit; of two the one with more")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit")
    other_dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary of the other")
    other_feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the other")
    relation: Mapped[str] = mapped_column(String(8), doc="similar; or subset: the other's tokens are among the unit's")
    fires_on_shared: Mapped[int] = mapped_column(doc="tokens that both fire on")
    after_shared: Mapped[int] = mapped_column(doc="tokens that both need before")
    similarity: Mapped[float] = mapped_column(Float, doc="least share of the larger sets that is shared")


class ExplanationComparison(Base):
    """How a method of explaining does over all units of a dictionary, or how much better it does than another."""

    __tablename__ = "explanation_comparisons"

    dictionary: Mapped[str] = mapped_column(String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary")
    stratum: Mapped[str] = mapped_column(String(16), primary_key=True, doc="as in feature_scores")
    method: Mapped[str] = mapped_column(String(32), primary_key=True, doc="as in feature_explanations, or shuffled")
    less: Mapped[str] = mapped_column(
        String(32), primary_key=True, doc="method that is taken off, unit by unit; empty: none"
    )
    metric: Mapped[str] = mapped_column(String(32), primary_key=True, doc="as in feature_scores")
    value: Mapped[float | None] = mapped_column(Float, doc="mean over units; null where none has a value")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of the 95 % interval over units")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end; both null of less than two units")
    units: Mapped[int] = mapped_column(doc="that the mean is over; those without a graph score 0 where they fire")
    undefined: Mapped[int] = mapped_column(doc="that are left out: they fire nowhere in these texts")
