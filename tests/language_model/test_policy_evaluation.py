"""What tuning is said to have done: paired gains with their interval, exact KL, and the choice of a checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import torch
from scipy import stats
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.corpus import Document, corpus_frame
from tracebank_models.language_model.policy_evaluation import (
    HeldOutPrompts,
    PolicyEvaluation,
    by_opening,
    chosen_step,
    interval,
    response_kl,
)
from tracebank_models.language_model.prompts import Prompt, PromptBatch, PromptLengths, PromptSource, step_generator
from tracebank_models.language_model.proximal_policy import PPOConfiguration, tune_with_ppo
from tracebank_models.language_model.sampling import sample_completions

LENGTHS = PromptLengths(2, 5, 4, 6, document_characters=50)
SHORT = PPOConfiguration(
    steps=3, batch_size=16, minibatch_size=16, epochs=2, learning_rate=3e-3, warmup_steps=1, checkpoint_every=0
)


def letter_share(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([10 * text.count("e") / max(1, len(text)) for text in texts])


def hashed(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """A number of each text's own that nothing can be learned from."""
    return np.array([int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32 for text in texts])


@pytest.fixture
def prompts(tokenizer: PreTrainedTokenizerFast, corpus: pl.DataFrame) -> PromptSource:
    return PromptSource(tokenizer, corpus[:200], LENGTHS)


@pytest.fixture
def held_out(tokenizer: PreTrainedTokenizerFast, corpus: pl.DataFrame) -> PromptSource:
    return PromptSource(tokenizer, corpus[200:], LENGTHS)


def _evaluation(step: int, gain: float, kl: float) -> PolicyEvaluation:
    return PolicyEvaluation(step, "choice", 8, gain, 0.0, gain, 0.1, gain - 0.2, gain + 0.2, kl, 0.1)


def test_a_checkpoint_is_chosen_by_its_gain_less_the_price_of_its_kl() -> None:
    found = [_evaluation(0, 0.0, 0.0), _evaluation(10, 0.3, 1.0), _evaluation(20, 0.5, 2.0), _evaluation(30, 2.0, 9.0)]
    assert chosen_step(found, 0.1, 3.0) == 20
    assert chosen_step(found, 0.25, 3.0) == 10
    assert chosen_step(found, 0.1, 10.0) == 30
    assert chosen_step(found, 0.4, 3.0) == 0, "no gain is worth its price: the untuned policy stays"
    assert chosen_step([_evaluation(0, 0.0, 0.0), _evaluation(5, 0.0, 0.0)], 0.1, 3.0) == 0


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    gains = np.random.default_rng(0).normal(0.3, 1.0, 40)
    theirs = stats.ttest_1samp(gains, 0.0).confidence_interval(0.95)
    assert interval(gains) == pytest.approx((theirs.low, theirs.high))
    assert interval(np.full(9, 0.5)) == (0.5, 0.5)


def test_kl_of_a_response_is_that_of_torch_distributions(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource
) -> None:
    policy = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    batch, chance = prompts.batch(70, 0), step_generator(torch.device("cpu"), 0, 0)
    done = sample_completions(policy.eval(), tokenizer, (batch.ids, batch.mask), batch.response_lengths, chance)
    found = response_kl(policy, model.eval(), done)
    assert found.shape == (70,)
    for row in (0, 66):
        start, length = int(done.prompt_mask[row].sum()), int(done.lengths[row])
        ids = done.input_ids[row, done.prompt_ids.shape[1] - start :][None, : start + length]
        ours, theirs = (
            torch.distributions.Categorical(logits=one(ids).logits[0, start - 1 : -1].double())
            for one in (policy, model)
        )
        expected = torch.distributions.kl_divergence(ours, theirs).sum().item()
        assert found[row] == pytest.approx(expected, rel=1e-4)


def test_a_policy_is_measured_on_the_same_prompts_with_the_same_chance(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, held_out: PromptSource
) -> None:
    held = HeldOutPrompts(model, tokenizer, held_out, letter_share, 20)
    untuned, equal = held.evaluate(model, 0, "choice"), held.evaluate(copy.deepcopy(model), 0, "choice")
    assert untuned == equal, "a copy answers word for word as the untuned policy itself"
    assert (untuned.gain, untuned.gain_standard_error, untuned.kl) == (0, 0, 0)
    assert untuned.reward == untuned.base_reward != held.evaluate(model, 0, "report").base_reward


