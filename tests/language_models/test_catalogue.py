"""The catalogue of models: rows replaced by name, models loaded only as they were catalogued, and studies of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import torch
from sqlalchemy import select
from tests.upgraded import upgraded
from transformers import PreTrainedTokenizerFast

from tracebank.resources import Stores
from tracebank.settings import Settings, SettingsError
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.assets import base, layer_divergences, tuned
from tracebank_assets.language_models.catalogue import (
    Origin,
    catalogued,
    checkpoints_of,
    load_catalogued,
    model_row,
    models_of,
)
from tracebank_assets.studies import STUDIES, studies
from tracebank_models.language_model.architecture import ModelSize, build_model
from tracebank_models.language_model.lexicon import load_vader_lexicon
from tracebank_models.language_model.loading import load_language_model
from tracebank_models.language_model.product_reviews import ProductReviews
from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_schemas.language_model import LanguageModel, PolicyEvaluation

SIZE = ModelSize(hidden_size=16, layers=2, attention_heads=2, vocabulary_size=300, context_length=128)
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([one.text for one in ProductReviews(load_vader_lexicon()).documents(60)], 300)


def _saved(folder: Path, tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> Path:
    build_model(SIZE, tokenizer, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _row(name: str, folder: Path, step: int | None = None) -> dict[str, object]:
    facts = load_language_model(str(folder), label=name, device="cpu").facts
    return model_row(facts, Origin("loaded", step, "by hand", str(folder)))


def write_models(relational: RelationalStore, name: str, rows: list[dict[str, object]]) -> None:
    """As assets do: a model and its checkpoints in the place of those of the name."""
    with relational.session() as session:
        relational.replace(session, LanguageModel, models_of(name), rows)


@pytest.fixture
def relational(settings: Settings, relational_store: RelationalStore) -> RelationalStore:
    upgraded(settings)
    return relational_store


def test_rows_of_a_name_are_replaced_with_its_checkpoints_and_no_others(
    relational: RelationalStore, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = _saved(tmp_path / "model", tokenizer)
    write_models(relational, "a_b", [_row("a_b@1", folder, 1), _row("a_b@12", folder, 12), _row("a_b", folder, 20)])
    write_models(relational, "aXb", [_row("aXb@1", folder, 1), _row("aXb", folder, 2)])
    assert [row.model for row in checkpoints_of(relational, "a_b")] == ["a_b@1", "a_b@12", "a_b"]
    write_models(relational, "a_b", [_row("a_b", folder, 3)])
    assert [row.step for row in checkpoints_of(relational, "a_b")] == [3]
    assert [row.model for row in checkpoints_of(relational, "aXb")] == ["aXb@1", "aXb"]
    with pytest.raises(ValueError, match="differ in their columns"):
        write_models(relational, "a_b", [_row("a_b", folder, 4), {"model": "a_b@1"}])
    assert [row.step for row in checkpoints_of(relational, "a_b")] == [3], "all or nothing"


def test_a_model_that_is_not_there_is_named(relational: RelationalStore) -> None:
    message = "model 'none' is not in relational.language_models; materialise its partition first"
    with pytest.raises(dg.Failure) as failure:
        catalogued(relational, "none")
    assert failure.value.description == message
    with pytest.raises(dg.Failure):
        load_catalogued(relational, "none", CPU)


@pytest.mark.parametrize("what", ["weights", "tokenizer"])
def test_what_changed_on_disk_is_not_loaded(
    relational: RelationalStore, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, what: str
) -> None:
    folder = _saved(tmp_path / "model", tokenizer)
    write_models(relational, "mine", [_row("mine", folder)])
    known = catalogued(relational, "mine")
    assert load_catalogued(relational, "mine", CPU).facts.weights_hash == known.weights_hash
    if what == "weights":
        build_model(SIZE, tokenizer, 1).save_pretrained(folder)
    else:
        train_tokenizer(["other words again and again"], 262).save_pretrained(folder)
    with pytest.raises(dg.Failure) as failure:
        load_catalogued(relational, "mine", CPU)
    line = failure.value.description or ""
    assert line.startswith(f"model 'mine': {what} at {folder}: ")
    assert line.endswith(f"{getattr(known, f'{what}_hash')[:12]}; materialise it again")


def test_a_file_that_is_not_right_is_one_line_that_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "studies.toml"
    path.write_text("[studies.a]\nbase = 'tiny'\nmethod = 'ppo'\n", encoding="utf-8")
    monkeypatch.setenv("TRACEBANK_STUDIES", str(path))
    studies.cache_clear()
    try:
        with pytest.raises(SettingsError, match=r"^TRACEBANK_STUDIES: studies.a.base: 'tiny' is not known: one of"):
            studies()
    finally:
        studies.cache_clear()


def test_a_study_of_two_loaded_models(
    settings: Settings,
    relational: RelationalStore,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Named by folders relative to the file, and found from elsewhere."""
    folders = [_saved(tmp_path / "models" / name, tokenizer, seed) for seed, name in enumerate(("first", "second"))]
    path = tmp_path / "studies.toml"
    path.write_text(
        '[models.elsewhere]\nsource = "models/first"\n[models.other]\nsource = "models/second"\n'
        '[studies.pair]\nbase = "elsewhere"\nmethod = "loaded"\ntuned = "other"\nthreads = 1\nloss_documents = 4\n'
        "[studies.pair.ppo]\nheld_out_prompts = 64\n",
        encoding="utf-8",
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACEBANK_STUDIES", str(path))
    monkeypatch.setenv("TRACEBANK_DEVICE", "cpu")
    monkeypatch.chdir("/")
    studies.cache_clear()
    try:
        known, checks = list(studies()), _made("pair-seed0")
    finally:
        studies.cache_clear()
    first, second = (checkpoints_of(relational, name)[0] for name in ("elsewhere", "pair-seed0"))
    assert (first.model, first.parent, first.method) == ("elsewhere", None, "loaded")
    assert (second.model, second.parent, second.method) == ("pair-seed0", "elsewhere", "loaded")
    assert second.parent_weights_hash == first.weights_hash != second.weights_hash
    assert [first.path, second.path] == [str(folder) for folder in folders]
    assert [first.source, second.source] == [str(folder) for folder in folders]
    assert first.step is second.step is None
    assert known[-1] == "pair"
    with relational.session() as session:
        (measured,) = session.scalars(select(PolicyEvaluation)).all()
        assert measured.kl > 0
        assert (measured.model, measured.asset, measured.method) == ("pair-seed0", "tuned", "loaded")
        assert (measured.step, measured.split, measured.chosen) == (1, "report", True)
    assert checks == {
        "schema_as_declared": True,
        "unique_key": True,
        "tokenizer_round_trip": True,
        "loss_below_uniform": True,
        "reward_rose": False,
        "divergences_defined": True,
    }


def _made(partition: str) -> dict[str, bool]:
    """Make the group's assets of a study: what the checks say."""
    checks = {}
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions(str(STUDIES.name), [partition])
        for asset in (base, tuned, layer_divergences):
            done = dg.materialize([asset], partition_key=partition, instance=instance, resources={"stores": Stores()})
            checks |= {one.check_name: one.passed for one in done.get_asset_check_evaluations()}
    return checks
