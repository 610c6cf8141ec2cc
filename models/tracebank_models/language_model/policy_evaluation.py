"""What tuning did to reward and KL, on prompts that it never saw; and which checkpoint is kept by it.

Every policy answers the same prompts with the same source of chance, so that differences are paired. Checkpoints are
chosen on one set of prompts and the chosen one is measured on another: the best of several on its own set flatters. No
prompt of the report is one to choose on. The unit is the opening, the longest prompt of a document: shorter prompts of
documents that begin alike say much the same, and the answers to all of them are one mean.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.reinforcement_learning.policy_gradient import exact_kl

from .prompts import Prompt, PromptBatch, PromptSource, step_generator
from .sampling import Completions, response_logits, sample_completions
from .text_reward import Reward, checked_rewards

Split = Literal["choice", "report"]
SPLITS: Final[tuple[Split, Split]] = ("choice", "report")
"""The prompts that checkpoints are chosen on, and those that the chosen one is measured on."""
CONFIDENCE: Final = 0.95
_ROWS: Final = 64
"""Responses whose log-probabilities over the vocabulary are in memory at once."""


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """Reward and KL of one policy beside the untuned one, over the openings of a split."""

    step: int
    """Of tuning; 0 is the untuned policy."""
    split: Split
    openings: int
    """Different ones, that prompts were cut from."""
    reward: float
    """Mean over the openings."""
    base_reward: float
    """Of the untuned policy on the same prompts."""
    gain: float
    """Mean of the differences, opening by opening."""
    gain_standard_error: float
    gain_low: float
    """Lower end of the 95 % interval of the gain (Student's t over openings)."""
    gain_high: float
    kl: float
    """To the untuned policy, exact over the vocabulary, nats per response."""
    kl_standard_error: float


@dataclass(frozen=True, slots=True)
class _Answers:
    rewards: npt.NDArray[np.float64]
    kl: npt.NDArray[np.float64]


class HeldOutPrompts:
    """Prompts that tuning does not see, and what the untuned policy earns on them.

    Args:
        untuned: The policy that others are measured against.
        tokenizer: Its tokenizer.
        source: Draws the prompts, for either split of openings of its own.
        reward: Reward of a response.
        prompts: Answers in each split.
        seed: Of the answers.
        seen: Prompts of the tuning, which are left out.

    Raises:
        ValueError: A reward is not finite, or the prompts of a split are of less than two openings.
    """

    def __init__(
        self,
        untuned: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        source: PromptSource,
        reward: Reward,
        prompts: int,
        seed: int = 0,
        seen: Collection[Prompt] = frozenset(),
    ) -> None:
        self._untuned, self._tokenizer, self._reward, self._seed = untuned, tokenizer, reward, seed
        choice, report = source.halves()
        known = frozenset(seen)
        self._batches: dict[Split, PromptBatch] = {
            "choice": choice.unseen(prompts, known),
            "report": report.unseen(prompts, known | choice.prefixes()),
        }
        self._own = {split: self._answers(untuned, split) for split in SPLITS}

    def evaluate(self, policy: PreTrainedModel, step: int, split: Split) -> PolicyEvaluation:
        """Measure a policy; on the device of the untuned one.

        Raises:
            ValueError: A reward is not finite.
        """
        own = self._own[split]
        its = own if policy is self._untuned else self._answers(policy, split)
        gains = its.rewards - own.rewards
        gain, error = _mean(gains)
        low, high = interval(gains)
        means = float(its.rewards.mean()), float(own.rewards.mean())
        return PolicyEvaluation(step, split, len(gains), *means, gain, error, low, high, *_mean(its.kl))

    @torch.no_grad()
    def _answers(self, policy: PreTrainedModel, split: Split) -> _Answers:
        batch = self._batches[split]
        chance = step_generator(policy.device, self._seed, SPLITS.index(split))
        policy.train(False)
        done = sample_completions(policy, self._tokenizer, (batch.ids, batch.mask), batch.response_lengths, chance)
        rewards = checked_rewards(self._reward, done.texts(self._tokenizer))
        kl = np.zeros(len(rewards)) if policy is self._untuned else response_kl(policy, self._untuned, done)
        return _Answers(*(by_opening(values, batch) for values in (rewards, kl)))


def by_opening(values: npt.NDArray[np.float64], batch: PromptBatch) -> npt.NDArray[np.float64]:
    """The mean of a value for each opening of a batch's prompts, in the order of their first places."""
    numbers = {opening: number for number, opening in enumerate(dict.fromkeys(batch.openings))}
    places = [numbers[opening] for opening in batch.openings]
    return np.asarray(np.bincount(places, values) / np.bincount(places), np.float64)


@torch.no_grad()
def response_kl(policy: PreTrainedModel, reference: PreTrainedModel, done: Completions) -> npt.NDArray[np.float64]:
    """Exact KL(policy || reference) over each response, nats; a few rows at a time."""
    found = []
    for part in torch.split(torch.arange(len(done.response_ids), device=done.response_ids.device), _ROWS):
        rows = done.rows(part)
        kl = exact_kl(response_logits(policy, rows)[0], response_logits(reference, rows)[0])
        found.append((kl * rows.response_mask).sum(dim=1))
    return torch.cat(found).cpu().double().numpy()


def _mean(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a mean by Student's t; the mean itself where all values are equal."""
    from scipy.stats import t

    mean, error = _mean(values)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return mean - reach, mean + reach


def chosen_step(evaluations: Sequence[PolicyEvaluation], kl_price: float, kl_budget: float) -> int:
    """The step at which gain - price * KL is greatest, of those within the budget; the untuned policy, step 0, is one.

    Args:
        evaluations: On the prompts to choose on.
        kl_price: In reward per nat.
        kl_budget: Most nats per response.
    """
    values = {0: 0.0} | {one.step: one.gain - kl_price * one.kl for one in evaluations if one.kl <= kl_budget}
    return max(values, key=lambda step: (values[step], -step))
