"""The whole chain as assets, on a study of three layers: trained, tuned, compared, captured, dictionaries."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import torch
from sqlalchemy import Engine, event, select
from tests.upgraded import upgraded

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.relational import RelationalStore
from tracebank_assets.definitions import defs
from tracebank_assets.language_models.assets import base, layer_divergences, tuned
from tracebank_assets.language_models.catalogue import (
    Origin,
    catalogued,
    checkpoints_of,
    load_catalogued,
    model_row,
    models_of,
)
from tracebank_assets.language_models.keys import BASE
from tracebank_assets.sparse_features.ablations import ablations
from tracebank_assets.sparse_features.automation import STUDY_ASSETS
from tracebank_assets.sparse_features.capture import activations
from tracebank_assets.sparse_features.dictionaries import dictionaries
from tracebank_assets.sparse_features.dynamics import dynamics
from tracebank_assets.sparse_features.explanations import explanations
from tracebank_assets.sparse_features.features import features
from tracebank_assets.sparse_features.held_out import open_held_out
from tracebank_assets.sparse_features.keys import FEATURES
from tracebank_assets.sparse_features.launches import Configs, run_study, to_make
from tracebank_assets.sparse_features.probes import probes
from tracebank_assets.sparse_features.study_data import shard_folders, sites_of
from tracebank_assets.staleness import out_of_date, view_of
from tracebank_assets.studies import READS, STUDIES, settings_of, studies
from tracebank_models.activations.reader import ActivationShards
from tracebank_models.language_model import architecture, recipes
from tracebank_models.language_model.architecture import ModelSize
from tracebank_models.language_model.loading import load_language_model
from tracebank_models.language_model.offline_corpus import OfflineCorpus
from tracebank_models.language_model.rewards import LexiconEntry
from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_models.language_model.training_settings import (
    DPOConfiguration,
    PPOConfiguration,
    PretrainingConfiguration,
)
from tracebank_models.reward_probe import study as study_module
from tracebank_models.reward_probe.study import CORPUS_SHARDS, SIDES, Effort, ladder_studies
from tracebank_models.reward_probe.study_data import StudyData
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary, save_dictionary
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.plan import DictionaryPlan
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.catalogue import METADATA
from tracebank_schemas.language_model import (
    TRAINING_CURVES,
    Corpus,
    CorpusDocument,
    LanguageModel,
    LayerDivergence,
    TensorDivergence,
)
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.sparse_autoencoder import DictionaryMetric, DictionarySimilarity, Feature, SparseAutoencoder

PPO, DPO = "small-ppo-seed0", "small-dpo-seed0"
MODELS = LanguageModel.__tablename__
STUDY = ladder_studies()["small-ppo"]
SIZE = ModelSize(hidden_size=16, layers=3, attention_heads=2, vocabulary_size=500, context_length=128)
RECIPE = recipes.Recipe(
    "small",
    OfflineCorpus(reviews=300, docstring_characters=0),
    PretrainingConfiguration(steps=4, batch_size=4, warmup_steps=1, validate_every=2, validation_blocks=4),
)
PLAN = DictionaryPlan(batch_tokens=32, epochs=1, k=4, warm_up_steps=4, larger_sizes=("4x",), demonstration=True)
READ: set[str] = set()
"""Settings that were read since it was emptied."""
CHECKERS = ("study_report", "study_needs", "studies")
"""Modules that read settings to check them, or to hash those that are declared."""


class Watched(Effort):
    """Notes which of its fields are read by what makes something."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__") and not sys._getframe(1).f_globals["__name__"].endswith(CHECKERS):
            READ.add(name)
        return super().__getattribute__(name)


EFFORT = Watched(
    # Of a model that has learned nothing the last checkpoint is taken: no choice could be foreseen.
    ppo=PPOConfiguration(steps=2, batch_size=8, minibatch_size=4, epochs=1, checkpoint_every=1, held_out_prompts=0),
    dpo=DPOConfiguration(steps=2, batch_size=4, checkpoint_every=1, prompts=64, held_out_prompts=0),
    preference_batches=4,
    documents=16,
    max_tokens=48,
    triples=50,
    random_probes=2,
    ablation_prompts=4,
    ablated_share=0.1,
    random_ablations=20,
    layers=2,
    dictionaries=PLAN,
    loss_documents=4,
    stored_tokens=50,
    threads=1,
)
WRITTEN_AT = ("catalogued_at", "trained_at", "started_at", "finished_at")


