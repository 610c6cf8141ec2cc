from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from tests.kills import RENAMES, killed_everywhere
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.architecture import SIZES, ModelSize, build_model, model_size
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.language_model.pretraining import PretrainingConfiguration, batch_rows, mean_loss, pretrain
from tracebank_models.language_model.token_blocks import TokenBlocks, token_blocks
from tracebank_models.language_model.training_loop import checkpoints

SETTINGS = PretrainingConfiguration(
    steps=12, batch_size=8, warmup_steps=2, validate_every=4, validation_blocks=8, checkpoint_every=4, seed=5
)


@pytest.fixture(scope="session")
def blocks(tokenizer: PreTrainedTokenizerFast, corpus: pl.DataFrame) -> TokenBlocks:
    return token_blocks(tokenizer, corpus, 32)


def test_the_ladder_has_the_sizes_it_says(tokenizer: PreTrainedTokenizerFast) -> None:
    for size in (SIZES["small"], ModelSize(32, 3, 2, vocabulary_size=400)):
        model = build_model(size, tokenizer)
        assert sum(parameter.numel() for parameter in model.parameters()) == size.parameters
    assert [round(size.parameters / 1e6, 1) for size in SIZES.values()] == [0.6, 2.1, 8.2]
    with pytest.raises(ValueError, match="size: 'huge' is not allowed; allowed: small, medium, large"):
        model_size("huge")


def test_weights_are_drawn_by_seed_and_the_callers_chance_is_left_alone(
    tokenizer: PreTrainedTokenizerFast, model: GPTNeoXForCausalLM
) -> None:
    size = ModelSize(32, 3, 2, vocabulary_size=400, context_length=64)
    before = torch.get_rng_state()
    assert weights_hash(build_model(size, tokenizer, 1)) == weights_hash(model)
    assert weights_hash(build_model(size, tokenizer, 2)) != weights_hash(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_impossible_sizes_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match=r"ModelSize\.attention_heads: 3 is not allowed; allowed"):
        ModelSize(64, 2, 3)
    with pytest.raises(ValueError, match="vocabulary_size: 399 is not allowed; allowed: at least the tokenizer's 400"):
        build_model(ModelSize(32, 1, 2, vocabulary_size=399), tokenizer)


def test_every_epoch_takes_every_row_once() -> None:
    taken = np.concatenate([batch_rows(10, 4, step, seed=0) for step in range(5)])
    assert sorted(taken[:10]) == list(range(10))
    assert sorted(taken[10:]) == list(range(10))
    assert taken[:10].tolist() != taken[10:].tolist()


def test_a_killed_training_resumes_to_the_same_weights_and_rows(
    tokenizer: PreTrainedTokenizerFast, blocks: TokenBlocks, model: GPTNeoXForCausalLM, tmp_path: Path
) -> None:
    size = ModelSize(32, 3, 2, vocabulary_size=400, context_length=64)
    whole = pretrain(model, tokenizer, blocks, blocks, SETTINGS)

    class Killed(Exception):
        pass

    def kill(row: object) -> None:
        assert isinstance(row, dict)
        if row["step"] == 6:
            raise Killed

    with pytest.raises(Killed):
        pretrain(build_model(size, tokenizer, 1), tokenizer, blocks, blocks, SETTINGS, tmp_path, kill)
    assert [step for step, _ in checkpoints(tmp_path)] == [4]
    seen: list[object] = []
    resumed = build_model(size, tokenizer, 1)
    curve = pretrain(resumed, tokenizer, blocks, blocks, SETTINGS, tmp_path, lambda row: seen.append(row["step"]))
    assert seen == list(range(5, 13))
    assert weights_hash(resumed) == weights_hash(model)
    assert_frame_equal(curve.drop("seconds"), whole.drop("seconds"), check_exact=True)
    assert [step for step, _ in checkpoints(tmp_path)] == [4, 8, 12]
    assert weights_hash(GPTNeoXForCausalLM.from_pretrained(checkpoints(tmp_path)[-1][1])) == weights_hash(model)
    other = build_model(size, tokenizer, 2)
    with pytest.raises(ValueError, match="checkpoint-00000012 is of another training; allowed"):
        pretrain(other, tokenizer, blocks, blocks, SETTINGS, tmp_path)


def test_a_kill_before_any_checkpoint_has_its_name_is_survived(
    tokenizer: PreTrainedTokenizerFast, blocks: TokenBlocks, tmp_path: Path
) -> None:
    size = ModelSize(32, 1, 2, vocabulary_size=400, context_length=64)
    settings = dataclasses.replace(SETTINGS, steps=2, checkpoint_every=1)

    def train(place: Path) -> str:
        made = build_model(size, tokenizer, 1)
        pretrain(made, tokenizer, blocks, blocks, settings, place)
        return weights_hash(made)

    whole = train(tmp_path / "whole")

    def again(place: Path) -> None:
        assert train(place) == whole
        assert [step for step, _ in checkpoints(place)] == [1, 2]

    assert killed_everywhere(train, tmp_path / "killed", again, changes=RENAMES) == 2


def test_the_loss_falls_and_is_the_cross_entropy(
    tokenizer: PreTrainedTokenizerFast, blocks: TokenBlocks, model: GPTNeoXForCausalLM
) -> None:
    untrained = mean_loss(model, blocks.ids[:8])
    assert untrained == pytest.approx(np.log(400), abs=0.1)
    curve = pretrain(model, tokenizer, blocks, blocks, PretrainingConfiguration(steps=40, batch_size=8, warmup_steps=4))
    assert curve["validation_loss"].drop_nulls().to_list()[-1] < untrained - 1
    ids = torch.from_numpy(blocks.ids[:3].astype(np.int64))
    own = model(input_ids=ids, labels=ids).loss.item()
    assert mean_loss(model, blocks.ids[:3], batch_size=2) == pytest.approx(own, rel=1e-5)


def test_bad_training_input_is_refused(
    tokenizer: PreTrainedTokenizerFast, corpus: pl.DataFrame, blocks: TokenBlocks, model: GPTNeoXForCausalLM
) -> None:
    with pytest.raises(ValueError, match=r"PretrainingConfiguration\.steps: 0 is not allowed; allowed: a whole number"):
        PretrainingConfiguration(steps=0)
    with pytest.raises(ValueError, match="block_length: 65 is not allowed; allowed: at most the model's context, 64"):
        pretrain(model, tokenizer, token_blocks(tokenizer, corpus, 65))
    few = PretrainingConfiguration(batch_size=10_000)
    with pytest.raises(ValueError, match=r"train: \d+ blocks are not allowed; allowed: at least a batch, 10000"):
        pretrain(model, tokenizer, blocks, configuration=few)
    torch.nn.init.constant_(model.gpt_neox.embed_in.weight, float("nan"))
    with pytest.raises(ValueError, match="loss: nan at step 1 is not allowed"):
        pretrain(model, tokenizer, blocks, configuration=SETTINGS)
