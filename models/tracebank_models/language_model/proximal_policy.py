"""PPO of a language model with a reward that is known: rollouts, value head, KL to the frozen reference, rows.

The formulas are in `reinforcement_learning.policy_gradient`; the reward is any function of texts, such as
`lexicon.LexiconReward`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import settings_hash
from tracebank_models.reinforcement_learning.policy_gradient import (
    KLController,
    centred,
    clipped_surrogate,
    clipped_value_loss,
    exact_kl,
    generalized_advantages,
    masked_mean,
    sampled_kl,
    shaped_rewards,
)

from .fingerprint import weights_hash
from .prompts import PromptSource, step_generator
from .sampling import Completions, chosen_log_probabilities, response_logits, sample_completions
from .text_reward import Reward, checked_rewards, reward_hash
from .tokenizer import tokenizer_hash
from .training_loop import OnStep, Row, TrainingLoop
from .training_settings import PPOConfiguration


class _Reading(NamedTuple):
    """What policy and reference say of responses; [rows, response length] where nothing else is said."""

    log_probabilities: torch.Tensor
    """Of the chosen tokens."""
    kl: torch.Tensor
    """Exact, 0 where there is no token."""
    entropy: torch.Tensor
    values: torch.Tensor
    reference: torch.Tensor
    """The reference's log-probabilities of every token, [rows, response length, vocabulary]."""


class _Rollout(NamedTuple):
    completions: Completions
    reading: _Reading
    advantages: torch.Tensor
    """Centred, in units of reward."""
    scale: float
    """Their standard deviation: the loss is divided by it, so that rewards of any size are learned at one rate."""
    returns: torch.Tensor
    row: Row


def tune_with_ppo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: PromptSource,
    reward: Reward,
    configuration: PPOConfiguration | None = None,
    directory: Path | None = None,
    on_step: OnStep | None = None,
) -> pl.DataFrame:
    """Tune a model in place; the model as it comes is the reference. With a folder, resume from its last checkpoint.

    Args:
        model: The model to tune; on a resumed run the same untuned one.
        tokenizer: Its tokenizer.
        prompts: Where prompts and response lengths are drawn from.
        reward: Reward of the decoded responses (without their prompts).
        configuration: Settings; None takes the defaults.
        directory: Where checkpoints go.
        on_step: Called with the row of each step.

    Returns:
        One row per step, measured on the step's samples before its update: `step`, `reward_mean`,
        `reward_standard_deviation`, `kl` (nats per response, exact over the vocabulary at the sampled prefixes),
        `response_length`, `entropy` (nats per token), `kl_coefficient`, `learning_rate`; means over the step's updates,
        `policy_loss`, `value_loss`, `clipped_share`, `gradient_norm`, `step_kl` (nats per response, from the policy
        that sampled); `updates`, `seconds`.

    Raises:
        ValueError: A reward is not finite, or the folder is of another training.
    """
    settings = configuration or PPOConfiguration()
    trainer = _Trainer(model, tokenizer, prompts, reward, settings)
    parts = (settings, prompts.content_hash(), weights_hash(model), tokenizer_hash(tokenizer), reward_hash(reward))
    loop = TrainingLoop(
        model=model,
        tokenizer=tokenizer,
        steps=settings.steps,
        seed=settings.seed,
        fingerprint=settings_hash(*parts),
        stateful={"optimizer": trainer.optimizer, "value_head": trainer.value_head, "kl": trainer.kl},
        directory=directory,
        checkpoint_every=settings.checkpoint_every,
    )
    return loop.run(trainer.step, on_step)


