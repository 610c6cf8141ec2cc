"""PPO of a language model with a reward that is known: rollouts, value head, KL to the frozen reference, rows.

The formulas are in `policy_gradient`; the reward is any function of texts, such as `lexicon.LexiconReward`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .fingerprint import settings_hash, weights_hash
from .policy_gradient import (
    KLController,
    clipped_surrogate,
    clipped_value_loss,
    exact_kl,
    generalized_advantages,
    masked_mean,
    shaped_rewards,
    whiten,
)
from .prompts import PromptSource, step_generator
from .sampling import Completions, chosen_log_probabilities, response_logits, sample_completions
from .tokenizer import tokenizer_hash
from .training_loop import OnStep, Row, TrainingLoop
from .training_settings import PPOConfiguration

Reward = Callable[[Sequence[str]], npt.NDArray[np.float64]]
"""Rewards of texts, one number each."""


class _Rollout(NamedTuple):
    completions: Completions
    log_probabilities: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
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
        `kl_sampled` (the estimate from the sampled tokens alone), `response_length`, `entropy` (nats per token),
        `kl_coefficient`, `learning_rate`, `policy_loss`, `value_loss`, `clipped_share`, `gradient_norm`, `seconds`.

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
        self.kl = KLController(settings.kl_coefficient, settings.target_kl)

    def step(self, step: int) -> Row:
        rate = self.settings.learning_rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rollout = self._roll_out(step)
        sums: dict[str, float] = {}
        updates = 0
        for epoch in range(self.settings.epochs):
            order = np.random.default_rng((self.settings.seed, 3, step, epoch)).permutation(self.settings.batch_size)
            for part in order.reshape(-1, self.settings.minibatch_size):
                for name, value in self._update(rollout, torch.from_numpy(part)).items():
                    sums[name] = sums.get(name, 0.0) + value
                updates += 1
        row = {**rollout.row, "kl_coefficient": self.kl.coefficient, "learning_rate": rate}
        self.kl.update(float(rollout.row["kl_sampled"]), self.settings.batch_size)
        return {**row, **{name: value / updates for name, value in sums.items()}}

    @torch.no_grad()
    def _roll_out(self, step: int) -> _Rollout:
        settings = self.settings
        batch = self.prompts.batch(settings.batch_size, step)
        chance = step_generator(self.model.device, settings.seed, step)
        done = sample_completions(
            self.model, self.tokenizer, (batch.ids, batch.mask), batch.response_lengths, generator=chance
        )
        scores = checked_rewards(self.reward, done.texts(self.tokenizer))
        policy, hidden = response_logits(self.model, done)
        reference, _ = response_logits(self.reference, done)
        chosen, anchored = chosen_log_probabilities(policy, done), chosen_log_probabilities(reference, done)
        values = self.value_head(hidden.float()).squeeze(2) * done.response_mask
        score = torch.from_numpy(scores).to(chosen)
        rewards = shaped_rewards(score, chosen, anchored, done.response_mask, self.kl.coefficient)
        advantages, returns = generalized_advantages(
            rewards, values, done.response_mask, settings.discount, settings.trace_decay
        )
        row = sample_measurements(scores, policy, reference, done)
        return _Rollout(done, chosen, values, whiten(advantages, done.response_mask), returns, row)

    def _update(self, rollout: _Rollout, part: torch.Tensor) -> dict[str, float]:
        settings = self.settings
        part = part.to(rollout.values.device)
        done = rollout.completions.rows(part)
        mask = done.response_mask
        policy, hidden = response_logits(self.model, done)
        chosen = chosen_log_probabilities(policy, done)
        values = self.value_head(hidden.float()).squeeze(2) * mask
        policy_loss, clipped = clipped_surrogate(
            chosen, rollout.log_probabilities[part], rollout.advantages[part], mask, settings.clip
        )
        value_loss = clipped_value_loss(values, rollout.values[part], rollout.returns[part], mask, settings.value_clip)
        self.optimizer.zero_grad(set_to_none=True)
        (policy_loss + settings.value_coefficient * value_loss).backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.trained, settings.max_gradient_norm)
        self.optimizer.step()
        return {
            "policy_loss": float(policy_loss.detach()),
            "value_loss": float(value_loss.detach()),
            "clipped_share": float(clipped),
            "gradient_norm": float(norm),
        }


def reward_hash(reward: Reward) -> str:
    """What a resumed run knows a reward by: its own `content_hash`, else the name of the function or class."""
    own = getattr(reward, "content_hash", None)
    if own is not None:
        return str(own())
    named = reward if hasattr(reward, "__qualname__") else type(reward)
    return f"{named.__module__}.{named.__qualname__}"


def checked_rewards(reward: Reward, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Rewards of texts.

    Raises:
        ValueError: The number of rewards is not that of texts, or one is not finite.
    """
    scores = np.asarray(reward(texts), dtype=np.float64)
    if scores.shape != (len(texts),):
        raise ValueError(f"reward: shape {scores.shape} is not allowed; allowed: one number per text, {(len(texts),)}")
    for text, score in zip(texts, scores.tolist(), strict=True):
        if not math.isfinite(score):
            raise ValueError(f"reward: {score} for {text[:60]!r} is not allowed; allowed: a finite number")
    return scores


def sample_measurements(
    scores: npt.NDArray[np.float64], policy: torch.Tensor, reference: torch.Tensor, completions: Completions
) -> Row:
    """What a step's samples say of the policy: reward, KL to the reference, length, entropy.

    Args:
        scores: Rewards, shape [rows].
        policy: Log-probabilities of the policy, [rows, response length, vocabulary].
        reference: The same of the reference.
        completions: The responses.
    """
    mask = completions.response_mask
    per_token = exact_kl(policy, reference) * mask
    sampled = chosen_log_probabilities(policy, completions) - chosen_log_probabilities(reference, completions)
    return {
        "reward_mean": float(scores.mean()),
        "reward_standard_deviation": float(scores.std()),
        "kl": float(per_token.sum(dim=1).mean()),
        "kl_sampled": float(sampled.sum(dim=1).mean()),
        "response_length": float(completions.lengths.float().mean()),
        "entropy": float(masked_mean(-(policy.exp() * policy).sum(dim=-1), mask)),
    }
