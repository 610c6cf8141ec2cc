"""A store of many units, each with a graph, explanations and texts as long as Neuroscope's (1,024 tokens each)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import insert, text

from tracebank.progress import track
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, upgrade
from tracebank.stores.relational import RelationalStore
from tracebank_schemas.explorer import UnitSummary
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.neuron_graphs import GraphNode, NeuronGraph
from tracebank_schemas.sparse_autoencoder import Feature, FeatureExplanation, FeatureScore, SparseAutoencoder

MODEL: Final = "bench"
LAYERS: Final = 10
TEXTS: Final = 20
_POOL: Final = 400
"""Texts and activations that rows are put together from."""
_BATCH: Final = 50
"""Units of one transaction."""
_NODES: Final = 25
"""Of a graph: the median of the demo's."""
_WORDS: Final = ("sun", "moon", "tree", "from", "import", "river", "stone", "was", "print", "the")
_ENDINGS: Final = ("", "s", "ing", "ed", "er", "\N{OWL}", "'", '"', "\n", "<b>")
_VOCABULARY: Final = [f" {word}{ending}" for word in _WORDS for ending in _ENDINGS]


def fill(settings: Settings, units: int, tokens: int, seed: int = 0) -> None:
    """Make the store, where it is not there yet.

    Args:
        settings: of a home of its own.
        units: of all ten layers together.
        tokens: of each of a unit's twenty texts.
        seed: of everything that is drawn.
    """
    upgrade(settings)
    relational = open_relational(settings)
    random = np.random.default_rng(seed)
    each = units // LAYERS
    try:
        with relational.session() as session:
            if session.get(LanguageModel, MODEL) is not None:
                return
            session.execute(insert(LanguageModel), [_model(each)])
            session.execute(insert(SparseAutoencoder), [_layer(layer, each) for layer in range(LAYERS)])
        texts = _Texts(random, tokens)
        with track("units", LAYERS * each) as advance:
            for layer in range(LAYERS):
                for first in range(0, each, _BATCH):
                    numbers = range(first, min(first + _BATCH, each))
                    _write(relational, f"{MODEL}/layers.{layer}.neurons", numbers, texts, random)
                    advance(len(numbers))
    finally:
        relational.close()


class _Texts:
    """Columns of `unit_texts` as JSON, in pools; a row takes one of each."""

    def __init__(self, random: np.random.Generator, tokens: int) -> None:
        words = np.array(_VOCABULARY)
        values = np.maximum(random.normal(size=(_POOL, tokens)), 0.0)
        self.rows = []
        for row in values:
            activations = [float(f"{value:.4g}") for value in row]
            self.rows.append(
                {
                    "tokens": json.dumps(random.choice(words, tokens).tolist()),
                    "activations": json.dumps(activations),
                    "max_token": int(row.argmax()),
                    "min_activation": 0.0,
                    "max_activation": max(activations),
                }
            )


def _write(relational: RelationalStore, name: str, numbers: range, texts: _Texts, random: np.random.Generator) -> None:
    units = [{"dictionary": name, "feature": number} for number in numbers]
    facts = {"tokens": 100_000, "fired": 100, "density": 0.001, "mean_activation": 1.0, "max_activation": 4.0}
    lists = {"top_tokens": [" sun"], "raised_tokens": [" moon"], "lowered_tokens": [" tree"]}
    summary = {"tokens": 100_000, "min_activation": 0.0, "max_activation": 4.0, "histogram": [2] * 50}
    chosen = random.integers(0, _POOL, (len(units), TEXTS))
    rows = [
        {**unit, "rank": rank, "document": int(at), **texts.rows[at]}
        for unit, places in zip(units, chosen, strict=True)
        for rank, at in enumerate(places, 1)
    ]
    with relational.session() as session:
        session.execute(insert(Feature), [unit | facts | lists for unit in units])
        session.execute(insert(UnitSummary), [unit | summary for unit in units])
        session.execute(insert(NeuronGraph), [unit | _GRAPH for unit in units])
        session.execute(insert(GraphNode), [row for unit in units for row in _nodes(unit, random)])
        said = [{**unit, **_SAID, "explanation": f"{unit['dictionary']}/{unit['feature']}"} for unit in units]
        session.execute(insert(FeatureExplanation), said)
        scores = ({"explanation": row["explanation"], **_SCORE, "metric": name} for row in said for name in _METRICS)
        session.execute(insert(FeatureScore), [row | {"value": random.random()} for row in scores])
        session.execute(_TEXT, rows)


def _nodes(unit: dict[str, Any], random: np.random.Generator) -> Iterator[dict[str, Any]]:
    """A root, and tokens that each come after two others."""
    plain = {**unit, "trie": "draw", "importance": 0.5, "value": 0.5, "reach": None}
    yield plain | {"node": 0, "parent": None, "depth": 0, "kind": "root", "token": "", "fires_on": None}
    heads = random.choice(len(_VOCABULARY), _NODES // 3, replace=False)
    for at, head in enumerate(heads):
        fires_on = _VOCABULARY[head].strip()
        for depth in range(3):
            node = 1 + 3 * at + depth
            token = fires_on if not depth else _VOCABULARY[random.integers(len(_VOCABULARY))].strip()
            place = {"node": node, "parent": node - 1 if depth else 0, "depth": depth + 1}
            yield plain | place | {"kind": "token", "token": token, "fires_on": fires_on}


def _model(each: int) -> dict[str, Any]:
    counts = dict.fromkeys(("hidden_size", "attention_heads", "vocabulary_size", "parameters"), 1)
    names = dict.fromkeys(("revision", "dtype", "tokenizer_hash", "weights_hash", "path"), "")
    facts = {"model": MODEL, "method": "loaded", "source": "", "architecture": "", "layers": LAYERS, "mlp_size": each}
    return {**counts, **names, **facts, "catalogued_at": datetime.now(UTC)}


def _layer(layer: int, each: int) -> dict[str, Any]:
    counts = {"seed": 0, "init_seed": 0, "tokens": 0, "steps": 0, "d_in": each, "d_sae": each, "layer": layer}
    name = f"{MODEL}/layers.{layer}.neurons"
    kinds = {"study": name, "side": "base", "site": f"layers.{layer}.neurons", "size": "neurons"}
    return {
        **counts, **kinds, "dictionary": name, "model": MODEL, "model_hash": "", "architecture": "neurons",
        "config": {}, "weights_hash": None, "path": "", "trained_at": datetime.now(UTC),
    }  # fmt: skip


_GRAPH: Final[dict[str, Any]] = {
    "reason": None, "maximum": 4.0, "threshold": 0.5, "texts": 20, "variants": 0, "truncated": False, "nodes": _NODES,
    "ends": 8, "settings": {"graph": {"normalize_tokens": True}},
}  # fmt: skip
_SAID: Final[dict[str, Any]] = {
    "method": "neuron_graph", "explainer": "", "text": "fires on words", "prompt": "", "answer": "",
    "prompt_hash": "", "explained_at": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip
_SCORE: Final[dict[str, Any]] = {"stratum": "all", "threshold": 0.0, "tokens": 1000}
_METRICS: Final = ("f1", "correlation")
_COLUMNS: Final = (
    "dictionary, feature, stratum, quantile, rank, document, first_position, max_token, min_activation,"
    " max_activation, tokens, activations"
)
_TEXT: Final = text(
    f"INSERT INTO unit_texts ({_COLUMNS}) VALUES (:dictionary, :feature, 'top', 0, :rank, :document, 0, :max_token,"
    " :min_activation, :max_activation, :tokens, :activations)"
)