@dataclass(frozen=True)
class Chain:
    """A home in which everything was made, and what the checks said."""

    settings: Settings
    relational: RelationalStore
    instance: dg.DagsterInstance
    checks: dict[tuple[str, str, str], bool]
    """By asset, partition and check."""
    reads: dict[dg.AssetKey, set[str]]
    """Relational tables that each asset's body read; of `language_models` whether the base's rows or the tuned's."""

    @contextmanager
    def environment(self) -> Iterator[pytest.MonkeyPatch]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.settings.environment().items():
                patch.setenv(name, value)
            patch.setitem(study_module.EFFORTS, "small", EFFORT)  # type: ignore[arg-type]
            patch.setitem(recipes.RECIPES, "small", RECIPE)  # type: ignore[arg-type]
            patch.setitem(architecture.SIZES, "small", SIZE)
            yield patch

    def try_to_make(self, asset: Any, partition: str, **config: Any) -> dg.ExecuteInProcessResult:
        with self.environment():
            return dg.materialize(
                [asset],
                partition_key=partition,
                instance=self.instance,
                resources={"stores": Stores()},
                run_config={"ops": {asset.key.to_python_identifier(): {"config": config}}} if config else None,
                raise_on_error=False,
            )

    def make(self, asset: Any, partition: str, **config: Any) -> None:
        READ.clear()
        result = self.try_to_make(asset, partition, **config)
        assert result.success, fault(result)
        undeclared = READ - {"threads", *asset.metadata_by_key[asset.key][READS]}
        assert not undeclared, f"{asset.key} reads settings that its `reads` does not name: another value is not heeded"
        for check in result.get_asset_check_evaluations():
            self.checks[asset.key.path[-1], partition, check.check_name] = check.passed

    def rows(self, model: Any, *where: Any) -> list[Any]:
        return chain_rows(self.relational, model, *where)

    def content(self, model: Any) -> list[tuple[Any, ...]]:
        """Every row without the time at which it was written."""
        names = [column.name for column in model.__table__.columns if column.name not in WRITTEN_AT]
        return sorted(tuple(str(getattr(row, name)) for name in names) for row in self.rows(model))

    def sites(self) -> list[str]:
        with self.environment():
            return sites_of(self.relational, STUDY)

    def curves(self) -> pl.DataFrame:
        with self.environment():
            found = open_series(self.settings).read(TRAINING_CURVES)
        return pl.DataFrame(found)


def chain_rows(relational: RelationalStore, model: Any, *where: Any) -> list[Any]:
    with relational.session() as session:
        found = list(session.scalars(select(model).where(*where)))
        session.expunge_all()
    return found


