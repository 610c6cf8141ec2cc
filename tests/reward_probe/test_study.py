"""Reward studies: what a file may say, one line for each thing that it may not, and what a plan comes to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tracebank_models.language_model.recipes import RECIPES
from tracebank_models.reward_probe.study import (
    EFFORTS,
    ModelSource,
    Study,
    ladder_studies,
)
from tracebank_models.reward_probe.study_file import read_studies


def _read(folder: Path, text: str) -> dict[str, Study]:
    path = folder / "studies.toml"
    path.write_text(text, encoding="utf-8")
    return read_studies(path)


def test_the_ladder_has_both_methods_of_every_size() -> None:
    found = ladder_studies()
    assert list(found) == [f"{size}-{method}" for size in RECIPES for method in ("ppo", "dpo")]
    assert all(study.base.trained_here and study.tuned is None for study in found.values())
    assert {study.effort for study in found.values()} <= set(EFFORTS.values())


def test_a_file_adds_studies_of_models_from_anywhere(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        '[models.pythia]\nsource = "EleutherAI/pythia-70m"\nrevision = "step3000"\n'
        '[models.mine]\nsource = "/data/mine"\n[models.again]\nsource = "small"\n'
        '[studies.pythia-ppo]\nbase = "pythia"\nmethod = "ppo"\n'
        '[studies.mine_2]\nbase = "pythia"\nmethod = "loaded"\ntuned = "mine"\n'
        '[studies.ladder-again]\nbase = "medium"\nmethod = "dpo"\n'
        '[studies.of-again]\nbase = "again"\nmethod = "dpo"\n',
    )
    pythia = ModelSource("pythia", "EleutherAI/pythia-70m", "step3000")
    assert found["pythia-ppo"] == Study("pythia-ppo", pythia, "ppo")
    assert found["mine_2"] == Study("mine_2", pythia, "loaded", ModelSource("mine", "/data/mine"))
    assert found["ladder-again"].base == ModelSource("medium", "medium")
    assert found["of-again"].base.trained_here
    assert found["of-again"].effort == EFFORTS["small"]
    assert found["pythia-ppo"].effort == EFFORTS["large"], "as of a model from elsewhere"


STUDY = "[studies.a]\nbase = 'small'\nmethod = 'ppo'\n"


def test_a_study_changes_what_its_size_does(tmp_path: Path) -> None:
    text = STUDY + "seeds = [1, 2]\ndocuments = 40\n[studies.a.ppo]\nsteps = 3\n[studies.a.dictionaries]\nl1 = 1\n"
    study = _read(tmp_path, "\ufeff" + text.replace("\n", "\r\n"))["a"]
    small = EFFORTS["small"]
    assert study.seeds == (1, 2)
    assert study.effort == dataclasses.replace(
        small, documents=40, ppo=dataclasses.replace(small.ppo, steps=3),
        dictionaries=dataclasses.replace(small.dictionaries, l1=1.0),
    )  # fmt: skip


MODEL = '[models.other]\nsource = "/data/other"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models", r"^studies: .*studies.toml cannot be read \("),
        ("[model.a]\nsource = 'x'", r"^model: not known; did you mean models\?$"),
        ("models = 3", r"^models: 3 is not allowed; allowed: a table$"),
        ("[models]\na = 'x'", r"^models.a: 'x' is not allowed; allowed: a table$"),
        ("[models.'a/b']\nsource = 'x'", r"^models: 'a/b' is not allowed: 1 to 60 of A to Z"),
        ("[models.'']\nsource = 'x'", r"^models: '' is not allowed"),
        ('[models."a\\nb"]\nsource = "x"', r"^models: 'a\\nb' is not allowed"),
        (f"[models.{'a' * 61}]\nsource = 'x'", r"^models: 'a+' is not allowed"),
        ("[models.a]\nrevision = 'x'", r"^models.a.source: missing$"),
        ("[models.a]\nsource = 'x'\nsize = 'y'", r"^models.a.size: not known; allowed: source, revision"),
        ("[models.a]\nsource = 3", r"^models.a.source: 3 is not allowed; allowed: text$"),
        ("[models.a]\nsource = ''", r"^models.a.source: '' is not allowed; allowed: text of length >= 1$"),
        ("[models.small]\nsource = 'x'", r"^models: 'small' is taken by another one: allowed is another"),
        ("[models.Small-PPO]\nsource = 'x'", r"^models: 'Small-PPO' is taken"),
        ("[models.a]\nsource = 'small'\nrevision = 'x'", r"^models.a.revision: 'x' is not allowed: a recipe has none"),
        ("[studies.a]\nbase = 'small'", r"^studies.a.method: missing$"),
        (STUDY + "layer = 3", r"^studies.a.layer: not known; did you mean layers\?$"),
        (STUDY + "[studies.a.ppo]\nxyz = 3", r"^studies.a.ppo.xyz: not known; allowed: steps, batch_size, "),
        (STUDY + "seeds = 3", r"^studies.a.seeds: 3 is not allowed; allowed: a list$"),
        (STUDY + "seeds = []", r"^studies.a.seeds: \[\] is not allowed; allowed: one or more, each once$"),
        (STUDY + "seeds = [1, 1]", r"^studies.a.seeds: \[1, 1\] is not allowed"),
        (STUDY + "seeds = [1000000000]", r"^studies.a.seeds\[0\]: 1000000000 is not allowed; allowed: "),
        (STUDY + "seeds = [1, -1]", r"^studies.a.seeds\[1\]: -1 is not allowed; allowed: a whole number >= 0$"),
        (STUDY + "documents = 3", r"^studies.a.documents: 3 is not allowed; allowed: a whole number >= 4$"),
        (STUDY + "documents = 1e99", r"^studies.a.documents: 1e\+99 is not allowed; allowed: a whole number$"),
        (STUDY + f"documents = {10**30}", r"^studies.a.documents: 1000+ is not allowed; allowed: a whole number <= "),
        (STUDY + "documents = '3'", r"^studies.a.documents: '3' is not allowed; allowed: a whole number$"),
        (STUDY + "ablated_share = nan", r"^studies.a.ablated_share: nan is not allowed; allowed: a number"),
        (STUDY + "ppo = 3", r"^studies.a.ppo: 3 is not allowed; allowed: a table$"),
        (STUDY + "[studies.a.dictionaries]\nl1 = -1.0", r"^studies.a.dictionaries.l1: -1.0 is not allowed"),
        (STUDY + "[studies.a.dictionaries]\nl2 = 1.0", r"^studies.a.dictionaries.l2: not known; did you mean l1\?$"),
        (STUDY + "[studies.a.dictionaries]\narchitecture = 'x'", r"^studies.a.dictionaries.architecture: 'x' is"),
        (STUDY + "[studies.a.ppo]\nsteps = 0", r"^studies.a.ppo.steps: 0 is not allowed; allowed: a whole"),
        (STUDY + "[studies.a.ppo]\nlearning_rate = nan", r"^studies.a.ppo.learning_rate: nan is not allowed"),
        (STUDY + "[studies.a.ppo]\nminibatch_size = 7", r"^studies.a.ppo.minibatch_size: 7 is not allowed"),
        ("[studies.a]\nbase = 'tiny'\nmethod = 'ppo'", r"^studies.a.base: 'tiny' is not known: one of small, medium,"),
        ("[studies.a]\nbase = 'small'\nmethod = 'rlhf'", r"^studies.a.method: 'rlhf' is not allowed; allowed: one of "),
        ("[studies.a]\nbase = 'small'\nmethod = 'loaded'", r"^studies.a.method: 'loaded' is not allowed"),
        (MODEL + "[studies.a]\nbase = 'other'\nmethod = 'ppo'\ntuned = 'other'", r"^studies.a.method: 'ppo' is not"),
        (MODEL + "[studies.a]\nbase = 'small'\nmethod = 'loaded'\ntuned = 'medium'",
         r"^studies.a.tuned: 'medium' is not known: one of other$"),
        ("[studies.a]\nbase = 'small'\nmethod = 'loaded'\ntuned = 'medium'",
         r"^studies.a.tuned: 'medium' is not known: a model of the file that is not trained here$"),
        ("[studies.small-dpo]\nbase = 'small'\nmethod = 'dpo'", r"^studies: 'small-dpo' is taken"),
        (MODEL + "[studies.other]\nbase = 'other'\nmethod = 'ppo'", r"^studies: 'other' is taken"),
        ("[studies.a]\nbase = 'small'\nmethod = 'dpo'\n[studies.A]\nbase = 'small'\nmethod = 'dpo'",
         r"^studies: 'A' is taken"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as failure:
        _read(tmp_path, text)
    assert "\n" not in str(failure.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^studies: .*none.toml cannot be read \("):
        read_studies(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(ValueError, match=r"^studies: .*latin.toml cannot be read \("):
        read_studies(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"documents": 0}, r"^Effort.documents: 0 is not allowed; allowed: a whole number >= 4$"),
        ({"layers": 0}, r"^Effort.layers: 0 is not allowed"),
        ({"max_tokens": 0}, r"^Effort.max_tokens: 0 is not allowed"),
        ({"ablated_share": 1.5}, r"^Effort.ablated_share: 1.5 is not allowed"),
        ({"loss_documents": 0}, r"^Effort.loss_documents: 0 is not allowed"),
        ({"threads": 0}, r"^Effort.threads: 0 is not allowed"),
    ],
)
def test_efforts_that_come_to_nothing(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(EFFORTS["small"], **changed)
