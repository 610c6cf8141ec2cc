"""Base models from recipes, and tuning around its methods: the folders they go to, and killed runs that go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from tracebank_models.language_model import architecture, direct_preference, policy_evaluation, proximal_policy
from tracebank_models.language_model.architecture import ModelSize
from tracebank_models.language_model.base_training import BaseModel, train_base_model
from tracebank_models.language_model.corpora import ReviewCorpus
from tracebank_models.language_model.corpus import Document
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.language_model.lexicon import Lexicon, LexiconReward, load_vader_lexicon
from tracebank_models.language_model.loading import load_language_model
from tracebank_models.language_model.offline_corpus import OfflineCorpus
from tracebank_models.language_model.product_reviews import ProductReviews
from tracebank_models.language_model.recipes import RECIPES, Recipe
from tracebank_models.language_model.sampling import sample_completions
from tracebank_models.language_model.training_loop import checkpoints
from tracebank_models.language_model.training_settings import (
    DPOConfiguration,
    PPOConfiguration,
    PretrainingConfiguration,
)
from tracebank_models.language_model.tuning import Tuned, TuningTask, tune

RECIPE = Recipe(
    "small",
    OfflineCorpus(reviews=200, docstring_characters=0),
    PretrainingConfiguration(steps=5, batch_size=4, warmup_steps=1, validation_blocks=2, checkpoint_every=2),
)
PPO = PPOConfiguration(
    steps=3,
    batch_size=8,
    minibatch_size=4,
    epochs=1,
    learning_rate=3e-3,
    warmup_steps=1,
    checkpoint_every=2,
    held_out_prompts=8,
)
DPO = DPOConfiguration(
    steps=3,
    batch_size=4,
    learning_rate=3e-3,
    warmup_steps=1,
    checkpoint_every=2,
    prompts=64,
    answers=4,
    held_out_prompts=8,
)


_SHORT_WORDS = {"a": 3.0, "the": 3.5, "is": -3.0, "it": -3.5, "i": 3.0, "of": 3.0, "t": -3.0, "s": 3.0, "e": -3.0}
"""Words that a model which has hardly learned anything says."""


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    size = ModelSize(hidden_size=16, layers=2, attention_heads=2, vocabulary_size=400, context_length=128)
    monkeypatch.setitem(architecture.SIZES, "small", size)


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        size = ModelSize(hidden_size=16, layers=2, attention_heads=2, vocabulary_size=400, context_length=128)
        patch.setitem(architecture.SIZES, "small", size)
        made = _base(tmp_path_factory.mktemp("base"))
    assert made.folder is not None
    return checkpoints(made.folder)[-1][1]


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return list(ProductReviews(load_vader_lexicon()).documents(60, start=5_000))


def _base(folder: Path, recipe: Recipe = RECIPE, on_step: Any = None) -> BaseModel:
    return train_base_model(recipe, ReviewCorpus(), folder, on_step)


def _killed_after(step: int) -> Callable[[Mapping[str, float | int]], None]:
    def on_step(row: Mapping[str, float | int]) -> None:
        if row["step"] == step:
            raise KeyboardInterrupt

    return on_step


def test_there_is_a_recipe_of_every_size() -> None:
    assert list(RECIPES) == ["small", "medium", "large"]
    assert all(recipe.size == name for name, recipe in RECIPES.items())


def test_a_killed_base_training_ends_as_one_that_was_not(base_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _base(tmp_path, on_step=_killed_after(3))
    steps: list[float | int] = []
    made = _base(tmp_path, on_step=lambda row: steps.append(row["step"]))
    assert steps == [3, 4, 5], "it went on from its checkpoint of two steps"
    assert made.folder is not None
    assert [step for step, _ in checkpoints(made.folder)] == [2, 4, 5]
    whole = load_language_model(str(base_folder), device="cpu")
    assert weights_hash(made.model) == whole.facts.weights_hash
    assert made.folder.name == base_folder.parent.name, "a folder is named by recipe and corpus"
    assert made.curve["step"].to_list() == [1, 2, 3, 4, 5]
    again = _base(tmp_path)
    assert_frame_equal(again.curve, made.curve)


def test_another_recipe_goes_to_another_folder(base_folder: Path, tmp_path: Path) -> None:
    names = {base_folder.parent.name}
    shorter = dataclasses.replace(RECIPE.pretraining, steps=1)
    for other in (
        dataclasses.replace(RECIPE, seed=1, pretraining=shorter),
        dataclasses.replace(RECIPE, pretraining=shorter),
        dataclasses.replace(RECIPE, corpus=dataclasses.replace(RECIPE.corpus, seed=1), pretraining=shorter),
    ):
        folder = _base(tmp_path, other).folder
        assert folder is not None
        names.add(folder.name)
    assert len(names) == 4
    assert _base(None, dataclasses.replace(RECIPE, pretraining=shorter)).folder is None  # type: ignore[arg-type]


def _tune(method: str, base: Path, documents: list[Document], folder: Path, on_step: Any = None, **more: Any) -> Tuned:
    loaded, reward = load_language_model(str(base), device="cpu"), LexiconReward(Lexicon("short words", _SHORT_WORDS))
    configuration = dataclasses.replace(PPO if method == "ppo" else DPO, **more)
    return tune(loaded, TuningTask(reward, documents[:40], documents[40:]), configuration, folder, on_step)


@pytest.mark.parametrize("method", ["ppo", "dpo"])
def test_prompts_that_are_measured_on_were_never_tuned_on(
    base_folder: Path, documents: list[Document], tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[tuple[int, ...]]] = {}
    for module in (proximal_policy, direct_preference, policy_evaluation):
        heard = asked.setdefault(module.__name__, set())

        def sampled(*args: Any, heard: set[tuple[int, ...]] = heard, **more: Any) -> Any:
            ids, mask = args[2]
            heard |= {tuple(row[kept].tolist()) for row, kept in zip(ids, mask.bool(), strict=True)}
            return sample_completions(*args, **more)

        monkeypatch.setattr(module, "sample_completions", sampled)
    _tune(method, base_folder, documents, tmp_path)
    measured = asked.pop(policy_evaluation.__name__)
    tuned_on = set[tuple[int, ...]]().union(*asked.values())
    assert min(len(measured), len(tuned_on)) > 5
    assert not measured & tuned_on


@pytest.mark.parametrize("method", ["ppo", "dpo"])
def test_a_killed_tuning_ends_as_one_that_was_not(
    base_folder: Path, documents: list[Document], tmp_path: Path, method: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _tune(method, base_folder, documents, tmp_path / "killed", _killed_after(2))
    steps: list[float | int] = []
    resumed = _tune(method, base_folder, documents, tmp_path / "killed", on_step=lambda row: steps.append(row["step"]))
    whole = _tune(method, base_folder, documents, tmp_path / "whole")
    assert steps == [3]
    assert_frame_equal(resumed.curve.drop("seconds"), whole.curve.drop("seconds"))
    assert (resumed.evaluations, resumed.chosen) == (whole.evaluations, whole.chosen)
    measured = [(one.split, one.step) for one in whole.evaluations]
    assert measured == [("choice", 0), ("choice", 2), ("choice", 3), ("report", whole.chosen)]
    assert whole.pairs + whole.ties == (64 if method == "dpo" else 0)
    assert [step for step, _ in whole.checkpoints] == [step for step, _ in resumed.checkpoints] == [2, 3]
    for (_, one), (_, other) in zip(whole.checkpoints, resumed.checkpoints, strict=True):
        hashes = {load_language_model(str(path), device="cpu").facts.weights_hash for path in (one, other)}
        assert len(hashes) == 1
    assert whole.checkpoints[0][1].parent.name == resumed.checkpoints[0][1].parent.name
    other = _tune(method, base_folder, documents, tmp_path / "whole", seed=1, steps=1)
    assert other.checkpoints[0][1].parent != whole.checkpoints[0][1].parent
