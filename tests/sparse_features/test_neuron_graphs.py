"""Group `neuron_graphs`: graphs of neurons and features as rows, which are scored, searched and shown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import func, select
from tests.sparse_features.conftest import Home

from tracebank.resources import Stores
from tracebank_assets.neuron_graphs.catalogue import stored_graphs
from tracebank_assets.neuron_graphs.graphs import graphs
from tracebank_assets.neuron_graphs.launches import make_graphs
from tracebank_assets.neuron_graphs.scores import scores
from tracebank_assets.neuron_graphs.shown import exported_graph, found_units, scores_table, unit_grids
from tracebank_assets.neuron_graphs.similarities import similarities
from tracebank_assets.neuron_graphs.units import UNITS, all_layers, units_of
from tracebank_models.neuron_graphs.build import BuiltGraph
from tracebank_models.neuron_graphs.graph import NeuronGraph as Graph
from tracebank_models.neuron_graphs.trie import Path, Step
from tracebank_models.neuron_graphs.unit_study import built_nodes
from tracebank_schemas.neuron_graphs import ExplanationComparison, GraphNode, NeuronGraph, UnitSimilarity
from tracebank_schemas.sparse_autoencoder import Feature, FeatureExplanation, FeatureScore, SparseAutoencoder

LAYER = "small/layers.1.neurons"
CONFIG: dict[str, Any] = {"units": 6, "substitutes": 0, "per_fifth": 1}


@dataclasses.dataclass(frozen=True)
class Made:
    """A home, and what materialising in it does."""

    home: Home
    instance: dg.DagsterInstance

    def make(self, asset: Any, name: str | None = LAYER, **config: Any) -> dg.ExecuteInProcessResult:
        if name:
            self.instance.add_dynamic_partitions(str(UNITS.name), [name])
        return dg.materialize(
            [asset],
            partition_key=name,
            instance=self.instance,
            resources={"stores": Stores()},
            run_config={"ops": {asset.key.to_python_identifier(): {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def count(self, table: Any, *where: Any) -> int:
        with self.home.relational.reading() as session:
            return int(session.scalar(select(func.count()).select_from(table).where(*where)) or 0)

    def content(self, table: Any) -> list[tuple[str, ...]]:
        names = [column.name for column in table.__table__.columns if column.name not in ("trained_at", "explained_at")]
        with self.home.relational.reading() as session:
            return sorted(tuple(str(getattr(row, name)) for name in names) for row in session.scalars(select(table)))


@pytest.fixture
def made(home: Home) -> Iterator[Made]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Made(home, instance)


def _fault(result: dg.ExecuteInProcessResult) -> str:
    data = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert data.error is not None
    return str(data.error.cause.message if data.error.cause else data.error.message)


def test_a_layer_of_neurons_has_graphs_scores_and_answers(made: Made) -> None:
    result = made.make(graphs, **CONFIG)
    assert {one.check_name: one.passed for one in result.get_asset_check_evaluations()}["equal_to_the_slow_loop"]
    checks = {one.check_name: one.passed for one in made.make(scores).get_asset_check_evaluations()}
    assert checks["no_document_in_both"]
    assert made.count(NeuronGraph, NeuronGraph.dictionary == LAYER) == 6
    assert made.count(Feature, Feature.dictionary == LAYER) == 64, "every neuron of the layer is a unit"
    with made.home.relational.reading() as session:
        row = session.get_one(SparseAutoencoder, LAYER)
        assert (row.architecture, row.d_sae, row.site) == ("neurons", 64, "layers.1.neurons")
        methods = set(session.scalars(select(FeatureExplanation.method)))
        thresholds = set(session.scalars(select(FeatureScore.threshold)))
    assert methods == {"neuron_graph", "token_maximum", "ngram_5"}
    assert thresholds == {0.5}
    assert made.count(FeatureScore, FeatureScore.stratum == "all", FeatureScore.metric == "f1") == 3 * 6
    for other in ("shuffled", "top_tokens"):
        less = ExplanationComparison.less == other
        assert made.count(ExplanationComparison, less, ExplanationComparison.stratum == "all") == 1

    before = [made.content(table) for table in (NeuronGraph, GraphNode, FeatureScore, FeatureExplanation)]
    assert made.make(graphs, **CONFIG).success
    assert made.make(scores).success
    assert [made.content(table) for table in (NeuronGraph, GraphNode, FeatureScore, FeatureExplanation)] == before

    assert made.make(similarities, None, threshold=0.01).success
    assert made.count(UnitSimilarity) > 0
    relational = made.home.relational
    with relational.reading() as session:
        node = session.scalars(select(GraphNode).where(GraphNode.depth == 1, GraphNode.kind == "token")).first()
        assert node is not None
        unit, feature, token = f"{node.dictionary}/{node.feature}", node.feature, json.dumps(node.token)
    found = found_units(relational, token)
    assert feature in found["feature"].to_list()
    assert found_units(relational, token, within="large").is_empty()
    assert scores_table(relational, [LAYER]).rows == 1
    assert exported_graph(relational, unit, "dot").startswith("digraph")
    grids = unit_grids(made.home.settings, relational, unit, "the lamp is great. the lamp is poor.")
    assert grids[0].rows == 3
    assert grids[1].rows > 5
    assert unit_grids(made.home.settings, relational, unit, None)[1].rows > 5


def test_what_stands_is_not_made_again(made: Made) -> None:
    settings = made.home.settings
    assert make_graphs(settings, made.instance, {LAYER: CONFIG}) == {LAYER: ["graphs", "scores"]}
    assert make_graphs(settings, made.instance, {LAYER: CONFIG}) == {LAYER: []}
    other = CONFIG | {"units": 3}
    assert make_graphs(settings, made.instance, {LAYER: other}) == {LAYER: ["graphs", "scores"]}
    assert made.count(NeuronGraph) == 3


def test_what_is_not_there_or_cannot_be_shown_is_one_line(made: Made) -> None:
    for name, message in (
        ("small/layers.7.neurons", "layers of 'small' are 0 to 1"),
        ("unknown/layers.0.neurons", "model 'unknown' is not in relational.language_models"),
        ("nothing", "MODEL/layers.N.neurons, or a dictionary of relational.sparse_autoencoders"),
        ("small-ppo-seed0/tuned-layers.0.mlp-small-tied_relu-0", "has no features; materialise sparse_features"),
    ):
        assert message in _fault(made.make(graphs, name, **CONFIG))
    assert made.count(NeuronGraph) == 0
    relational, settings = made.home.relational, made.home.settings
    for unit, text, message in (
        ("small", None, "unit: 'small' is not allowed"),
        (f"{LAYER}/0", "x" * 100_001, "--text: 100,001 characters are not allowed; allowed: 1 to 100,000"),
        (f"{LAYER}/0", "", "--text: 0 characters are not allowed"),
    ):
        with pytest.raises(ValueError, match=message):
            unit_grids(settings, relational, unit, text)
    assert all_layers(relational, "small/neurons") == ["small/layers.0.neurons", "small/layers.1.neurons"]
    assert units_of(relational, LAYER).layer == 1


def test_a_token_with_nul_and_an_emoji_is_stored_run_and_found(made: Made) -> None:
    # So many nodes that the only one with a reach comes late, as its column's kind must be known before.
    others = [Path([Step("token", f"t{number}", 1.0, 1.0)], 1.0) for number in range(120)]
    far = Path([Step("token", "zz", 1.0, 1.0), Step("gap", "zy", 1.0, 1.0, 3)], 1.0)
    graph = Graph.of_paths([Path([Step("token", "\0\N{OWL}", 1.0, 1.0)], 1.0), *others, far])
    nodes = built_nodes([BuiltGraph(3, graph, None, 1, 0, False)], LAYER)
    row = {"reason": None, "maximum": 1.0, "threshold": 0.5, "texts": 1, "variants": 0, "truncated": False}
    settings = {"graph": {"normalize_tokens": True}}
    whole = {"dictionary": LAYER, "feature": 3, "nodes": 1, "ends": 1, "settings": settings, **row}
    relational = made.home.relational
    assert made.make(graphs, **CONFIG).success
    with relational.session() as session:
        relational.replace(session, NeuronGraph, NeuronGraph.dictionary == LAYER, [whole])
        relational.replace(session, GraphNode, GraphNode.dictionary == LAYER, nodes.to_dicts())
    assert found_units(relational, "\0\N{OWL}")["feature"].to_list() == [3]
    stored = stored_graphs(relational, LAYER)[0][3]
    assert stored is not None
    assert stored.predict(["a", "\0\N{OWL}"]) == [0.0, 1.0]
    assert stored.predict(["zy", "a", "zz"]) == [0.0, 0.0, 1.0]
