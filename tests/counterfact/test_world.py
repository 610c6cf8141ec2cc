"""A world of facts: what its text tells, its records, and whether a model is asked about all of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl
import pytest
from tests.counterfact.cases import byte_model
from tests.tiny_models import byte_tokenizer

from tracebank_models.counterfact.world import known_facts, world_cases
from tracebank_models.language_model import architecture
from tracebank_models.language_model.architecture import WORLD_SIZES
from tracebank_models.language_model.base_training import train_base_model
from tracebank_models.language_model.fact_world import FactWorld
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.language_model.recipes import WORLD_RECIPES
from tracebank_models.language_model.training_settings import PretrainingConfiguration

SMALL = FactWorld(subjects=8, relations=2, objects=3, documents=400)


def test_the_text_tells_each_fact_and_never_in_its_untold_template() -> None:
    text = " ".join(document.text for document in SMALL.texts())
    for fact in SMALL.facts():
        told = [template.format(fact.subject) in text for template in fact.relation.templates]
        assert told == [at != fact.untold for at in range(len(told))]
        assert all(f"{template.format(fact.subject)} {fact.object}." in text for template in fact.told)
    first = next(iter(SMALL.texts()))
    assert next(iter(dataclasses.replace(SMALL, documents=10).texts())) == first
    assert next(iter(dataclasses.replace(SMALL, seed=1).texts())).text != first.text
    assert {1 + document.text.count(". ") for document in SMALL.texts()} == {2, 3, 4}


def test_the_default_world_has_cases_with_neighbors_and_names_of_two_words() -> None:
    world = FactWorld()
    cases = world_cases(world)
    assert len(cases) == 320
    assert len({case.key() for case in cases}) == 320
    assert {len(case.neighbors) for case in cases} == {9}
    assert {case.relation for case in cases[:40]} == {"P103", "P19", "P1303", "P641"}
    subjects = {fact.subject for fact in world.facts()}
    last = [subject.split()[1] for subject in subjects]
    assert len(subjects) == 80
    assert len({name for name in last if last.count(name) == 1}) == 40
    facts = {(fact.relation.relation, fact.subject): fact for fact in world.facts()}
    for case in cases:
        fact = facts[case.relation, case.subject]
        assert case.prompt in fact.told
        assert fact.object == case.target_true
        assert any(fact.relation.templates[fact.untold].format(fact.subject) in text for text in case.paraphrases)
        assert not any(case.subject in text for text in (*case.neighbors, *case.attributes))


@pytest.mark.parametrize("size", WORLD_RECIPES)
def test_a_recipe_trains_a_model_of_its_family(size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = dataclasses.replace(WORLD_SIZES[size], hidden_size=16, layers=2, attention_heads=2)
    monkeypatch.setitem(architecture.WORLD_SIZES, size, tiny)
    steps = PretrainingConfiguration(steps=2, batch_size=2, validation_blocks=2)
    recipe = dataclasses.replace(WORLD_RECIPES[size], corpus=SMALL, pretraining=steps)
    made = train_base_model(recipe, directory=tmp_path)
    assert made.model.config.model_type == WORLD_SIZES[size].family
    assert made.curve.height == 2
    fitting = dataclasses.replace(tiny, vocabulary_size=len(made.tokenizer))
    assert sum(one.numel() for one in made.model.parameters()) == fitting.parameters
    assert weights_hash(train_base_model(recipe).model) == weights_hash(made.model)


def test_every_fact_is_asked_for_in_every_template() -> None:
    found = known_facts(byte_model(), byte_tokenizer(), SMALL)
    assert found.height == 8 * 2 * 4
    assert found.group_by("relation", "subject").agg(pl.col("told").sum())["told"].to_list() == [3] * 16
    assert found["log_likelihood"].max() < 0
    assert not found["correct"].any()


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("subjects", 1, "a whole number from 2 to 168"),
        ("relations", 5, "a whole number from 1 to 4"),
        ("objects", 11, "a whole number from 2 to 10"),
        ("documents", 0, "a whole number from 2 to 1000000000"),
    ],
)
def test_a_world_out_of_range_is_one_line(field: str, value: int, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^FactWorld.{field}: {value} is not allowed; allowed: {allowed}$"):
        FactWorld(**{field: value})
