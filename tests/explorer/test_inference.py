"""What units do on a text of a user: the numbers of model and graphs, and what is said where either lacks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import select, update
from tests.sparse_features.conftest import Home, home, models  # noqa: F401

from tracebank_assets.explorer import inference
from tracebank_assets.explorer.inference import activations
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.neuron_graphs.catalogue import stored_graphs
from tracebank_assets.neuron_graphs.units import units_of
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.neuron_graphs.build import BuiltGraph
from tracebank_models.neuron_graphs.graph import NeuronGraph as Graph
from tracebank_models.neuron_graphs.text_activations import pieces_of
from tracebank_models.neuron_graphs.token_normalization import normalized_token
from tracebank_models.neuron_graphs.trie import Path as TriePath
from tracebank_models.neuron_graphs.trie import Step
from tracebank_models.neuron_graphs.unit_study import UnitsOfModel, built_nodes
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.neuron_graphs import GraphNode, NeuronGraph
from tracebank_schemas.sparse_autoencoder import Feature, SparseAutoencoder

LAYER = "small/layers.1.neurons"
DICTIONARY = "small-ppo-seed0/base-layers.0.mlp-small-tied_relu-0"
TEXT = "Review of a lamp. The lamp is great, and I like the lamp \N{OWL}."
CONTEXT = 128


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(inference, "_kept", None)


@pytest.fixture
def drawn(home: Home) -> Home:  # noqa: F811
    """A home with graphs of some units of a layer, and features of a dictionary that has no graphs."""
    units = units_of(home.relational, LAYER)
    with home.relational.session() as session:
        home.relational.upsert(session, SparseAutoencoder, [units.as_dictionary()])
        home.relational.upsert(session, Feature, [*_features(LAYER, 64), *_features(DICTIONARY, 16)])
    _draw(home, 6)
    return home


def _features(dictionary: str, count: int) -> Iterator[dict[str, Any]]:
    empty: dict[str, Any] = {"top_tokens": [], "raised_tokens": [], "lowered_tokens": []}
    for one in range(count):  # the first has never fired
        numbers = {"tokens": 9, "fired": 3, "density": 0.3, "mean_activation": 0.1, "max_activation": 0.1 * (one % 7)}
        yield {"dictionary": dictionary, "feature": one, **numbers, **empty}


def _draw(home: Home, count: int) -> None:  # noqa: F811
    """Graphs of the first units, as the asset would leave them."""
    tokens, chance = ("the", ".", " l", "lamp", "is", " a", "and", "i"), np.random.default_rng(count)
    built = []
    for unit in range(count):
        steps = [Step("token", normalized_token(tokens[(unit + at) % 8]), 1.0, 1.0) for at in range(4)]
        paths = [TriePath([one], float(chance.random())) for one in steps]
        built.append(BuiltGraph(unit, Graph.of_paths(paths), None, 1, 0, False))
    settings: dict[str, Any] = {"graph": {"normalize_tokens": True}}
    row = {"reason": None, "maximum": 1.0, "threshold": 0.5, "texts": 1, "variants": 0, "truncated": False}
    row |= {"dictionary": LAYER, "nodes": 4, "ends": 4, "settings": settings}
    now = datetime.now(UTC)
    entry = Materialization(run_id=f"run {count}", asset_key="neuron_graphs/graphs", partition=LAYER, code_version="")
    told = {"data_version": "", "input_versions": {}, "rows": count, "bytes": 0, "seconds": 0.0, "peak_memory": 0}
    told |= {"device": "cpu", "started_at": now, "finished_at": now, "content": "", "parts": []}
    with home.relational.session() as session:
        mine = NeuronGraph.dictionary == LAYER
        home.relational.replace(session, NeuronGraph, mine, [{**row, "feature": unit} for unit in range(count)])
        nodes = built_nodes(built, LAYER).to_dicts()
        home.relational.replace(session, GraphNode, GraphNode.dictionary == LAYER, nodes)
        home.relational.upsert(session, Materialization, [{**entry.row(), **told}])


def _dense(home: Home, name: str, text: str) -> tuple[list[str], np.ndarray[Any, Any]]:  # noqa: F811
    """Tokens of a text that fits the context, and what every unit of a dictionary does there."""
    units = units_of(home.relational, name)
    loaded = load_catalogued(home.relational, "small", torch.device("cpu"))
    corpus = TokenCorpus.from_texts([text], loaded.tokenizer, max_tokens=CONTEXT)
    read = UnitsOfModel(loaded.model, loaded.tokenizer, units.site, units.coder(), corpus)
    (batch,) = read.batches()
    with torch.no_grad():
        codes = read.coder.encode(next(iter(batch.activations.values()))).numpy()
    return [loaded.tokenizer.decode([one]) for one in corpus.token_ids.tolist()], codes


def _maxima(home: Home, name: str) -> np.ndarray[Any, Any]:  # noqa: F811
    query = select(Feature.max_activation).where(Feature.dictionary == name).order_by(Feature.feature)
    with home.relational.reading() as session:
        return np.array(session.scalars(query).all())


def test_values_are_those_of_the_model_and_of_the_graphs(drawn: Home) -> None:
    found = activations(drawn.settings, "small", TEXT, [LAYER, DICTIONARY], 3)
    assert found["dictionaries"] == [LAYER, DICTIONARY]
    assert found["notice"] == ""
    tokens, _ = _dense(drawn, LAYER, TEXT)
    assert [one["token"] for one in found["tokens"]] == tokens
    dense, share = {}, {}
    for name in (LAYER, DICTIONARY):
        dense[name], maxima = _dense(drawn, name, TEXT)[1], _maxima(drawn, name)
        share[name] = np.divide(dense[name], maxima, out=np.zeros_like(dense[name]), where=maxima > 0)
    known, _ = stored_graphs(drawn.relational, LAYER)
    said = {unit: graph.predict(tokens) for unit, graph in known.items() if graph is not None}
    assert said, "no graph to compare with"
    for at, token in enumerate(found["tokens"]):
        largest = np.sort(np.concatenate([share[LAYER][at], share[DICTIONARY][at]]))[::-1][:3]
        assert [one["share"] for one in token["true"]] == pytest.approx([x for x in largest if x > 0], rel=1e-3)
        strongest = sorted((values[at] for values in said.values() if values[at] > 0), reverse=True)[:3]
        assert [one["predicted"] for one in token["predicted"]] == pytest.approx(strongest, rel=1e-3)
        for one in (*token["true"], *token["predicted"]):
            name, unit = one["dictionary"], one["feature"]
            assert one["activation"] == pytest.approx(dense[name][at, unit], rel=1e-3, abs=1e-6)
            assert one["share"] == pytest.approx(share[name][at, unit], rel=1e-3, abs=1e-6)
            expected = said[unit][at] if name == LAYER and unit in said else None
            assert one["predicted"] == (expected if expected is None else pytest.approx(expected, rel=1e-3))
    whole = np.concatenate([share[LAYER].max(0), share[DICTIONARY].max(0)])
    assert [one["share"] for one in found["units"]] == pytest.approx(np.sort(whole)[::-1][:20], rel=1e-3)
    for one in found["units"]:
        column = share[one["dictionary"]][:, one["feature"]]
        assert one["token"] == tokens[one["position"]]
        assert column[one["position"]] == pytest.approx(column.max(), rel=1e-5)
        if one["dictionary"] == LAYER and one["feature"] in said:
            assert one["predicted"] == pytest.approx(max(said[one["feature"]]), rel=1e-3)
    json.dumps(found)
    assert activations(drawn.settings, "small", TEXT, [LAYER, DICTIONARY], 3) == found, "what is kept says the same"
    assert activations(drawn.settings, "small", TEXT)["dictionaries"] == [LAYER], "those with graphs"


def test_a_text_longer_than_the_context_is_read_in_pieces(drawn: Home) -> None:
    text = TEXT * 30
    found = activations(drawn.settings, "small", text, [LAYER], 2)
    tokens, dense = _dense(drawn, LAYER, text)
    assert len(found["tokens"]) > 3 * CONTEXT
    assert [one["token"] for one in found["tokens"][:CONTEXT]] == tokens
    for at, token in enumerate(found["tokens"][:CONTEXT]):
        for one in token["true"]:
            assert one["activation"] == pytest.approx(dense[at, one["feature"]], rel=1e-3, abs=1e-5)
    assert all(one["true"] for one in found["tokens"])
    ids = np.arange(301, dtype=np.int32)
    for context in (2, 3, 7, 128, 300, 301, 400, None):
        pieces = pieces_of(ids, "", context)
        lengths = np.diff(pieces.starts)
        assert lengths.max() == min(context or 301, 301)
        first = pieces.token_ids[pieces.starts[:-1]]
        assert np.array_equal(first, pieces.document_ids)
        assert set(pieces.token_ids.tolist()) == set(range(301))
        assert (np.diff(first) == max(1, lengths.max() // 2)).all()
        assert first[-1] + lengths[-1] == 301
        assert len(first) == 1 or first[-2] + lengths[-2] < 301, "no piece without a token of its own"


def test_graphs_that_were_made_again_are_read_again(drawn: Home) -> None:
    before = activations(drawn.settings, "small", TEXT)
    _draw(drawn, 2)
    after = activations(drawn.settings, "small", TEXT)
    named = [{one["feature"] for token in found["tokens"] for one in token["predicted"]} for found in (before, after)]
    assert named[0] != named[1]
    assert len(named[1]) <= 2


def _moved(home: Home, folder: Path) -> None:  # noqa: F811
    with home.relational.session() as session:
        session.execute(update(LanguageModel).where(LanguageModel.model == "small").values(path=str(folder)))


def test_where_files_are_gone_graphs_alone_answer_and_a_line_says_so(drawn: Home, tmp_path: Path) -> None:
    whole = activations(drawn.settings, "small", TEXT)
    _moved(drawn, tmp_path / "gone")
    found = activations(drawn.settings, "small", TEXT)
    assert found["notice"] == "The model's files are gone: what is shown is what graphs predict."
    assert [one["token"] for one in found["tokens"]] == [one["token"] for one in whole["tokens"]]
    for token, before in zip(found["tokens"], whole["tokens"], strict=True):
        assert token["true"] == []
        stripped = [{**one, "activation": None, "share": None} for one in before["predicted"]]
        assert token["predicted"] == stripped
    assert found["units"]
    assert all(one["share"] is None and one["predicted"] > 0 for one in found["units"])
    with drawn.relational.session() as session:
        session.execute(update(LanguageModel).values(path=str(tmp_path / "gone")))
    with pytest.raises(ValueError, match="the files of 'small' are gone, its tokenizer too; materialise") as caught:
        activations(drawn.settings, "small", TEXT)
    assert str(tmp_path) not in str(caught.value), "no path goes to a page"


def test_where_a_dictionary_is_gone_graphs_alone_answer(drawn: Home) -> None:
    shutil.rmtree(Path(units_of(drawn.relational, DICTIONARY).row.path))  # type: ignore[union-attr]
    found = activations(drawn.settings, "small", TEXT, [LAYER, DICTIONARY])
    assert found["notice"] == f"The files of {DICTIONARY} are gone: what is shown is what graphs predict."
    assert any(one["predicted"] for one in found["tokens"])


def test_what_cannot_be_told_is_one_line(drawn: Home) -> None:
    for asked, message in (
        (("small", ""), "text: 0 characters are not allowed; allowed: 1 to 100,000"),
        (("small", "x" * 100_001), "text: 100,001 characters are not allowed; allowed: 1 to 100,000"),
        (("small", "@ " * 4_000), r"text: [48],0\d\d tokens are not allowed; allowed: 1 to 4,096"),
        (("small", "\ud800"), "surrogate"),
        (
            ("small", TEXT, ["x'; DROP TABLE features; --"]),
            r"dictionaries: .* is not allowed; allowed: small-ppo-seed0",
        ),
        (("small", TEXT, None, 0), "top: 0 is not allowed; allowed: 1 to 50"),
        (("nothing", TEXT), "model: 'nothing' has no units with features; allowed: small, small-dpo-seed0"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            activations(drawn.settings, *asked)
        assert "\n" not in str(caught.value)
