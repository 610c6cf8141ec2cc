"""Direct preference optimisation (Rafailov et al. 2023): pairs of responses, the loss, and tuning on it.

Pairs come from anywhere as token ids; `sampled_preferences` makes them by sampling twice and asking a reward.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .fingerprint import settings_hash, weights_hash
from .pretraining import batch_rows
from .prompts import PromptSource, step_generator
from .proximal_policy import Reward, checked_rewards, reward_hash, sample_measurements
from .sampling import Completions, chosen_log_probabilities, response_logits, sample_completions
from .token_blocks import padded_batch
from .tokenizer import padding_id, tokenizer_hash
from .training_loop import OnStep, Row, TrainingLoop
from .training_settings import DPOConfiguration


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A prompt with the response preferred and the one not; token ids, without special tokens."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


def preference_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """DPO's loss from log-probabilities of whole responses, shape [pairs] each.

    Returns:
        The mean of -log sigmoid(margin), a scalar, and the margins of implicit reward,
        beta * ((chosen - reference_chosen) - (rejected - reference_rejected)), shape [pairs].
    """
    margins = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return -torch.nn.functional.logsigmoid(margins).mean(), margins


def sampled_preferences(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: PromptSource,
    reward: Reward,
    batches: int,
    batch_size: int = 64,
    seed: int = 0,
    smallest_gap: float = 0.0,
) -> list[PreferencePair]:
    """Two responses to each prompt, of which the one with the greater reward is preferred.

    Pairs are left out whose rewards are equal or differ by less than `smallest_gap`, as annotators are asked about
    answers that can be told apart.

    Raises:
        ValueError: A reward is not finite, or no pair is left.
    """
    model.train(False)
    pairs: list[PreferencePair] = []
    for step in range(batches):
        batch = prompts.batch(batch_size, step)
        chance = step_generator(model.device, seed, step)
        twice = (torch.cat((batch.ids, batch.ids)), torch.cat((batch.mask, batch.mask)))
        lengths = torch.cat((batch.response_lengths, batch.response_lengths))
        done = sample_completions(model, tokenizer, twice, lengths, generator=chance)
        pairs.extend(_ranked(done, checked_rewards(reward, done.texts(tokenizer)).tolist(), smallest_gap))
    if not pairs:
        count = batches * batch_size
        what = f"are all closer than {smallest_gap:g}" if smallest_gap else "are all ties"
        raise ValueError(f"reward: {count} pairs {what}; allowed: a reward that prefers something")
    return pairs


def _ranked(done: Completions, scores: list[float], smallest_gap: float) -> list[PreferencePair]:
    half = len(scores) // 2
    prompts = [row[kept.bool()].tolist() for row, kept in zip(done.prompt_ids, done.prompt_mask, strict=True)]
    responses = [row[kept.bool()].tolist() for row, kept in zip(done.response_ids, done.response_mask, strict=True)]
    pairs = []
    for first in range(half):
        second = first + half
        if scores[first] != scores[second] and abs(scores[first] - scores[second]) >= smallest_gap:
            better, worse = (first, second) if scores[first] > scores[second] else (second, first)
            pairs.append(PreferencePair(tuple(prompts[first]), tuple(responses[better]), tuple(responses[worse])))
    return pairs


def tune_with_dpo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: list[PreferencePair],
    prompts: PromptSource,
    reward: Reward,
    configuration: DPOConfiguration | None = None,
    directory: Path | None = None,
    on_step: OnStep | None = None,
) -> pl.DataFrame:
    """Tune a model in place on preference pairs; the model as it comes is the reference. Resumes as PPO does.

    Args:
        model: The model to tune; on a resumed run the same untuned one.
        tokenizer: Its tokenizer.
        pairs: Preferences.
        prompts: Prompts of the measurements (the loss does not see them).
        reward: Reward of the measurements (the loss does not see it).
        configuration: Settings; None takes the defaults.
        directory: Where checkpoints go.
        on_step: Called with the row of each step.

    Returns:
        One row per step: `step`, `loss`, `accuracy` (share of pairs with a positive margin), `margin`, `learning_rate`,
        `gradient_norm`, `seconds`, and, where measured and null elsewhere, `reward_mean`, `reward_standard_deviation`,
        `kl`, `kl_sampled`, `response_length`, `entropy` as in PPO's rows, after the step's update.

    Raises:
        ValueError: There are fewer pairs than a batch, a part of a pair is empty, a reward is not finite, or the folder
            is of another training.
    """
    settings = configuration or DPOConfiguration()
    _check_pairs(pairs, settings)
    trainer = _Trainer(model, tokenizer, pairs, prompts, reward, settings)
    parts: tuple[object, ...] = (settings, prompts.content_hash(), weights_hash(model), tokenizer_hash(tokenizer))
    parts += (pairs_hash(pairs), reward_hash(reward))
    loop = TrainingLoop(
        model=model,
        tokenizer=tokenizer,
        steps=settings.steps,
        seed=settings.seed,
        fingerprint=settings_hash(*parts),
        stateful={"optimizer": trainer.optimizer},
        directory=directory,
        checkpoint_every=settings.checkpoint_every,
    )
    return loop.run(trainer.step, on_step)


def pairs_hash(pairs: list[PreferencePair]) -> str:
    """SHA-256 (hex) of pairs in their order."""
    return settings_hash([[pair.prompt, pair.chosen, pair.rejected] for pair in pairs])


class _Trainer:
    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        pairs: list[PreferencePair],
        prompts: PromptSource,
        reward: Reward,
        settings: DPOConfiguration,
    ) -> None:
        self.model = model
        model.train(False)
        self.reference = copy.deepcopy(model).requires_grad_(False)
        self.tokenizer, self.pairs, self.prompts = tokenizer, pairs, prompts
        self.reward, self.settings = reward, settings
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0)

    def step(self, step: int) -> Row:
        settings = self.settings
        rate = settings.learning_rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rows = batch_rows(len(self.pairs), settings.batch_size, step, settings.seed)
        done = pair_completions(self.tokenizer, [self.pairs[row] for row in rows], self.model.device)
        policy = response_sums(self.model, done)
        with torch.no_grad():
            reference = response_sums(self.reference, done)
        half = settings.batch_size
        loss, margins = preference_loss(policy[:half], policy[half:], reference[:half], reference[half:], settings.beta)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_gradient_norm)
        self.optimizer.step()
        row: Row = {
            "loss": float(loss.detach()),
            "accuracy": float((margins > 0).float().mean()),
            "margin": float(margins.detach().mean()),
            "learning_rate": rate,
            "gradient_norm": float(norm),
        }
        if (step + 1) % settings.measure_every == 0 or step + 1 == settings.steps:
            row.update(self._measure())
        return row

    @torch.no_grad()
    def _measure(self) -> Row:
        """On the same prompts and the same chance each time, so that steps can be compared."""
        batch = self.prompts.batch(self.settings.measured_prompts, 0)
        chance = step_generator(self.model.device, self.settings.seed, 0)
        prompts = (batch.ids, batch.mask)
        done = sample_completions(self.model, self.tokenizer, prompts, batch.response_lengths, generator=chance)
        scores = checked_rewards(self.reward, done.texts(self.tokenizer))
        policy, reference = (response_logits(one, done)[0] for one in (self.model, self.reference))
        return sample_measurements(scores, policy, reference, done)


def pair_completions(
    tokenizer: PreTrainedTokenizerBase, pairs: list[PreferencePair], device: torch.device
) -> Completions:
    """Pairs as one batch: first every chosen response, then every rejected one."""
    padding = padding_id(tokenizer)
    prompts = [np.array(pair.prompt, dtype=np.int32) for pair in pairs] * 2
    responses = [np.array(pair.chosen, dtype=np.int32) for pair in pairs]
    responses += [np.array(pair.rejected, dtype=np.int32) for pair in pairs]
    parts = (*padded_batch(prompts, padding, left=True), *padded_batch(responses, padding))
    return Completions(*(part.to(device) for part in parts))


def response_sums(model: PreTrainedModel, completions: Completions) -> torch.Tensor:
    """Log-probability of each whole response, fp32 [rows]."""
    return chosen_log_probabilities(response_logits(model, completions)[0], completions).sum(dim=1)


def _check_pairs(pairs: list[PreferencePair], settings: DPOConfiguration) -> None:
    if len(pairs) < settings.batch_size:
        raise ValueError(f"pairs: {len(pairs)} are not allowed; allowed: at least a batch, {settings.batch_size}")
    for number, pair in enumerate(pairs):
        for name in ("prompt", "chosen", "rejected"):
            if not getattr(pair, name):
                raise ValueError(f"pairs: {name} of pair {number} is empty; allowed: at least one token")