def fault(result: dg.ExecuteInProcessResult) -> str:
    """The one line of a run that failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    line = (error.cause or error).message.strip()
    assert "\n" not in line
    return line.partition(": ")[2]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    home = tmp_path_factory.mktemp("chain")
    settings = Settings.load(
        home=home, series_url=f"chdb:///{home}/series", relational_url=f"sqlite:///{home}/relational.db", device="cpu"
    )
    upgraded(settings)
    relational = open_relational(settings)
    with dg.instance_for_test() as instance, ExitStack() as listening:
        made = Chain(settings, relational, instance, {}, defaultdict(set))
        instance.add_dynamic_partitions(str(STUDIES.name), [PPO, DPO, "medium-ppo-seed0"])
        listening.enter_context(_noted_reads(made.reads))
        for study in (PPO, DPO):
            made.make(base, study)
            made.make(tuned, study)
            made.make(layer_divergences, study)
        made.make(activations, PPO)
        made.make(dictionaries, PPO)
        yield made
    relational.close()


@contextmanager
def _noted_reads(reads: dict[dg.AssetKey, set[str]]) -> Iterator[None]:
    """Note what bodies of assets select, of either database: there is one place where statements go out."""

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        try:
            asset = dg.AssetExecutionContext.get().asset_key
        except dg.DagsterInvariantViolationError:
            return  # no body runs: it is the test that looks
        tables = set(re.findall(r"\b(?:FROM|JOIN) (\w+)", statement)) if statement.startswith("SELECT") else set()
        if MODELS in tables:
            sides = {
                "base" if one.split("@")[0] == STUDY.base.name else "tuned"
                for one in map(str, parameters)
                if "small" in one
            }
            tables = tables - {MODELS} | {f"{MODELS} of {side}" for side in sides}
        reads[asset] |= tables

    event.listen(Engine, "before_cursor_execute", note)
    yield
    event.remove(Engine, "before_cursor_execute", note)


def test_the_catalogue_names_every_model_with_its_parent(chain: Chain) -> None:
    found = {row.model: row for row in chain.rows(LanguageModel)}
    assert set(found) == {"small", PPO, f"{PPO}@1", DPO, f"{DPO}@1"}
    first = found.pop("small")
    assert (first.parent, first.method, first.step, first.source) == (None, "pretraining", 4, "recipe small")
    assert first.layers == SIZE.layers
    for name, row in found.items():
        assert (row.parent, row.parent_weights_hash) == ("small", first.weights_hash)
        assert (row.method, row.source) == (name[6:9], "small")
        assert row.step == (1 if name.endswith("@1") else 2)
        assert row.tokenizer_hash == first.tokenizer_hash
        assert load_language_model(row.path, device="cpu").facts.weights_hash == row.weights_hash
    assert len({row.weights_hash for row in (first, *found.values())}) == 5
    assert [row.model for row in checkpoints_of(chain.relational, PPO)] == [f"{PPO}@1", PPO]


def test_every_step_of_every_training_is_a_row(chain: Chain) -> None:
    found = chain.curves()
    assert found.select("run", "name", "metric", "step").is_unique().all()
    for run, method, metric, steps in (
        ("small", "pretraining", "loss", [1, 2, 3, 4]),
        ("small", "pretraining", "validation_loss", [2, 4]),
        (PPO, "ppo", "reward_mean", [1, 2]),
        (PPO, "ppo", "kl", [1, 2]),
        (DPO, "dpo", "loss", [1, 2]),
    ):
        rows = found.filter(run=run, name=run, method=method, metric=metric)
        assert sorted(rows["step"]) == steps, (run, metric)
    coded = found.filter(run=f"{PPO}/dictionaries", metric="loss")
    names = [row.dictionary for row in chain.rows(SparseAutoencoder)]
    assert sorted(coded.filter(step=10)["name"]) == sorted(names)
    assert set(found["run"]) == {"small", PPO, DPO, f"{PPO}/dictionaries"}


def test_layers_of_every_checkpoint_are_compared(chain: Chain) -> None:
    rows = chain.rows(LayerDivergence)
    assert {row.parent for row in rows} == {"small"}
    assert all(math.isfinite(row.value) and row.value > -1e-9 for row in rows)
    definitions = {name: {row.definition for row in rows if row.model == name} for name in (PPO, f"{PPO}@1")}
    assert definitions[PPO] - definitions[f"{PPO}@1"] == {"swap_kl"}, "a swap is measured for the tuned model alone"
    counts = Counter((row.model, row.definition) for row in rows if row.layer >= 0)
    assert set(counts.values()) == {SIZE.layers}
    assert {name for name, _ in counts} == {PPO, f"{PPO}@1", DPO, f"{DPO}@1"}
    outputs = {row.definition for row in rows if row.layer == -1}
    assert outputs == {"jensen_shannon", "kl_parent_tuned", "kl_tuned_parent"}
    moved = {row.layer: row.value for row in rows if (row.model, row.definition) == (PPO, "weight_l2_sum")}
    largest = sorted(moved, key=lambda layer: -moved[layer])[: EFFORT.layers]
    assert chain.sites() == [f"layers.{layer}.mlp" for layer in largest]


def test_divergences_of_tensors_add_up_to_their_layers(chain: Chain) -> None:
    tensors = [row for row in chain.rows(TensorDivergence) if row.model == PPO]
    assert sum(row.parameters for row in tensors) == chain.rows(LanguageModel)[0].parameters
    sums = {
        (row.layer): row.value
        for row in chain.rows(LayerDivergence)
        if row.model == PPO and row.definition == "weight_l2_sum"
    }
    for layer, value in sums.items():
        assert math.isclose(sum(row.l2 for row in tensors if row.layer == layer), value, rel_tol=1e-9)


def test_every_token_of_every_shard_is_captured_at_every_site(chain: Chain) -> None:
    corpora = {row.shard: row for row in chain.rows(Corpus)}
    assert sorted(corpora) == list(range(CORPUS_SHARDS))
    assert all(row.documents == EFFORT.documents // CORPUS_SHARDS for row in corpora.values())
    texts = chain.rows(CorpusDocument)
    assert len({row.document_id for row in texts}) == EFFORT.documents == len(texts)
    sites = chain.sites()
    tokens = Counter[tuple[str, str, str]]()
    for row in chain.rows(ActivationShard):
        tokens[row.model, row.site, row.corpus_hash] += row.tokens
        assert Path(row.path).stat().st_size == row.bytes
    wanted = [(m, s, c.corpus_hash) for m in ("small", PPO) for s in sites for c in corpora.values()]
    by_hash = {row.corpus_hash: row.tokens for row in corpora.values()}
    assert tokens == {key: by_hash[key[2]] for key in wanted}


def test_every_dictionary_of_the_plan_is_there_and_measured(chain: Chain) -> None:
    sizes = EFFORT.layers * len(PLAN.sizes) + len(PLAN.larger_sizes)
    planned = len(SIDES) * sizes * PLAN.initialisations + len(PLAN.extra_architectures)
    found = chain.rows(SparseAutoencoder)
    assert len(found) == planned
    kinds = Counter((row.architecture, row.side) for row in found)
    assert kinds["crosscoder", "both"] == 1
    assert {kind for kind, side in kinds if side == "tuned"} == {"tied_relu", *PLAN.extra_architectures[:-1]}
    weights = {name: catalogued(chain.relational, name).weights_hash for name in ("small", PPO)}
    trained_on = sum(row.tokens for row in chain.rows(Corpus) if row.shard < CORPUS_SHARDS - 1)
    for row in found:
        loaded = load_dictionary(Path(row.path))
        assert row.dictionary == f"{PPO}/{loaded.config.name}"
        assert loaded.config.as_dict() == DictionaryConfig.from_dict(row.config).as_dict()
        assert row.model_hash == weights[row.model]
        assert row.tokens == trained_on
        assert row.steps == -(-trained_on // PLAN.batch_tokens)
    metrics: dict[str, set[str]] = {}
    for metric in chain.rows(DictionaryMetric):
        metrics.setdefault(metric.dictionary, set()).add(metric.metric)
    common = {"fvu", "l0", "dead_share", "explained_variance"}
    for row in found:
        recovered = {"ce_recovered", "kl_recovered"} if row.side != "both" else set()
        assert metrics[row.dictionary] >= common | recovered
    assert set(metrics) == {row.dictionary for row in found}


def test_checks_that_can_hold_so_early_hold(chain: Chain) -> None:
    assert chain.checks["activations", PPO, "padding_share_is_0"]
    assert chain.checks["base", PPO, "tokenizer_round_trip"]
    for study in (PPO, DPO):
        assert chain.checks["layer_divergences", study, "divergences_defined"]
    assert {name for asset, _, name in chain.checks if asset == "dictionaries"} == {
        "schema_as_declared",
        "unique_key",
        "fvu_below_1",
        "dead_share",
        "seeds_agree",
        "moved_from_start",
        "l0_at_most_a_tenth",
    }
    for name in ("seeds_agree", "moved_from_start", "l0_at_most_a_tenth"):
        assert not chain.checks["dictionaries", PPO, name], "a demonstration passes nothing that asks for learning"


def test_every_two_that_differ_in_one_thing_are_compared_beside_chance(chain: Chain) -> None:
    rows = chain.rows(DictionarySimilarity)
    pairs = EFFORT.layers * len(PLAN.sizes) + len(PLAN.larger_sizes)
    kinds = Counter(row.comparison for row in rows)
    assert (kinds["seed"], kinds["tuning"]) == (len(SIDES) * pairs, PLAN.initialisations * pairs)
    assert kinds["size"] == len(SIDES) * PLAN.initialisations * (pairs - EFFORT.layers)
    seeds = {row.dictionary: row.init_seed for row in chain.rows(SparseAutoencoder)}
    for row in rows:
        assert row.difference == row.mmcs - row.chance
        assert 0 < row.chance < 1
        if row.comparison != "size":
            assert seeds[row.dictionary] != seeds[row.other], "what begins alike stays alike"


def test_the_ledger_says_what_was_made_of_what(chain: Chain) -> None:
    last: dict[tuple[str, str], Materialization] = {}
    for row in sorted(chain.rows(Materialization), key=lambda row: row.finished_at):
        last[row.asset_key, row.partition] = row
    partitions = Counter(key for key, _ in last)
    assert partitions == {
        "language_models/base": 2,
        "language_models/tuned": 2,
        "language_models/layer_divergences": 2,
        "sparse_features/activations": 1,
        "sparse_features/dictionaries": 1,
    }
    parent = last["language_models/base", PPO].data_version
    assert last["language_models/tuned", PPO].input_versions["language_models/base"] == parent
    compared = last["language_models/layer_divergences", PPO]
    deps = ("language_models/base", "language_models/tuned", "language_models/layer_divergences")
    assert compared.input_versions == {key: last[key, PPO].data_version for key in deps[:2]}
    captured = last["sparse_features/activations", PPO]
    assert captured.input_versions == {key: last[key, PPO].data_version for key in deps}
    assert captured.rows == 2 * EFFORT.layers * sum(row.tokens for row in chain.rows(Corpus))
    assert last["sparse_features/dictionaries", PPO].rows == len(chain.rows(SparseAutoencoder))
    assert "unknown" not in {value for row in last.values() for value in row.input_versions.values()}


def test_making_everything_again_changes_nothing(chain: Chain) -> None:
    tables = (LanguageModel, LayerDivergence, Corpus, CorpusDocument, ActivationShard, SparseAutoencoder)
    before = {table: chain.content(table) for table in (*tables, DictionaryMetric)}
    curves = chain.curves().drop("ts")
    chain.make(base, PPO)
    chain.make(tuned, PPO)
    chain.make(layer_divergences, PPO)
    chain.make(activations, PPO)
    chain.make(dictionaries, PPO)
    for table, rows in before.items():
        assert chain.content(table) == rows, table
    order = ["run", "name", "metric", "step"]
    assert chain.curves().drop("ts").sort(order).equals(curves.sort(order))


def test_a_killed_training_of_dictionaries_leaves_rows_as_they_were_and_goes_on(chain: Chain) -> None:
    before, steps = chain.content(SparseAutoencoder), chain.rows(SparseAutoencoder)[0].steps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracebank_models.features.dictionary_training._CHECKPOINT_EVERY", 5)
        patch.setattr("tracebank_assets.sparse_features.dictionaries.track", _killed_after(steps + 3))
        killed = chain.try_to_make(dictionaries, PPO, epochs=2, extras=False)
        assert fault(killed) == "killed"
        assert chain.content(SparseAutoencoder) == before
        seen: list[int] = []
        patch.setattr("tracebank_assets.sparse_features.dictionaries.track", _killed_after(10**6, seen))
        chain.make(dictionaries, PPO, epochs=2, extras=False)
    assert seen[0] == 5 * ((steps + 3) // 5) + 1, "the bar begins with what was done"
    rows = chain.rows(SparseAutoencoder)
    assert len(rows) == EFFORT.layers * len(SIDES) * len(PLAN.sizes) * PLAN.initialisations
    assert {row.steps for row in rows} == {2 * steps}
    assert {row.dictionary for row in rows} == {row.dictionary for row in chain.rows(DictionaryMetric)}
    chain.make(dictionaries, PPO)
    assert chain.content(SparseAutoencoder) == before


def _killed_after(batches: int, seen: list[int] | None = None) -> Any:
    @contextmanager
    def track(what: str, _total: int | None) -> Iterator[Any]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if what.startswith("training"):
                if seen is not None:
                    seen.append(count)
                if done >= batches:
                    raise RuntimeError("outer: killed".partition(": ")[2])

        yield advance

    return track


def _everything(chain: Chain) -> list[Any]:
    tables = (LanguageModel, Corpus, CorpusDocument, ActivationShard, SparseAutoencoder, DictionaryMetric, Feature)
    files = sorted(str(path) for path in (chain.settings.home / "activations").rglob("*"))
    return [*(chain.content(table) for table in tables), files]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sites": ["layers.0.mpl"]}, "sites: 'layers.0.mpl' is not known (near: layers.0.mlp"),
        ({"sites": ["layers.7.mlp"]}, "sites: 'layers.7.mlp' is not known"),
        ({"dtype": "int8"}, "dtype: 'int8' is not allowed: one of float16, float32"),
        ({"batch_tokens": 0}, "batch_tokens: 0 is not allowed: 1 or more"),
        ({"shard_tokens": 7}, "shard_tokens: 7 is not allowed: "),
        ({"memory_mib": 0}, "memory_bytes: 0 is not allowed: 1 or more"),
    ],
)
def test_captures_that_are_not_allowed_write_nothing(chain: Chain, config: dict[str, Any], message: str) -> None:
    before = _everything(chain)
    assert fault(chain.try_to_make(activations, PPO, **config)).startswith(message)
    assert _everything(chain) == before


def write_models(relational: RelationalStore, name: str, rows: list[dict[str, object]]) -> None:
    """As assets do: a model and its checkpoints in the place of those of the name."""
    with relational.session() as session:
        relational.replace(session, LanguageModel, models_of(name), rows)


@contextmanager
def _in_place_of(chain: Chain, name: str, folder: Path) -> Iterator[None]:
    """Another model under a catalogued name."""
    columns = [column.name for column in LanguageModel.__table__.columns]
    kept = [{column: getattr(row, column) for column in columns} for row in checkpoints_of(chain.relational, name)]
    loaded = load_language_model(str(folder), label=name, device="cpu")
    write_models(chain.relational, name, [model_row(loaded.facts, Origin("loaded", None, "by hand", str(folder)))])
    try:
        yield
    finally:
        write_models(chain.relational, name, kept)


def test_activations_that_are_no_numbers_are_refused(chain: Chain, tmp_path: Path) -> None:
    loaded = load_language_model(catalogued(chain.relational, DPO).path, device="cpu")
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.mul_(1e30)  # finite, so that it loads; what it computes is not
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    with _in_place_of(chain, DPO, tmp_path):
        before = _everything(chain)
        line = fault(chain.try_to_make(activations, DPO, sites=["layers.0.mlp", "layers.1.mlp"]))
        assert line == "model: block 0 of GPTNeoXForCausalLM gives numbers that are NaN or infinite"
        after = _everything(chain)
        assert after[:-1] == before[:-1]
        # Shards of the base, which is sound, may be there; of the other there is not even a folder.
        poisoned = catalogued(chain.relational, DPO).weights_hash
        assert not [path for path in after[-1] if path.endswith(".json") and poisoned in Path(path).read_text()]


def test_another_tokenizer_than_the_bases_is_refused(chain: Chain, tmp_path: Path) -> None:
    loaded = load_language_model(catalogued(chain.relational, DPO).path, device="cpu")
    loaded.model.save_pretrained(tmp_path)
    other = train_tokenizer(["quite other words, again and again", "again the other words"], 270)
    other.save_pretrained(tmp_path)
    with _in_place_of(chain, DPO, tmp_path):
        before = _everything(chain)
        line = fault(chain.try_to_make(activations, DPO))
        known = catalogued(chain.relational, "small").tokenizer_hash[:12]
        assert line.startswith(f"tokenizer: '{DPO}' has ")
        assert line.endswith(f"allowed is that of its base 'small', {known}")
        assert _everything(chain) == before


def test_a_dictionary_of_another_width_is_refused(chain: Chain, tmp_path: Path) -> None:
    chosen = next(row for row in chain.rows(SparseAutoencoder) if row.side == "tuned" and row.size == "small")
    config = DictionaryConfig.from_dict(chosen.config)
    narrow = dataclasses.replace(config, d_in=8, d_sae=8, name="narrow")
    save_dictionary(build(narrow), tmp_path / "narrow")
    with chain.relational.session() as session:
        row = session.get(SparseAutoencoder, chosen.dictionary)
        assert row is not None
        row.path = str(tmp_path / "narrow")
    before = _everything(chain)
    described, probed = (fault(chain.try_to_make(asset, PPO)) for asset in (features, probes))
    with chain.relational.session() as session:
        row = session.get(SparseAutoencoder, chosen.dictionary)
        assert row is not None
        row.path = chosen.path
    assert described.startswith(f"dictionary '{chosen.dictionary}': width 8 at {tmp_path / 'narrow'}: allowed is 16")
    assert probed.endswith("16): narrow reads (tokens, 8)")
    assert _everything(chain)[-2] == before[-2] == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epochs": 0}, "DictionaryPlan.epochs: 0 is not allowed"),
        ({"batch_tokens": -1}, "DictionaryPlan.batch_tokens: -1 is not allowed"),
        ({"l1": -0.5}, "DictionaryPlan.l1: -0.5 is not allowed; allowed: a number >= 0"),
    ],
)
def test_trainings_that_are_not_allowed_write_nothing(chain: Chain, config: dict[str, Any], message: str) -> None:
    before = _everything(chain)
    assert fault(chain.try_to_make(dictionaries, PPO, **config)).startswith(message)
    assert _everything(chain) == before


def test_what_is_not_there_yet_is_named(chain: Chain) -> None:
    line = fault(chain.try_to_make(tuned, "medium-ppo-seed0"))
    assert line == "model 'medium' is not in relational.language_models; materialise its partition first"
    assert "was not captured on shard 0" in fault(chain.try_to_make(dictionaries, DPO))


def test_a_copied_home_reads_its_own_files(chain: Chain, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(chain.settings.home, copied, ignore=shutil.ignore_patterns("*.sock", "*.log"))
    away = chain.settings.home.with_name("away")
    chain.settings.home.rename(away)
    settings = Settings.load(home=copied, series_url=f"duckdb:///{copied}/none", device="cpu")
    relational = open_relational(settings)
    try:
        for model in (row.model for row in chain_rows(relational, LanguageModel)):
            load_catalogued(relational, model, torch.device("cpu"))
        held = open_held_out(relational, STUDY, torch.device("cpu"))
        assert held.dictionaries
        assert held.tokens > 0
        for row in chain_rows(relational, ActivationShard):
            assert Path(row.path).is_relative_to(copied)
            assert Path(row.path).stat().st_size == row.bytes
    finally:
        relational.close()
        away.rename(chain.settings.home)


def test_shards_of_former_weights_are_not_taken_for_those_of_now(chain: Chain) -> None:
    """And two names of the same weights share their shards."""
    study, relational = STUDY, chain.relational
    site = chain.sites()[0]
    now = shard_folders(relational, study, PPO, site, [0])
    with chain.relational.session() as session:
        row = session.get(ActivationShard, (now[0].name, 0))
        assert row is not None
        row.model = "another name"
    assert shard_folders(relational, study, PPO, site, [0]) == now
    with chain.relational.session() as session:
        row = session.get(ActivationShard, (now[0].name, 0))
        assert row is not None
        row.model = PPO
    with (
        _in_place_of(chain, PPO, Path(catalogued(relational, DPO).path)),
        pytest.raises(dg.Failure, match="not captured"),
    ):
        shard_folders(relational, study, PPO, site, [0])


def test_another_dtype_takes_the_place_of_the_one_before(chain: Chain) -> None:
    site = chain.sites()[0]
    key = PPO
    chain.make(activations, key, dtype="float32")
    (folder,) = shard_folders(chain.relational, STUDY, PPO, site, [2])
    assert ActivationShards(folder).folders[0].key.dtype == "float32"
    chain.make(activations, key)
    (folder,) = shard_folders(chain.relational, STUDY, PPO, site, [2])
    assert ActivationShards(folder).folders[0].key.dtype == "float16"


def _launched(chain: Chain, config: Configs | None = None) -> set[str]:
    with chain.environment():
        return {key.path[-1] for key in run_study(STUDY, chain.instance, config)}


def test_a_launch_makes_what_is_not_up_to_date_in_one_run_and_nothing_the_second_time(chain: Chain) -> None:
    before = chain.instance.get_runs_count()
    asked = {FEATURES: {"stored_tokens": 10}}
    made = _launched(chain, asked)
    assert {"features", "explanations", "probes", "ablations", "dynamics"} <= made
    assert not {"base", "tuned", "layer_divergences"} & made, "these were made before"
    assert chain.instance.get_runs_count() == before + 1
    assert _launched(chain, asked) == set()
    assert chain.instance.get_runs_count() == before + 1
    assert _launched(chain) == {"features", "explanations"}, "with another config, and what is made of them"


def test_another_setting_makes_again_what_reads_it_and_what_is_made_of_that(chain: Chain) -> None:
    _launched(chain)
    for asset in (features, explanations, probes, ablations, dynamics):
        chain.make(asset, PPO)  # which says what it reads
    with chain.environment() as patch:
        for field, value, made in (
            ("threads", 2, set()),
            ("random_ablations", 2, {"ablations"}),
            ("random_probes", 3, {"probes", "ablations"}),
            ("stored_tokens", 60, {"features", "explanations"}),
        ):
            other = dataclasses.replace(STUDY, own_effort=dataclasses.replace(EFFORT, **{field: value}))
            patch.setitem(studies(), STUDY.name, other)
            assert {key.path[-1] for key in to_make(other, defs, chain.instance, {})} == made, field
            asked = dg.evaluate_automation_conditions(defs, chain.instance, STUDY_ASSETS)
            every = STUDY_ASSETS.resolve(defs.resolve_asset_graph())
            asked_for = {key.path[-1] for key in every if PPO in (asked.get_requested_partitions(key) or ())}
            assert asked_for == made, "the sensor sees it too"


def test_settings_follow_what_files_hold_and_not_where_they_lie(tmp_path: Path) -> None:
    def settings(name: str, content: str) -> str:
        file = tmp_path / name
        file.write_text(content)
        data = StudyData(reward=LexiconEntry(path=str(file)))
        return settings_of(dataclasses.replace(STUDY, data=data), ["data"])

    told = settings("a.tsv", "fine\t1\npoor\t-1\n")
    assert settings("b.tsv", "fine\t1\npoor\t-1\n") == told
    assert settings("a.tsv", "fine\t2\npoor\t-1\n") != told


def _stale(chain: Chain) -> set[str]:
    with chain.environment():
        view = view_of(defs, chain.instance)
        keys = STUDY_ASSETS.resolve(view.asset_graph)
        return {key.path[-1] for key in keys if out_of_date(view, key, [PPO])}


def test_bodies_read_what_their_deps_write_and_their_deps_are_what_they_read(chain: Chain) -> None:
    def written(asset: dg.AssetKey) -> set[str]:
        metadata = graph.get(asset).metadata
        tables = metadata.get("tables") or [metadata["dagster/relation_identifier"]]
        names = {str(table).removeprefix("relational.") for table in getattr(tables, "value", tables)}
        return names - {MODELS} | {f"{MODELS} of {asset.path[-1]}" for _ in names & {MODELS}}

    _launched(chain)
    graph = defs.resolve_asset_graph()
    ledger = {"materializations", "pending_materializations"}
    wrong = []
    for asset in STUDY_ASSETS.resolve(graph):
        declared = {dep: written(dep) for dep in graph.get(asset).parent_keys}
        read = {one for one in chain.reads[asset] if one.split(" ")[0] in METADATA.tables.keys() - ledger}
        beyond = read - written(asset) - set().union(*declared.values())
        unread = {dep.path[-1] for dep, tables in declared.items() if not tables & read}
        wrong += [(asset.path[-1], beyond, unread)] * bool(beyond or unread)
    assert wrong == []


def test_a_base_that_another_seed_trained_otherwise_is_another_for_all_who_share_it(chain: Chain) -> None:
    _launched(chain)
    assert _stale(chain) == set()
    other = "small-ppo-seed1"
    chain.instance.add_dynamic_partitions(str(STUDIES.name), [other])
    chain.make(base, other)
    assert _stale(chain) == set(), "the same again is no other version"
    chain.make(base, other, steps=3)
    assert {"tuned", "layer_divergences", "activations", "dictionaries", "probes"} <= _stale(chain)
    assert "base" not in _stale(chain), "it is there, as another"
    versions = {row.data_version for row in _newest(chain, "language_models/base")}
    assert len(versions) == 1, "the ledger tells the same"
    with chain.environment():
        assert BASE in to_make(STUDY, defs, chain.instance, {}), "made with other steps than are asked for now"
    chain.make(base, other)
    assert _stale(chain) == set()


def _newest(chain: Chain, asset: str) -> list[Materialization]:
    rows = chain.rows(Materialization, Materialization.asset_key == asset)
    return list({row.partition: row for row in sorted(rows, key=lambda row: row.finished_at)}.values())


def test_what_hangs_on_dictionaries_is_stale_when_they_were_trained_otherwise(chain: Chain) -> None:
    _launched(chain)
    assert _stale(chain) == set()
    chain.make(dictionaries, PPO)
    assert _stale(chain) == set(), "the same again is no other version"
    chain.make(dictionaries, PPO, l1=0.3)
    assert _stale(chain) == {"features", "explanations", "probes", "ablations", "dynamics"}
    with chain.environment():
        asked = dg.evaluate_automation_conditions(defs, chain.instance, STUDY_ASSETS)
        wanted = {
            key.path[-1] for key in STUDY_ASSETS.resolve(defs.resolve_asset_graph()) if asked.get_num_requested(key)
        }
    assert wanted >= _stale(chain)