def _asked(batch: PromptBatch) -> set[Prompt]:
    return {tuple(ids[kept].tolist()) for ids, kept in zip(batch.ids, batch.mask.bool(), strict=True)}


def test_no_prompt_is_in_tuning_choice_and_report(prompts: PromptSource, held_out: PromptSource) -> None:
    """Reviews of few openings begin alike: other documents alone give the same prompts."""
    assert _asked(held_out.batch(256, 0)) & prompts.prefixes(), "or there is nothing to leave out"
    choice, report = held_out.halves()[0].halves()
    tuning = prompts.without(held_out.halves()[0])
    asked = _asked(choice.unseen(256, tuning.prefixes()))
    told = _asked(report.unseen(256, tuning.prefixes() | choice.prefixes()))
    tuned_on = set[Prompt]().union(*(_asked(tuning.batch(256, step)) for step in range(20)))
    assert tuned_on <= tuning.prefixes()
    assert len(asked) > 5
    assert len(told) > 5
    assert not tuned_on & (asked | told)
    assert not asked & told


def test_texts_that_all_begin_alike_cannot_be_held_out(tokenizer: PreTrainedTokenizerFast) -> None:
    frame = corpus_frame(Document(f"d{number}", f"{number}", "this lamp is nice and great " * 9) for number in range(4))
    source = PromptSource(tokenizer, frame, LENGTHS)
    with pytest.raises(ValueError, match=r"^corpus: all documents begin alike; allowed"):
        source.halves()
    with pytest.raises(ValueError, match=r"^corpus: every document begins as one held out does; allowed"):
        source.without(source)
    with pytest.raises(ValueError, match=r"^corpus: prompts never tuned on have less than 2 openings; allowed"):
        source.unseen(8, source.prefixes())


def test_answers_to_prompts_of_one_opening_are_one_unit() -> None:
    """Three answers to prompts of one opening, one to another's: the mean of two means, as a t-test of them has it."""
    ids = torch.tensor([[0, 7, 8], [0, 0, 7], [5, 7, 8], [0, 7, 8]])
    openings = ((7, 8, 9), (7, 8, 9), (5, 7, 8), (7, 8, 9))
    batch = PromptBatch(ids, (ids > 0).long(), torch.full((4,), 9), openings)
    found = by_opening(np.array([1.0, 2.0, 10.0, 6.0]), batch)
    assert found.tolist() == [3.0, 10.0]
    theirs = stats.ttest_1samp([3.0, 10.0], 0.0).confidence_interval(0.95)
    assert interval(found) == pytest.approx((theirs.low, theirs.high))


def test_an_easy_reward_rises_and_a_constant_one_keeps_the_untuned_policy(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource, held_out: PromptSource
) -> None:
    longer = dataclasses.replace(SHORT, steps=8, batch_size=32, beta=0.02)
    for reward, rises in ((letter_share, True), (lambda texts: np.ones(len(texts)), False)):
        tuned = copy.deepcopy(model)
        tune_with_ppo(tuned, tokenizer, prompts, reward, longer)
        held = HeldOutPrompts(model, tokenizer, held_out, reward, 64)
        choice = [held.evaluate(model, 0, "choice"), held.evaluate(tuned, 8, "choice")]
        assert chosen_step(choice, 0.02, 100.0) == (8 if rises else 0)
        assert (held.evaluate(tuned, 8, "report").gain_low > 0) == rises


def test_a_reward_of_chance_does_not_rise(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: PromptSource, held_out: PromptSource
) -> None:
    """Of 12 tunings at 2.5 % each, three and more would be found in 0.3 % of all worlds."""
    risen = 0
    for seed in range(12):
        tuned = copy.deepcopy(model)
        tune_with_ppo(tuned, tokenizer, prompts, hashed, dataclasses.replace(SHORT, seed=seed, steps=2))
        held = HeldOutPrompts(model, tokenizer, held_out, hashed, 48, seed)
        report = held.evaluate(tuned, 2, "report")
        assert report.gain_standard_error > 0, "its answers are others"
        risen += report.gain_low > 0
    assert risen <= 2
