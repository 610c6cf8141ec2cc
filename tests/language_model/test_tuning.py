"""Sampling, PPO and DPO on a small model, with a reward that is easy to learn: the share of the letter e."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.direct_preference import (
    DPOConfiguration,
    PreferencePair,
    pair_completions,
    response_sums,
    sampled_preferences,
    tune_with_dpo,
)
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.language_model.lexicon import Lexicon, LexiconReward
from tracebank_models.language_model.policy_evaluation import HeldOutPrompts
from tracebank_models.language_model.prompts import PromptLengths, PromptSource, step_generator
from tracebank_models.language_model.proximal_policy import PPOConfiguration, tune_with_ppo
from tracebank_models.language_model.sampling import (
    Completions,
    chosen_log_probabilities,
    response_logits,
    sample_completions,
)
from tracebank_models.language_model.training_loop import checkpoints

LENGTHS = PromptLengths(2, 5, 4, 9, document_characters=50)
PPO = PPOConfiguration(
    steps=14,
    batch_size=32,
    minibatch_size=16,
    learning_rate=3e-3,
    warmup_steps=2,
    beta=0.05,
    checkpoint_every=5,
)


def letter_share(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([10 * text.count("e") / max(1, len(text)) for text in texts])


@pytest.fixture
def prompts(tokenizer: PreTrainedTokenizerFast, corpus: pl.DataFrame) -> PromptSource:
    return PromptSource(tokenizer, corpus, LENGTHS)


def _sample(model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource) -> Completions:
    batch = prompts.batch(16, 3)
    chance = step_generator(torch.device("cpu"), 0, 3)
    return sample_completions(model.eval(), tokenizer, (batch.ids, batch.mask), batch.response_lengths, chance)


def test_prompts_are_the_starts_of_documents(
    prompts: PromptSource, tokenizer: PreTrainedTokenizerFast, corpus: pl.DataFrame
) -> None:
    batch = prompts.batch(200, 7)
    sizes = batch.mask.sum(dim=1)
    assert set(sizes.tolist()) == {2, 3, 4, 5}
    assert set(batch.response_lengths.tolist()) == {4, 5, 6, 7, 8, 9}
    starts = tuple(corpus["text"].to_list())
    for ids, size in zip(batch.ids, sizes.tolist(), strict=True):
        assert any(text.startswith(tokenizer.decode(ids[-size:])) for text in starts)
    assert torch.equal(batch.ids, prompts.batch(200, 7).ids)
    with pytest.raises(
        ValueError, match="corpus: none of 300 documents gives a prompt; allowed: documents of more tha"
    ):
        PromptSource(tokenizer, corpus, PromptLengths(document_characters=10**6))


def test_greedy_completions_are_those_of_transformers(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    model.eval()
    batch = prompts.batch(12, 0)
    own = sample_completions(model, tokenizer, (batch.ids, batch.mask), torch.full((12,), 6), temperature=0)
    theirs = model.generate(
        input_ids=batch.ids, attention_mask=batch.mask, max_new_tokens=6, do_sample=False, pad_token_id=1
    )
    assert own.input_ids.tolist() == theirs.tolist()


def test_samples_have_the_lengths_wanted_and_the_models_distribution(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    done = _sample(model, tokenizer, prompts)
    wanted = prompts.batch(16, 3).response_lengths
    ended = (done.response_ids == 0).any(dim=1)
    assert torch.equal(done.lengths[~ended], wanted[~ended])
    assert (done.lengths <= wanted).all()
    assert torch.equal(done.input_ids, _sample(model, tokenizer, prompts).input_ids)
    start = torch.full((20_000, 1), 40)
    lengths = torch.ones(20_000, dtype=torch.int64)
    chance = torch.Generator().manual_seed(0)
    drawn = sample_completions(model, tokenizer, (start, torch.ones_like(start)), lengths, chance).response_ids[:, 0]
    expected = torch.softmax(model(start[:1]).logits[0, -1], 0)
    shares = torch.bincount(drawn, minlength=400) / 20_000
    assert float((shares - expected.detach()).abs().sum()) < 0.15


def test_padding_changes_no_probability(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    done = _sample(model, tokenizer, prompts)
    chosen = chosen_log_probabilities(response_logits(model, done)[0], done)
    assert (chosen[done.response_mask == 0] == 0).all()
    for row, length in enumerate(done.lengths.tolist()):
        prompt = done.prompt_ids[row][done.prompt_mask[row].bool()]
        ids = torch.cat((prompt, done.response_ids[row, :length]))
        alone = torch.log_softmax(model(ids[None]).logits[0, len(prompt) - 1 : -1], -1)
        expected = alone.gather(1, ids[len(prompt) :, None])[:, 0]
        assert torch.allclose(chosen[row, :length], expected, atol=1e-5)
    other = torch.where(done.prompt_mask.bool(), done.prompt_ids, 77)
    tail = torch.where(done.response_mask.bool(), done.response_ids, 88)
    swapped = Completions(other, done.prompt_mask, tail, done.response_mask)
    assert torch.equal(chosen_log_probabilities(response_logits(model, swapped)[0], swapped), chosen)


def test_bad_sampling_is_refused(model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = torch.full((1, 60), 40)
    with pytest.raises(ValueError, match="lengths: 65 tokens with the prompt are not allowed; allowed: at most 64"):
        sample_completions(model, tokenizer, (prompt, torch.ones_like(prompt)), torch.tensor([5]), temperature=0)
    with pytest.raises(ValueError, match=r"temperature: 1\.0 is not allowed"):
        sample_completions(model, tokenizer, (prompt, torch.ones_like(prompt)), torch.tensor([1]))


def test_ppo_raises_the_reward_and_resumes_to_the_same_weights(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource, tmp_path: Path
) -> None:
    killed, resumed, untuned = copy.deepcopy(model), copy.deepcopy(model), copy.deepcopy(model)
    before = weights_hash(model)
    curve = tune_with_ppo(model, tokenizer, prompts, letter_share, PPO)
    first, last = curve["reward_mean"].head(3).mean(), curve["reward_mean"].tail(3).mean()
    assert isinstance(first, float)
    assert isinstance(last, float)
    assert last > first + 0.5
    assert curve["kl"][0] == 0
    assert curve["kl"].tail(12).min() > 0  # type: ignore[operator]
    assert curve["updates"].is_between(1, 8).all()
    assert curve["response_length"].is_between(1, 9).all()

    class Killed(Exception):
        pass

    def kill(row: object) -> None:
        assert isinstance(row, dict)
        if row["step"] == 7:
            raise Killed

    with pytest.raises(Killed):
        tune_with_ppo(killed, tokenizer, prompts, letter_share, PPO, tmp_path, kill)
    again = tune_with_ppo(resumed, tokenizer, prompts, letter_share, PPO, tmp_path)
    assert weights_hash(resumed) == weights_hash(model) != before
    assert_frame_equal(again.drop("seconds"), curve.drop("seconds"), check_exact=True)
    assert [step for step, _ in checkpoints(tmp_path)] == [5, 10, 14]
    with pytest.raises(ValueError, match="checkpoint-00000014 is of another training; allowed"):
        tune_with_ppo(untuned, tokenizer, prompts, LexiconReward(Lexicon("e", {"e": 1.0})), PPO, tmp_path)


def test_a_reward_that_is_no_number_is_refused(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    with pytest.raises(ValueError, match=r"reward: nan for '.*' is not allowed; allowed: a finite number"):
        tune_with_ppo(model, tokenizer, prompts, lambda texts: np.full(len(texts), np.nan), PPO)
    with pytest.raises(ValueError, match=r"PPOConfiguration\.minibatch_size: 7 is not allowed; allowed: a divisor of"):
        PPOConfiguration(minibatch_size=7)
    with pytest.raises(
        ValueError, match=r"PPOConfiguration\.beta: 0 is not allowed; allowed: above 0 with a target_kl"
    ):
        PPOConfiguration(beta=0, target_kl=2.0)


def test_the_passes_of_a_step_end_when_the_policy_has_gone_far_enough(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    short = dataclasses.replace(PPO, steps=3, step_kl=1e-6)
    curve = tune_with_ppo(model, tokenizer, prompts, letter_share, short)
    assert curve["updates"].to_list() == [1, 1, 1], "only an update of the policy that sampled is at no distance"


def test_pairs_are_the_best_and_the_worst_of_all_answers(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    seen: list[float] = []

    def noted(texts: Sequence[str]) -> npt.NDArray[np.float64]:
        scores = np.round(letter_share(texts), 1)
        seen.extend(scores.tolist())
        return scores

    pairs = sampled_preferences(model, tokenizer, prompts, noted, batches=2, batch_size=16, smallest_gap=2.0, answers=8)
    groups = [sorted(seen[at : at + 8]) for at in range(0, 2 * 16 * 8, 8)]
    expected = [(group[-1], group[0]) for group in groups if group[-1] - group[0] >= 2.0]
    assert 0 < len(expected) < 32, "some prompts are told apart and some are not"
    decoded = [
        tokenizer.batch_decode([list(pair.chosen), list(pair.rejected)], skip_special_tokens=True) for pair in pairs
    ]
    assert [tuple(np.round(letter_share(two), 1)) for two in decoded] == expected
    starts = [prompts.batch(16, step) for step in (0, 1)]
    asked = {tuple(ids[kept.bool()].tolist()) for one in starts for ids, kept in zip(one.ids, one.mask, strict=True)}
    assert {pair.prompt for pair in pairs} <= asked


def test_dpo_learns_the_preferences(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource, tmp_path: Path
) -> None:
    pairs = sampled_preferences(model, tokenizer, prompts, letter_share, batches=6, batch_size=64)
    for pair in pairs:
        better, worse = letter_share(
            tokenizer.batch_decode([list(pair.chosen), list(pair.rejected)], skip_special_tokens=True)
        )
        assert better > worse
    settings = DPOConfiguration(steps=40, batch_size=32, learning_rate=3e-3, checkpoint_every=0)
    reference = copy.deepcopy(model)
    curve = tune_with_dpo(model, tokenizer, pairs, settings, tmp_path)
    assert curve["loss"][0] == pytest.approx(np.log(2), rel=1e-6)
    assert curve["margin"][0] == 0
    assert curve["accuracy"].tail(5).mean() > 0.8  # type: ignore[operator]
    held = HeldOutPrompts(reference, tokenizer, prompts, letter_share, 64)
    report = held.evaluate(model, 40, "report")
    assert report.gain > 0.3
    assert report.gain_low > 0
    assert report.kl > 0
    assert [step for step, _ in checkpoints(tmp_path)] == [40]


def test_pairs_are_summed_over_their_own_tokens(model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = [PreferencePair((40, 41), (50, 51, 52), (60,)), PreferencePair((42,), (53,), (61, 62))]
    model.requires_grad_(False)
    sums = response_sums(model.eval(), pair_completions(tokenizer, pairs, torch.device("cpu")))
    order = [(pairs[0], "chosen"), (pairs[1], "chosen"), (pairs[0], "rejected"), (pairs[1], "rejected")]
    for total, (pair, side) in zip(sums.tolist(), order, strict=True):
        ids = torch.tensor([[*pair.prompt, *getattr(pair, side)]])
        log_probabilities = torch.log_softmax(model(ids).logits[0], -1)
        places = range(len(pair.prompt), ids.shape[1])
        assert total == pytest.approx(sum(float(log_probabilities[p - 1, ids[0, p]]) for p in places), abs=1e-4)


def test_bad_pairs_are_refused(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    pair = PreferencePair((40,), (50,), ())
    with pytest.raises(ValueError, match="pairs: 1 are not allowed; allowed: at least a batch, 16"):
        tune_with_dpo(model, tokenizer, [pair])
    with pytest.raises(ValueError, match="pairs: rejected of pair 0 is empty; allowed: at least one token"):
        tune_with_dpo(model, tokenizer, [pair] * 16)
    with pytest.raises(ValueError, match="reward: 8 pairs are all ties; allowed: a reward that prefers something"):
        sampled_preferences(model, tokenizer, prompts, lambda texts: np.zeros(len(texts)), 1, 8)
