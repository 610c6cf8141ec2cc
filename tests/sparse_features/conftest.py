"""A study made by hand: a tiny base, a checkpoint and a tuned model with their dictionaries, written as assets do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch
from tests.upgraded import upgraded

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.catalogue import Origin, model_row, models_of
from tracebank_assets.studies import STUDIES as PARTITIONS
from tracebank_assets.studies import studies
from tracebank_models.language_model.architecture import ModelSize, build_model
from tracebank_models.language_model.direct_preference import DPOConfiguration
from tracebank_models.language_model.lexicon import load_vader_lexicon
from tracebank_models.language_model.loading import load_language_model
from tracebank_models.language_model.product_reviews import ProductReviews
from tracebank_models.language_model.proximal_policy import PPOConfiguration
from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_models.reward_probe import study as study_module
from tracebank_models.reward_probe.study import SIDES, Effort
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.checkpoint import save_dictionary
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.plan import dictionary_name, init_seed
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

SITES = ("layers.0.mlp", "layers.1.mlp")
STUDIES = ("small-ppo-seed0", "small-dpo-seed0")
SIZE = ModelSize(hidden_size=16, layers=2, attention_heads=2, vocabulary_size=600, context_length=128)
EFFORT = Effort(
    ppo=PPOConfiguration(steps=2),
    dpo=DPOConfiguration(steps=2),
    preference_batches=1,
    documents=80,
    max_tokens=48,
    triples=150,
    random_probes=5,
    ablation_prompts=12,
    ablated_share=0.1,
    random_ablations=20,
    layers=2,
)


@dataclasses.dataclass(frozen=True)
class Home:
    """The stores of a test, with the studies in them."""

    settings: Settings
    relational: RelationalStore
    instance: dg.DagsterInstance

    def materialise(self, asset: Any, study: str = "small-ppo-seed0") -> dg.ExecuteInProcessResult:
        """Make one partition of an asset."""
        return dg.materialize(
            [asset], partition_key=study, instance=self.instance, resources={"stores": Stores()}, raise_on_error=False
        )


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a base, of one on the way, and of a tuned model, which differ from each other a little."""
    folder = tmp_path_factory.mktemp("models")
    reviews = [review.text for review in ProductReviews(load_vader_lexicon()).documents(200)]
    tokenizer = train_tokenizer(reviews, SIZE.vocabulary_size)
    model = build_model(SIZE, tokenizer, seed=1)
    found = {}
    for number, name in enumerate(("base", "way", "tuned")):
        with torch.no_grad():
            for at, parameter in enumerate(model.parameters()):
                chance = torch.Generator().manual_seed(100 * number + at)
                spread = 0.2 if number == 0 else 0.05
                parameter.add_(torch.randn(parameter.shape, generator=chance) * spread)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        found[name] = folder / name
    return found


def write_models(relational: RelationalStore, name: str, rows: list[dict[str, object]]) -> None:
    """As assets do: a model and its checkpoints in the place of those of the name."""
    with relational.session() as session:
        relational.replace(session, LanguageModel, models_of(name), rows)


def _write_models(relational: RelationalStore, models: dict[str, Path], study: str) -> None:
    rows = {}
    for name, path, step in (("small", "base", 9), (f"{study}@1", "way", 1), (study, "tuned", 2)):
        loaded = load_language_model(str(models[path]), label=name, device="cpu")
        rows[name] = model_row(loaded.facts, Origin("pretraining", step, "by hand", str(models[path])))
    write_models(relational, "small", [rows.pop("small")])
    write_models(relational, study, list(rows.values()))


def _dictionary_rows(folder: Path, study: str) -> Iterator[dict[str, object]]:
    for side in SIDES:
        for seed, site in enumerate(SITES):
            name = dictionary_name(side, site, "small", "tied_relu", 0)
            config = DictionaryConfig(
                name=name, architecture="tied_relu", d_in=16, d_sae=16, sites=(f"{side}/{site}",), seed=seed
            )
            save_dictionary(build(config), folder / study / name)
            yield {
                "dictionary": f"{study}/{name}", "study": study.removesuffix("-seed0"), "seed": 0,
                "side": side, "site": site, "size": "small",
                "model": "small" if side == "base" else study, "model_hash": side, "layer": seed,
                "architecture": "tied_relu", "d_in": 16, "d_sae": 16, "init_seed": init_seed(0, side),
                "tokens": 1, "steps": 1,
                "config": config.as_dict(), "path": str(folder / study / name), "trained_at": datetime.now(UTC),
            }  # fmt: skip


@pytest.fixture
def home(settings: Settings, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home with two studies in it whose efforts are tiny."""
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    monkeypatch.setenv("TRACEBANK_DEVICE", "cpu")
    # Two threads wait for each other longer than one needs for so small a model.
    monkeypatch.setattr("tracebank_assets.devices.usable_processors", lambda: 1)
    monkeypatch.setitem(study_module.EFFORTS, "small", EFFORT)  # type: ignore[arg-type]
    studies.cache_clear()
    upgraded(settings)
    relational = open_relational(settings)
    for study in STUDIES:
        _write_models(relational, models, study)
        with relational.session() as session:
            relational.upsert(session, SparseAutoencoder, list(_dictionary_rows(settings.home, study)))
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions(str(PARTITIONS.name), list(STUDIES))
        yield Home(settings, relational, instance)
    relational.close()
    studies.cache_clear()