class _Trainer:
    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompts: PromptSource,
        reward: Reward,
        settings: PPOConfiguration,
    ) -> None:
        # Dropout would make the ratio of an unchanged policy differ from 1.
        self.model = model
        model.train(False)
        self.reference = copy.deepcopy(model).requires_grad_(False)
        self.tokenizer, self.prompts, self.reward, self.settings = tokenizer, prompts, reward, settings
        hidden_size = int(model.config.get_text_config().hidden_size)
        self.value_head = torch.nn.Linear(hidden_size, 1, device=model.device, dtype=torch.float32)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)
        self.trained = [*model.parameters(), *self.value_head.parameters()]
        self.optimizer = torch.optim.Adam(self.trained, lr=settings.learning_rate)
        self.kl = KLController(settings.beta, settings.target_kl)

    def step(self, step: int) -> Row:
        rate = self.settings.learning_rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rollout = self._roll_out(step)
        measured = list(takewhile(bool, (self._update(rollout, part) for part in self._minibatches(step))))
        row = {**rollout.row, "kl_coefficient": self.kl.coefficient, "learning_rate": rate, "updates": len(measured)}
        self.kl.update(float(rollout.row["kl"]))
        return row | {name: sum(one[name] for one in measured) / len(measured) for name in measured[0]}

    def _minibatches(self, step: int) -> Iterator[torch.Tensor]:
        """Rows of each update."""
        settings = self.settings
        for epoch in range(settings.epochs):
            order = np.random.default_rng((settings.seed, 3, step, epoch)).permutation(settings.batch_size)
            yield from torch.split(torch.from_numpy(order), settings.minibatch_size)

    @torch.no_grad()
    def _roll_out(self, step: int) -> _Rollout:
        settings = self.settings
        batch = self.prompts.batch(settings.batch_size, step)
        chance = step_generator(self.model.device, settings.seed, step)
        done = sample_completions(
            self.model, self.tokenizer, (batch.ids, batch.mask), batch.response_lengths, generator=chance
        )
        scores = checked_rewards(self.reward, done.texts(self.tokenizer))
        parts = torch.split(torch.arange(settings.batch_size, device=self.model.device), settings.minibatch_size)
        reading = _Reading(*map(torch.cat, zip(*(self._read(done.rows(part)) for part in parts), strict=True)))
        mask = done.response_mask
        score = torch.from_numpy(scores).to(reading.kl)
        rewards = shaped_rewards(score, reading.kl, mask, self.kl.coefficient)
        advantages, returns = generalized_advantages(
            rewards, reading.values, mask, settings.discount, settings.trace_decay
        )
        row: Row = {
            "reward_mean": float(scores.mean()),
            "reward_standard_deviation": float(scores.std()),
            "kl": float(reading.kl.sum(dim=1).mean()),
            "response_length": float(done.lengths.float().mean()),
            "entropy": float(masked_mean(reading.entropy, mask)),
        }
        return _Rollout(done, reading, *centred(advantages, mask), returns, row)

    def _read(self, done: Completions) -> _Reading:
        policy, hidden = response_logits(self.model, done)
        reference, _ = response_logits(self.reference, done)
        values = self.value_head(hidden.float()).squeeze(2)
        kl, entropy = exact_kl(policy, reference), -(policy.exp() * policy).sum(dim=-1)
        mask = done.response_mask
        return _Reading(chosen_log_probabilities(policy, done), kl * mask, entropy * mask, values * mask, reference)

    def _update(self, rollout: _Rollout, part: torch.Tensor) -> dict[str, float]:
        """Measurements; none, and no update, where the policy has gone too far from the one that sampled."""
        settings, old = self.settings, rollout.reading
        part = part.to(old.kl.device)
        done = rollout.completions.rows(part)
        mask = done.response_mask
        policy, hidden = response_logits(self.model, done)
        chosen = chosen_log_probabilities(policy, done)
        moved = float((sampled_kl(chosen.detach(), old.log_probabilities[part]) * mask).sum(dim=1).mean())
        if moved > settings.step_kl:
            return {}
        values = self.value_head(hidden.float()).squeeze(2) * mask
        policy_loss, clipped = clipped_surrogate(
            chosen, old.log_probabilities[part], rollout.advantages[part], mask, settings.clip
        )
        price = self.kl.coefficient * masked_mean(exact_kl(policy, old.reference[part]), mask)
        value_loss = clipped_value_loss(values, old.values[part], rollout.returns[part], mask, settings.value_clip)
        self.optimizer.zero_grad(set_to_none=True)
        loss = (policy_loss + price) / (rollout.scale + 1e-8) + settings.value_coefficient * value_loss
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.trained, settings.max_gradient_norm)
        self.optimizer.step()
        return {
            "policy_loss": float(policy_loss.detach()),
            "value_loss": float(value_loss.detach()),
            "clipped_share": float(clipped),
            "gradient_norm": float(norm),
            "step_kl": moved,
        }
