"""A small store for pages and API: two models of 2 layers x 6 neurons, a dictionary, and texts that are hostile.

`tiny` has both layers of neurons; of `org/tuned`, which was tuned from it, only layer 0 was made, and `CODES`. Unit 5
of each never fires: it has no graph (its reason is stored), no texts, and a summary of noughts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.orm import Session
from tests.filled import filled

from tracebank.stores.relational import RelationalStore
from tracebank_models.neuron_graphs.graph import NeuronGraph as Graph
from tracebank_models.neuron_graphs.trie import START, Path, Step
from tracebank_schemas.explorer import UnitSummary, UnitText
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.neuron_graphs import ExplanationComparison, GraphNode, NeuronGraph, UnitSimilarity
from tracebank_schemas.reward_probe import Probe, ProbeWeight
from tracebank_schemas.sparse_autoencoder import (
    Feature,
    FeatureExplanation,
    FeatureScore,
    FeatureToken,
    SparseAutoencoder,
)

MODELS: Final = ("org/tuned", "tiny")
TINY_0, TINY_1, TUNED_0 = "tiny/layers.0.neurons", "tiny/layers.1.neurons", "org/tuned/layers.0.neurons"
CODES: Final = "study-seed0/tuned-layers.1.mlp-small-relu-0"
DICTIONARIES: Final = (TINY_0, TINY_1, TUNED_0, CODES)
UNITS: Final = 6
SILENT: Final = 5
"""The unit that never fires."""
SCRIPT: Final = "<script>alert(1)</script>"
HOSTILE: Final = (SCRIPT, "\N{SYMBOL FOR NULL}", "\"'; DROP TABLE notes; --", "&lt;b&gt;", "\n", "\N{OWL}")
FIRES_ON: Final = ("import", "print", SCRIPT, "\0", 'say "a"')
"""What unit 0, 1, ... fires on, after `from`, or at the beginning of a text."""
PROBE: Final = "study-seed0/org/tuned/reward/ridge/sparse_codes"


def fill(relational: RelationalStore) -> None:
    """Put everything in."""
    with relational.session() as session:
        for name, parent in (("tiny", None), ("org/tuned", "tiny")):
            facts = {"layers": 2, "mlp_size": UNITS, "hidden_size": 4, "parameters": 1234, "source": "recipe"}
            row = filled(LanguageModel, model=name, parent=parent, method="ppo" if parent else "pretraining", **facts)
            session.add(LanguageModel(**row | {"architecture": "GPTNeoXForCausalLM", "weights_hash": f"hash-{name}"}))
        session.flush()
        for name in DICTIONARIES:
            session.add(SparseAutoencoder(**_dictionary(name)))
            session.add_all(_rows_of_ledger(name))
        session.flush()
        for name in DICTIONARIES:
            for number in range(UNITS):
                _add_unit(session, name, number)
        session.flush()
        _add_relations(session)


def _dictionary(name: str) -> dict[str, Any]:
    model, _, rest = name.partition("/layers.")
    layer = int(rest[0]) if rest else 1
    neurons = {"architecture": "neurons", "size": "neurons", "site": f"layers.{layer}.neurons"}
    codes = {"architecture": "relu", "size": "small", "site": "layers.1.mlp", "study": "study", "side": "tuned"}
    kind = neurons if rest else codes
    return filled(
        SparseAutoencoder, dictionary=name, model=model if rest else "org/tuned", layer=layer, d_sae=UNITS, d_in=4,
        **kind,
    )  # fmt: skip


def _rows_of_ledger(name: str) -> list[Materialization]:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    return [
        Materialization(
            **filled(
                Materialization, run_id="run-1", asset_key=key, partition=name, code_version="code-1",
                data_version=f"data-{key}-{name}"[:64], rows=UNITS, started_at=moment, finished_at=moment,
            )
        )
        for key in ("explorer/units", "neuron_graphs/graphs", "neuron_graphs/scores")
    ]  # fmt: skip


def _add_unit(session: Session, name: str, number: int) -> None:
    silent = number == SILENT
    fired = 0 if silent else 10 + number
    mine = {"dictionary": name, "feature": number}
    facts = {"tokens": 1000, "fired": fired, "density": fired / 1000, "mean_activation": 0.0 if silent else 0.5}
    most = 0.0 if silent else 1.0 + number
    top = [] if silent else [FIRES_ON[number].replace("\0", "\N{SYMBOL FOR NULL}")]
    raised = {"raised_tokens": [*HOSTILE[:2], " the"], "lowered_tokens": [" a", HOSTILE[2]]}
    row = filled(Feature, **mine, **facts, max_activation=most, top_tokens=top, **raised)
    session.add(Feature(**row | {"matched_dictionary": None}))
    session.flush()
    histogram = [0] * 50 if silent else [5 + number, *[0] * 48, 5]
    session.add(UnitSummary(**mine, tokens=1000, min_activation=0.0, max_activation=most, histogram=histogram))
    session.add(NeuronGraph(**_graph(mine, silent, most)))
    session.flush()
    if silent:
        return
    session.add_all(_texts(mine, number, most))
    session.add_all(_nodes(mine, number))
    for rank, token in enumerate([FIRES_ON[number], *HOSTILE], 1):
        role = filled(FeatureToken, **mine, role="fires_on", rank=rank, token_id=rank, token=token, value=0.5 / rank)
        session.add(FeatureToken(**role | {"lift": 2.0}))
    for method, f1 in (("neuron_graph", 0.9 - number / 10), ("token_maximum", 0.4)):
        key = f"{method}-{name}-{number}"[-64:]
        said = f'fires on "{FIRES_ON[number]}" (1)'.replace("\0", "\N{SYMBOL FOR NULL}")
        session.add(FeatureExplanation(**filled(FeatureExplanation, **mine, explanation=key, method=method, text=said)))
        session.flush()
        for metric, value in (("f1", f1), ("correlation", f1 - 0.1)):
            score = {"explanation": key, "metric": metric, "stratum": "all", "threshold": 0.0}
            session.add(FeatureScore(**score, value=value, tokens=500))


def _graph(mine: dict[str, Any], silent: bool, most: float) -> dict[str, Any]:
    counted = {"texts": 0 if silent else 2, "nodes": 0 if silent else 4, "ends": 0 if silent else 2}
    reason = "it fires on no text" if silent else None
    settings = {"graph": {"normalize_tokens": True}, "train": {}, "test": {}}
    return filled(
        NeuronGraph, **mine, reason=reason, maximum=most, threshold=0.5, truncated=False, settings=settings, **counted
    )


def _nodes(mine: dict[str, Any], number: int) -> list[GraphNode]:
    activating = Step("token", FIRES_ON[number], 1.0, 1.0)
    paths = [
        Path([activating, Step("token", "from", 0.8), Step("token", HOSTILE[number], 0.3)], 1.0),
        Path([activating, START], 0.6),
    ]
    frame = Graph.of_paths(paths).nodes()
    return [
        GraphNode(**mine, **row, fires_on=FIRES_ON[number] if row["depth"] else None)
        for row in frame.iter_rows(named=True)
    ]


def _texts(mine: dict[str, Any], number: int, most: float) -> list[UnitText]:
    fires_on = FIRES_ON[number].replace("\0", "\N{SYMBOL FOR NULL}")
    places = [("top", 0, rank) for rank in (1, 2, 3)] + [("random", 0, 1)]
    places += [("quantile", fifth, 1) for fifth in range(1, 6)]
    found = []
    for at, (stratum, quantile, rank) in enumerate(places):
        tokens = [*HOSTILE, " from", fires_on, "."]
        strongest = round(most / rank, 4)
        activations = [0.0] * 7 + [strongest, 0.0]
        facts = {"document": at, "first_position": 2 * at, "max_token": 7, "min_activation": 0.0}
        place = {"stratum": stratum, "quantile": quantile, "rank": rank}
        found.append(
            UnitText(**mine, **place, **facts, max_activation=strongest, tokens=tokens, activations=activations)
        )
    return found


def _add_relations(session: Session) -> None:
    shared = {"fires_on_shared": 1, "after_shared": 1}
    for feature, other, relation, similarity in ((0, 1, "similar", 0.9), (2, 3, "subset", 1.0)):
        pair = {"dictionary": TINY_0, "feature": feature, "other_dictionary": TINY_1, "other_feature": other}
        session.add(UnitSimilarity(**pair, relation=relation, similarity=similarity, **shared))
    within = {"dictionary": TINY_0, "feature": 0, "other_dictionary": TINY_0, "other_feature": 2}
    session.add(UnitSimilarity(**within, relation="similar", similarity=0.95, **shared))
    across = {"dictionary": CODES, "feature": 0, "other_dictionary": CODES, "other_feature": 1}
    session.add(UnitSimilarity(**across, relation="similar", similarity=0.9, **shared))
    for name in DICTIONARIES:
        for less in ("", "token_maximum", "shuffled"):
            figures = {"value": 0.7 if not less else 0.3, "low": 0.2, "high": 0.8, "units": UNITS, "undefined": 0}
            what = {"dictionary": name, "stratum": "all", "method": "neuron_graph", "metric": "f1", "less": less}
            session.add(ExplanationComparison(**what, **figures))
    facts = {"study": "study", "seed": 0, "task": "reward", "kind": "ridge", "representation": "sparse_codes"}
    session.add(Probe(**filled(Probe, probe=PROBE, model="org/tuned", **facts)))
    session.flush()
    for number in range(UNITS):
        session.add(
            ProbeWeight(probe=PROBE, dictionary=CODES, feature=number, weight=1.0 / (number + 1), rank=number + 1)
        )
