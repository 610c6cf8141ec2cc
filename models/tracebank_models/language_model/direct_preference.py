"""Direct preference optimisation (Rafailov et al. 2023): pairs of responses, the loss, and tuning on it.

Pairs come from anywhere as token ids; `sampled_preferences` makes them of several answers to a prompt, which a
reward ranks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import settings_hash

from .fingerprint import weights_hash
from .pretraining import batch_rows
from .prompts import PromptSource, step_generator
from .sampling import Completions, sample_completions
from .taken_positions import log_probabilities_of, logits_at
from .text_reward import Reward, checked_rewards
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
    answers: int = 2,
) -> list[PreferencePair]:
    """Several answers to each prompt, of which the one with the greatest reward is preferred to that with the least.

    Pairs are left out whose rewards are equal or differ by less than `smallest_gap`, as annotators are asked about
    answers that can be told apart: `batches * batch_size` prompts less the pairs returned.

    Args:
        model: Answers.
        tokenizer: Its tokenizer.
        prompts: Are answered.
        reward: Ranks the answers to a prompt.
        batches: Batches of prompts.
        batch_size: Prompts answered at once, all their answers together.
        seed: Of the answers.
        smallest_gap: Least difference in reward of a pair.
        answers: To each prompt.

    Raises:
        ValueError: A reward is not finite, or no pair is left.
    """
    model.train(False)
    pairs: list[PreferencePair] = []
    for step in range(batches):
        batch = prompts.batch(batch_size, step)
        chance = step_generator(model.device, seed, step)
        ids, mask, lengths = (
            part.repeat_interleave(answers, dim=0) for part in (batch.ids, batch.mask, batch.response_lengths)
        )
        done = sample_completions(model, tokenizer, (ids, mask), lengths, generator=chance)
        scores = checked_rewards(reward, done.texts(tokenizer)).reshape(batch_size, answers)
        pairs.extend(_best_against_worst(done, scores, smallest_gap))
    if not pairs:
        count = batches * batch_size
        what = f"are all closer than {smallest_gap:g}" if smallest_gap else "are all ties"
        raise ValueError(f"reward: {count} pairs {what}; allowed: a reward that prefers something")
    return pairs


def _best_against_worst(
    done: Completions, scores: npt.NDArray[np.float64], smallest_gap: float
) -> Iterator[PreferencePair]:
    prompts = [row[kept.bool()].tolist() for row, kept in zip(done.prompt_ids, done.prompt_mask, strict=True)]
    responses = [row[kept.bool()].tolist() for row, kept in zip(done.response_ids, done.response_mask, strict=True)]
    first = np.arange(len(scores)) * scores.shape[1]
    gaps = scores.max(axis=1) - scores.min(axis=1)
    for best, worst, gap in zip(first + scores.argmax(axis=1), first + scores.argmin(axis=1), gaps, strict=True):
        if gap > 0 and gap >= smallest_gap:
            yield PreferencePair(tuple(prompts[best]), tuple(responses[best]), tuple(responses[worst]))


def tune_with_dpo(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: list[PreferencePair],
    configuration: DPOConfiguration | None = None,
    directory: Path | None = None,
    on_step: OnStep | None = None,
) -> pl.DataFrame:
    """Tune a model in place on preference pairs; the model as it comes is the reference. Resumes as PPO does.

    Args:
        model: The model to tune; on a resumed run the same untuned one.
        tokenizer: Its tokenizer.
        pairs: Preferences.
        configuration: Settings; None takes the defaults.
        directory: Where checkpoints go.
        on_step: Called with the row of each step.

    Returns:
        One row per step: `step`, `loss`, `accuracy` (share of pairs with a positive margin), `margin`, `learning_rate`,
        `gradient_norm`, `seconds`. What it did to rewards is measured by `policy_evaluation`, on prompts of its own.

    Raises:
        ValueError: There are fewer pairs than a batch, a part of a pair is empty, or the folder is of another training.
    """
    settings = configuration or DPOConfiguration()
    _check_pairs(pairs, settings)
    trainer = _Trainer(model, tokenizer, pairs, settings)
    parts = (settings, weights_hash(model), tokenizer_hash(tokenizer), pairs_hash(pairs))
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
        settings: DPOConfiguration,
    ) -> None:
        self.model = model
        model.train(False)
        self.reference = copy.deepcopy(model).requires_grad_(False)
        self.tokenizer, self.pairs, self.settings = tokenizer, pairs, settings
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
        return {
            "loss": float(loss.detach()),
            "accuracy": float((margins > 0).float().mean()),
            "margin": float(margins.detach().mean()),
            "learning_rate": rate,
            "gradient_norm": float(norm),
        }


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
    answered = completions.response_mask.bool()
    taken = torch.zeros_like(completions.input_ids, dtype=torch.bool)
    taken[:, completions.prompt_ids.shape[1] - 1 : -1] = answered
    logits, _ = logits_at(model, completions.input_ids, completions.attention_mask, taken)
    chosen = log_probabilities_of(logits, completions.response_ids[answered]).to(logits.device, torch.float32)
    return chosen.new_zeros(answered.shape).masked_scatter(answered, chosen).sum(dim=1)


def _check_pairs(pairs: list[PreferencePair], settings: DPOConfiguration) -> None:
    if len(pairs) < settings.batch_size:
        raise ValueError(f"pairs: {len(pairs)} are not allowed; allowed: at least a batch, {settings.batch_size}")
    for number, pair in enumerate(pairs):
        for name in ("prompt", "chosen", "rejected"):
            if not getattr(pair, name):
                raise ValueError(f"pairs: {name} of pair {number} is empty; allowed: at least one token")
