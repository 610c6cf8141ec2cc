"""The ladder: sizes, the same tokens for all, and the side of each module."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tracebank_models.identifier_swaps import ladder
from tracebank_models.identifier_swaps.ladder import LADDER, in_training_text, ladder_models, ladder_plan
from tracebank_models.language_model.architecture import build_model
from tracebank_models.language_model.corpus import corpus_frame, split_corpus
from tracebank_models.language_model.standard_library import standard_library_documents
from tracebank_models.language_model.tokenizer import train_tokenizer


@pytest.fixture
def small_corpus(tmp_path: Path) -> pl.DataFrame:
    (tmp_path / "library").mkdir()
    for number in range(12):
        (tmp_path / "library" / f"module_{number}.py").write_text(f"value_{number} = len(str({number}))\n" * 120)
    return corpus_frame(standard_library_documents(("sources",), root=tmp_path / "library"))


def test_five_sizes_read_the_same_tokens() -> None:
    wanted = [0.1e6, 0.3e6, 1e6, 3e6, 8e6]
    assert [plan.size.inner_parameters for plan in LADDER.values()] == pytest.approx(wanted, rel=0.13)
    read = {
        (p.pretraining.steps, p.pretraining.batch_size, p.block_length, p.pretraining.seed) for p in LADDER.values()
    }
    assert len(read) == 1
    assert {plan.size.context_length for plan in LADDER.values()} == {plan.block_length for plan in LADDER.values()}
    plan = ladder_plan("code-0.1m", steps=3)
    assert plan.pretraining.steps == 3
    model = build_model(plan.size, train_tokenizer(["a"], 300))
    assert sum(one.numel() for one in model.gpt_neox.layers.parameters()) == pytest.approx(
        plan.size.inner_parameters, abs=128
    )
    with pytest.raises(ValueError, match=r"^model: 'code-9m' is not allowed; allowed: code-0.1m, "):
        ladder_plan("code-9m")


def test_a_modules_side_is_that_of_the_training(small_corpus: pl.DataFrame) -> None:
    train, held = split_corpus(small_corpus, ladder.HELD_OUT_SHARE)
    sides = {True: train, False: held}
    for side, documents in sides.items():
        names = [name.removeprefix("stdlib/source/") for name in documents["document_id"]]
        assert names
        assert {in_training_text(name) for name in names} == {side}


def test_models_are_trained_and_go_on(
    small_corpus: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "code_corpus", lambda: small_corpus)
    names = list(LADDER)[:2]
    made = dict(ladder_models(tmp_path, names, steps=2))
    assert list(made) == names
    first, second = made.values()
    assert first.curve["tokens"].to_list() == second.curve["tokens"].to_list() == [1_536, 3_072]
    assert first.tokenizer.get_vocab() == second.tokenizer.get_vocab()
    assert first.folder is not None
    assert first.folder.parent == tmp_path / names[0]
    steps: list[float | int] = []
    again = dict(ladder_models(tmp_path, names, steps=2, on_step=lambda row: steps.append(row["step"])))
    assert steps == [], "what is trained is loaded"
    assert again[names[0]].curve.equals(first.curve)
