"""Features and explanations of a planted study: one-hot activations, whose every figure is known beforehand."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import torch
from sqlalchemy import select, true
from tests.upgraded import upgraded
from torch import Tensor

from tracebank.query.connection import Connection
from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.catalogue import Origin, catalogued, model_row, models_of
from tracebank_assets.sparse_features.explanations import explanations
from tracebank_assets.sparse_features.features import features
from tracebank_assets.sparse_features.questions import questions
from tracebank_assets.studies import STUDIES
from tracebank_models.activations.shards import ActivationKey, ShardFolder, shard_columns
from tracebank_models.features.token_text import token_texts
from tracebank_models.language_model.loading import load_language_model
from tracebank_models.reward_probe.study import HELD_OUT, SIDES
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary, save_dictionary
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.plan import dictionary_name, init_seed
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.language_model import Corpus, LanguageModel
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.reward_probe import Probe, ProbeWeight
from tracebank_schemas.sparse_autoencoder import (
    FEATURE_ACTIVATIONS,
    FEATURE_EXAMPLES,
    Feature,
    FeatureExplanation,
    FeatureMatch,
    FeatureScore,
    FeatureToken,
    SparseAutoencoder,
)

SERIES = (FEATURE_ACTIVATIONS, FEATURE_EXAMPLES)
NAME, STUDY, CORPUS, WIDTH = "small-ppo", "small-ppo-seed0", "c" * 64, 16
SITE = "layers.0.mlp"
DOCUMENTS, LENGTH, VOCABULARY, STORED = 40, 24, 600, 300
TOKENS = DOCUMENTS * LENGTH
PARTNER = 0.25
LEFT_OVER = (1 - PARTNER**2) ** 0.5
BASE, TUNED = (f"{STUDY}/{dictionary_name(side, SITE, 'small', 'tied_relu', 0)}" for side in SIDES)
BIG, SEED = (f"{STUDY}/{dictionary_name('tuned', SITE, size, 'tied_relu', seed)}" for size, seed in
             (("big", 0), ("small", 1)))  # fmt: skip
CROSS = f"{STUDY}/{dictionary_name('both', SITE, 'big', 'crosscoder', 0)}"


@dataclass(frozen=True)
class Planted:
    """The study, and what lies in it."""

    settings: Settings
    relational: RelationalStore
    instance: dg.DagsterInstance
    ids: np.ndarray[Any, np.dtype[np.int32]]
    documents: np.ndarray[Any, np.dtype[np.int64]]
    positions: np.ndarray[Any, np.dtype[np.int32]]
    strength: np.ndarray[Any, np.dtype[np.float32]]
    """A token of id t writes so much into dimension t % 16, and nothing elsewhere."""

    def make(self, asset: Any, **config: Any) -> dg.ExecuteInProcessResult:
        run_config = {"ops": {f"sparse_features__{asset.key.path[-1]}": {"config": config}}}
        return dg.materialize(
            [asset],
            partition_key=STUDY,
            instance=self.instance,
            resources={"stores": Stores()},
            run_config=run_config,
            raise_on_error=False,
        )

    def rows(self, model: Any) -> list[Any]:
        with self.relational.session() as session:
            found = list(session.scalars(select(model)))
            session.expunge_all()
        return found

    def feature(self, dictionary: str, number: int) -> Feature:
        return next(row for row in self.rows(Feature) if (row.dictionary, row.feature) == (dictionary, number))


def _rows(size: int, seed: int) -> Tensor:
    """Feature f reads dimension f; of the big ones the second half reads its negative, which never is."""
    eye = torch.eye(WIDTH)
    rows = eye if size == WIDTH else torch.cat([eye, -eye])
    return rows.roll(seed, 0)


def _dictionaries(folder: Path) -> Iterator[dict[str, object]]:
    for side in SIDES:
        for size, features_, seed in (("small", WIDTH, 0), ("big", 2 * WIDTH, 0), ("small", WIDTH, 1)):
            name = dictionary_name(side, SITE, size, "tied_relu", seed)
            config = DictionaryConfig(
                name=name, architecture="tied_relu", d_in=WIDTH, d_sae=features_, sites=(f"{side}/{SITE}",)
            )
            made = build(config)
            made.encoder.data.copy_(_rows(features_, seed))
            if (side, size, seed) == ("base", "small", 0):
                # So that the tuned model's feature 3 has a cosine of a quarter with its partner, and no better one.
                made.encoder.data[3] = torch.full((WIDTH,), -LEFT_OVER / (WIDTH - 1) ** 0.5)
                made.encoder.data[3, 3] = PARTNER
            save_dictionary(made, folder / name)
            yield _row(config, folder, side, size, seed)
    name = dictionary_name("both", SITE, "big", "crosscoder", 0)
    config = DictionaryConfig(
        name=name, architecture="crosscoder", d_in=WIDTH, d_sae=32, k=2, sites=tuple(f"{s}/{SITE}" for s in SIDES)
    )
    cross = build(config)
    eye = torch.eye(WIDTH)
    cross.threshold.fill_(0.01)
    cross.encoder.data.copy_(torch.cat([eye.repeat(1, 2) / 2, -eye.repeat(1, 2)]))
    cross.decoder.data.copy_(torch.cat([eye.repeat(1, 2), torch.cat([0 * eye, eye], dim=1)]))
    save_dictionary(cross, folder / name)
    yield _row(config, folder, "both", "big", 0)


def _row(config: DictionaryConfig, folder: Path, side: str, size: str, seed: int) -> dict[str, object]:
    return {
        "dictionary": f"{STUDY}/{config.name}", "study": NAME, "seed": 0, "side": side, "site": SITE,
        "size": size, "layer": 0,
        "model": "small" if side == "base" else STUDY, "model_hash": "x", "architecture": config.architecture,
        "d_in": config.d_in, "d_sae": config.d_sae, "init_seed": init_seed(0, side, seed),
        "tokens": 1, "steps": 1, "config": config.as_dict(),
        "path": str(folder / config.name), "trained_at": datetime.now(UTC),
    }  # fmt: skip


def _environment(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    for name, value in settings.environment().items():
        patch.setenv(name, value)


def write_models(relational: RelationalStore, name: str, rows: list[dict[str, object]]) -> None:
    """As assets do: a model and its checkpoints in the place of those of the name."""
    with relational.session() as session:
        relational.replace(session, LanguageModel, models_of(name), rows)


def _models(relational: RelationalStore, models: dict[str, Path]) -> None:
    for name, folder in (("small", models["base"]), (STUDY, models["tuned"])):
        loaded = load_language_model(str(folder), label=name, device="cpu")
        write_models(relational, name, [model_row(loaded.facts, Origin("loaded", None, "by hand", str(folder)))])


def _plant(made: Planted) -> None:
    folder = made.settings.home / "planted"
    values = torch.zeros(TOKENS, WIDTH)
    values[torch.arange(TOKENS), torch.from_numpy(made.ids % WIDTH).long()] = torch.from_numpy(made.strength)
    shards = []
    for model in ("small", STUDY):
        key = ActivationKey(catalogued(made.relational, model).weights_hash, SITE, CORPUS, "float32")
        one = ShardFolder.create(folder, key, width=WIDTH, shard_tokens=600)
        for number, part in enumerate((slice(0, 600), slice(600, TOKENS))):
            columns = shard_columns(made.documents[part], made.positions[part], made.ids[part])
            one.write(number, columns, values[part].contiguous())
            shards.append(one.row(number) | {"model": model})
    corpus = {
        "corpus_hash": CORPUS, "tokenizer_hash": "t", "study": NAME, "seed": 0, "shard": HELD_OUT,
        "documents": DOCUMENTS,
        "tokens": TOKENS, "max_tokens": LENGTH,
    }  # fmt: skip
    with made.relational.session() as session:
        made.relational.upsert(session, SparseAutoencoder, list(_dictionaries(folder)))
        made.relational.upsert(session, ActivationShard, shards)
        session.add(Corpus(**corpus))


@pytest.fixture(scope="module")
def undescribed(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path]) -> Iterator[Planted]:
    """The study with its dictionaries and held-out activations, of which nothing is said yet."""
    home = tmp_path_factory.mktemp("planted")
    settings = Settings.load(
        home=home, series_url=f"chdb:///{home}/series", relational_url=f"sqlite:///{home}/relational.db", device="cpu"
    )
    upgraded(settings)
    relational = open_relational(settings)
    _models(relational, models)
    chance = np.random.default_rng(7)
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions(str(STUDIES.name), [STUDY])
        made = Planted(
            settings,
            relational,
            instance,
            (chance.random(TOKENS) ** 3 * VOCABULARY).astype(np.int32),
            np.repeat(np.arange(DOCUMENTS), LENGTH),
            np.tile(np.arange(LENGTH, dtype=np.int32), DOCUMENTS),
            (1 + chance.random(TOKENS)).astype(np.float32),
        )
        _plant(made)
        yield made
    relational.close()


@pytest.fixture(scope="module")
def described(undescribed: Planted) -> Planted:
    """The same with its features."""
    with pytest.MonkeyPatch.context() as patch:
        _environment(undescribed.settings, patch)
        assert "sparse_features/features first" in _fault(undescribed.make(explanations))
        result = undescribed.make(features, stored_tokens=STORED, top=4)
    assert result.success
    standard = {"schema_as_declared": True, "unique_key": True}
    assert _checks(result) == {"dictionaries_alive": True, "codes_as_counted": True, **standard}
    return undescribed


@pytest.fixture
def planted(described: Planted, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """The study with its features, in the environment of the test."""
    _environment(described.settings, monkeypatch)
    return described


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def _fault(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    (event,) = (event for event in result.all_events if event.is_step_failure)
    error = event.step_failure_data.error
    assert error is not None
    return (error.cause or error).message


def test_features_of_a_planted_study(planted: Planted, models: dict[str, Path]) -> None:
    even = planted.documents % 2 == 0
    texts = token_texts(load_language_model(str(models["tuned"]), device="cpu").tokenizer)
    for number in (0, 7):
        mine = even & (planted.ids % WIDTH == number)
        found = planted.feature(TUNED, number)
        assert (found.fired, found.tokens) == (mine.sum(), even.sum())
        assert found.density == pytest.approx(mine.sum() / even.sum())
        assert found.max_activation == pytest.approx(planted.strength[mine].max())
        assert found.mean_activation == pytest.approx(planted.strength[mine].mean(), rel=1e-5)
        share = {one: planted.strength[mine & (planted.ids == one)].sum() for one in set(planted.ids[mine])}
        order = sorted(share, key=lambda one: -share[one])[:10]
        assert found.top_tokens == [texts[int(one)] for one in order]
        (first,) = (
            row for row in planted.rows(FeatureToken)
            if (row.dictionary, row.feature, row.role, row.rank) == (TUNED, number, "fires_on", 1)
        )  # fmt: skip
        assert first.token_id == order[0]
        assert first.value == pytest.approx(share[order[0]] / planted.strength[mine].sum(), rel=1e-5)
        # It fires on this token always, and on a sixteenth or so of all.
        assert first.lift == pytest.approx(even.sum() / mine.sum())
    dead = planted.feature(BIG, 20)
    assert (dead.fired, dead.density, dead.mean_activation, dead.max_activation, dead.top_tokens) == (0, 0, 0, 0, [])
    roles = Counter(row.role for row in planted.rows(FeatureToken) if row.dictionary == TUNED)
    assert roles["raised"] == roles["lowered"] == 5 * WIDTH


def test_matches(planted: Planted) -> None:
    cosines: dict[tuple[str, str], list[float]] = {}
    for row in planted.rows(FeatureMatch):
        cosines.setdefault((row.dictionary, row.other), []).append(row.cosine)
    assert np.mean(cosines[BASE, TUNED]) == pytest.approx((15 + PARTNER) / 16)
    assert np.mean(cosines[TUNED, BIG]) == pytest.approx(1)
    assert np.mean(cosines[TUNED, SEED]) == pytest.approx(1)
    assert len(cosines) == 3 + 2 + 2, "three pairs of models, two of sizes and two of seeds"
    seeds = {row.feature: row.other_feature for row in planted.rows(FeatureMatch) if row.other == SEED}
    assert seeds == {number: (number + 1) % WIDTH for number in range(WIDTH)}
    for number in range(WIDTH):
        row = planted.feature(TUNED, number)
        assert (row.matched_dictionary, row.matched_feature) == (BASE, number)
        assert row.matched_cosine == pytest.approx(PARTNER if number == 3 else 1)
    back = planted.feature(BASE, 5)
    assert (back.matched_dictionary, back.matched_feature) == (TUNED, 5)


def test_whose_the_features_of_a_crosscoder_are(planted: Planted) -> None:
    shared, own = planted.feature(CROSS, 4), planted.feature(CROSS, 20)
    assert (shared.relative_norm_difference, own.relative_norm_difference) == pytest.approx((0.5, 1.0))
    assert (shared.nu_reconstruction, shared.nu_error) == pytest.approx((1.0, 1.0))
    assert own.nu_reconstruction is own.nu_error is shared.matched_dictionary is None
    assert planted.feature(TUNED, 4).relative_norm_difference is None


def test_codes_and_examples_in_the_series_store(planted: Planted, models: dict[str, Path]) -> None:
    series = open_series(planted.settings)
    codes = series.read(FEATURE_ACTIVATIONS, partition={"study": NAME, "seed": 0}).filter(dictionary=TUNED)
    assert codes.height == STORED
    row = codes["document"].to_numpy() * LENGTH + codes["position"].to_numpy()
    assert sorted(row) == list(range(STORED))
    assert (codes["feature"].to_numpy() == planted.ids[row] % WIDTH).all()
    assert (codes["token_id"].to_numpy() == planted.ids[row]).all()
    np.testing.assert_allclose(codes["activation"], planted.strength[row])
    assert set(codes["corpus_hash"]) == {CORPUS}
    texts = token_texts(load_language_model(str(models["tuned"]), device="cpu").tokenizer)
    examples = series.read(FEATURE_EXAMPLES, partition={"study": NAME, "seed": 0}).filter(dictionary=TUNED, feature=2)
    assert set(examples["stratum"]) == {"top", "random", "quantile"}
    mine = np.flatnonzero((planted.documents % 2 == 0) & (planted.ids % WIDTH == 2))
    strongest = mine[np.argsort(-planted.strength[mine])][:4]
    top = examples.filter(stratum="top").sort("rank")
    np.testing.assert_allclose(top["activation"], planted.strength[strongest])
    for one, at in zip(top.iter_rows(named=True), strongest, strict=True):
        start = at - at % LENGTH
        assert (one["document"], one["position"]) == (planted.documents[at], planted.positions[at])
        assert one["token"] == texts[int(planted.ids[at])]
        assert one["before"] == "".join(texts[planted.ids[max(start, at - 10) : at].tolist()])
        assert one["after"] == "".join(texts[planted.ids[at + 1 : min(start + LENGTH, at + 11)].tolist()])


def _sizes(planted: Planted) -> dict[str, int]:
    series = open_series(planted.settings)
    models = (Feature, FeatureMatch)
    found = {model.__tablename__: len(planted.rows(model)) for model in models}
    return found | {table.name: series.read(table).filter(dictionary=TUNED).height for table in SERIES}


def test_a_second_run_replaces_rows_and_sees_that_a_dictionary_died(planted: Planted) -> None:
    before = _sizes(planted)
    (row,) = (row for row in planted.rows(SparseAutoencoder) if row.dictionary == SEED)
    dead = load_dictionary(Path(row.path))
    dead.encoder_bias.data.fill_(-1e6)
    save_dictionary(dead, Path(row.path))
    result = planted.make(features, stored_tokens=STORED, top=4)
    dead.encoder_bias.data.zero_()
    save_dictionary(dead, Path(row.path))
    assert result.success
    standard = {"schema_as_declared": True, "unique_key": True}
    assert _checks(result) == {"dictionaries_alive": False, "codes_as_counted": True, **standard}
    (check,) = (c for c in result.get_asset_check_evaluations() if c.check_name == "dictionaries_alive")
    assert check.metadata["dead"].value == [SEED]
    assert _sizes(planted) == before
    entries = [row for row in planted.rows(Materialization) if row.asset_key == "sparse_features/features"]
    assert len(entries) == 2
    assert all(entry.rows > 0 and entry.bytes > 0 for entry in entries)


def test_what_is_missing_is_one_clear_line(planted: Planted) -> None:
    (row,) = (row for row in planted.rows(SparseAutoencoder) if row.dictionary == SEED)
    config = Path(row.path) / "config.json"
    config.rename(config.with_suffix(".gone"))
    fault = _fault(planted.make(features))
    config.with_suffix(".gone").rename(config)
    assert "no dictionary (no config.json); materialise sparse_features/dictionaries again" in fault
    assert "\n" not in fault.strip()


def _scores(planted: Planted, dictionary: str, feature: int, method: str = "top_tokens") -> dict[str, FeatureScore]:
    (one,) = (
        row for row in planted.rows(FeatureExplanation)
        if (row.dictionary, row.feature, row.method) == (dictionary, feature, method)
    )  # fmt: skip
    return {row.metric: row for row in planted.rows(FeatureScore) if row.explanation == one.explanation}


def test_every_feature_that_fires_has_an_explanation_and_every_explanation_scores(planted: Planted) -> None:
    result = planted.make(explanations)
    assert result.success
    assert _checks(result) == {"explanations_scored": True, "explanations_correlate": True}
    firing = {(row.dictionary, row.feature) for row in planted.rows(Feature) if row.fired}
    written = [(row.dictionary, row.feature) for row in planted.rows(FeatureExplanation)]
    assert len(written) == len(firing)
    assert set(written) == firing
    assert len(planted.rows(FeatureScore)) == 4 * len(firing)
    odd = planted.documents % 2 == 1
    for number in (0, 9):
        top = [
            row.token_id for row in planted.rows(FeatureToken)
            if (row.dictionary, row.feature, row.role) == (TUNED, number, "fires_on")
        ]  # fmt: skip
        found = _scores(planted, TUNED, number)
        fires = odd & (planted.ids % WIDTH == number)
        recall = (fires & np.isin(planted.ids, top)).sum() / fires.sum()
        assert {row.tokens for row in found.values()} == {odd.sum()}
        assert found["precision"].value == 1.0
        assert found["recall"].value == pytest.approx(recall)
        assert found["f1"].value == pytest.approx(2 * recall / (1 + recall))
        assert 0.5 < float(found["correlation"].value or 0) < 1
    (text,) = (row.text for row in planted.rows(FeatureExplanation) if (row.dictionary, row.feature) == (TUNED, 0))
    assert re.fullmatch(r'fires on ".+" \(lift [\d.]+\)(, ".+" \(lift [\d.]+\)){9}', text)


class Endpoint:
    """A double that says what it is told, and finds in a question how many texts it is to judge."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], str]] = []
        self.fail_after = 10**9
        self.url = ""

    def answer(self, prompt: str) -> str:
        count = re.search(r"JSON list of (\d+) digits", prompt)
        if "odd one" in prompt:
            return "1"
        return json.dumps([1] * int(count[1])) if count else "  It fires on praise.\n"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][0]["content"]
            made.asked.append((dict(self.headers), prompt))
            content = json.dumps({"choices": [{"message": {"content": made.answer(prompt)}}]}).encode()
            self.send_response(200 if len(made.asked) <= made.fail_after else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def configured(planted: Planted, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.setenv("TRACEBANK_EXPLAINER_URL", endpoint.url)
    monkeypatch.setenv("TRACEBANK_EXPLAINER_MODEL", "some-model")
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    return planted


def test_an_endpoint_explains_the_best_matched_features(configured: Planted, endpoint: Endpoint) -> None:
    assert configured.make(explanations, per_layer=5).success
    found = [row for row in configured.rows(FeatureExplanation) if row.method == "endpoint"]
    assert [(row.dictionary, row.feature) for row in sorted(found, key=lambda row: row.feature)] == [
        (TUNED, number) for number in range(5)
    ]
    assert len(endpoint.asked) >= 3 * 5, "explained, and judged by texts, by marks and by what does not belong"
    assert {headers["Authorization"] for headers, _ in endpoint.asked} == {"Bearer secret-key"}
    prompts = {prompt for _, prompt in endpoint.asked}
    for row in found:
        assert (row.explainer, row.text, row.answer) == ("some-model", "It fires on praise.", "  It fires on praise.\n")
        assert row.prompt in prompts
        assert len(row.prompt_hash) == 64
        assert row.prompt.count("\nText ") == 5
        scores = _scores(configured, TUNED, row.feature, "endpoint")
        # Everything was called: as many texts fire as do not, or fewer where there are fewer.
        assert scores["recall"].value == 1.0
        assert 0 < float(scores["precision"].value or 0) < 1
        assert set(scores) == {"precision", "recall", "f1", "detection", "fuzzing", "intruder"}
        assert scores["fuzzing"].value in (0.5, None), "who finds all marks right guesses"
        assert 0 <= (scores["intruder"].value or 0) <= 1
        assert all(0 < scores[metric].tokens <= 160 for metric in ("precision", "recall", "f1", "detection"))
    stored = json.dumps([[row.prompt, row.answer, row.text] for row in found])
    assert "secret-key" not in stored


def test_an_endpoint_that_fails_leaves_everything_as_it_was(configured: Planted, endpoint: Endpoint) -> None:
    assert configured.make(explanations, per_layer=2).success
    before = {row.explanation: row.explained_at for row in configured.rows(FeatureExplanation)}
    assert len(before) == 2 + sum(row.fired > 0 for row in configured.rows(Feature))
    scores = len(configured.rows(FeatureScore))
    endpoint.fail_after = len(endpoint.asked) + 3
    fault = _fault(configured.make(explanations, per_layer=5))
    assert re.fullmatch(r"(.*: )?endpoint: http.* answered 401: allowed is 200; no explanation was written\s*", fault)
    assert {row.explanation: row.explained_at for row in configured.rows(FeatureExplanation)} == before
    assert len(configured.rows(FeatureScore)) == scores


def test_half_an_endpoint_is_refused(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEBANK_EXPLAINER_MODEL", "some-model")
    assert "TRACEBANK_EXPLAINER_URL is empty; set it" in _fault(planted.make(explanations))


def _weights(probe: str, dictionary: str, largest: int) -> list[dict[str, object]]:
    """200 features, of which one weighs more than all others."""
    weights = [-5.0 if number == largest else 0.001 * number for number in range(200)]
    order = sorted(range(200), key=lambda number: -abs(weights[number]))
    return [
        {"probe": probe, "dictionary": dictionary, "feature": number, "weight": weights[number],
         "rank": order.index(number) + 1}
        for number in range(200)
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ["chdb", "duckdb"])
def test_the_question_for_the_least_matched_reward_features(engine: str, planted: Planted, tmp_path: Path) -> None:
    url = f"{engine}:///{tmp_path}/asked" + (".duckdb" if engine == "duckdb" else "")
    asked = Settings.load(home=tmp_path, relational_url=planted.settings.relational_url, series_url=url)
    upgrade(asked)
    query = next(text for title, text in questions(open_series(asked).engine).items() if "partner" in title)
    relational = open_relational(asked)
    for model in (ProbeWeight, Probe):
        with relational.session() as session:
            relational.replace(session, model, true(), [])
    relational.close()
    # Two SQLite libraries in one process, Python's and the engine's, do not see each other's locks.
    planted.relational.close()
    assert Connection(asked).sql(query).height == 0
    probes = [
        {"probe": f"{STUDY}/{kind}-{largest}", "study": NAME, "seed": 0, "model": STUDY, "task": "reward", "kind": kind,
         "representation": "sparse_codes", "number": 0, "inputs": 200, "train_rows": 8, "test_rows": 2}
        for kind, largest in (("ridge", 3), ("ridge", 4), ("random", 3))
    ]  # fmt: skip
    with relational.session() as session:
        relational.upsert(session, Probe, probes)
        for probe, largest in zip(probes, (3, 4, 3), strict=True):
            relational.upsert(session, ProbeWeight, _weights(str(probe["probe"]), TUNED, largest))
    relational.close()
    found = Connection(asked).sql(query)
    # Of the two ridge probes, one weighs the feature without a partner most; the other's has a partner, and comes last.
    ours = found.select("study", "dictionary", "feature", "probe", "weight", "rank").rows()
    assert ours[0] == (NAME, TUNED, 3, f"{STUDY}/ridge-3", -5.0, 1)
    assert ours[-1] == (NAME, TUNED, 4, f"{STUDY}/ridge-4", -5.0, 1)
    assert found["matched_cosine"][0] == pytest.approx(PARTNER)
    assert json.loads(found["top_tokens"][0]) == planted.feature(TUNED, 3).top_tokens


def test_the_question_is_there_for_every_engine() -> None:
    texts = {engine: questions(engine) for engine in ("clickhouse", "duckdb", "postgresql", "timescaledb")}
    assert len({tuple(found) for found in texts.values()}) == 1
    assert all("relational.features" in query for found in texts.values() for query in found.values())
