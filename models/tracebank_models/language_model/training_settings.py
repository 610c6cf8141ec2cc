"""How models are pretrained and tuned: settings, checked once. No torch here, so that they are cheap to read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tracebank_models.checked_settings import in_range, require, whole

CLEAR_GAP: Final = 0.5
"""Difference in reward from which a pair says something about valence: about that of one strong word."""


@dataclass(frozen=True, slots=True)
class PretrainingConfiguration:
    """How a model is trained."""

    steps: int = 400
    batch_size: int = 16
    """Blocks per step."""
    learning_rate: float = 3e-3
    """Highest learning rate."""
    final_learning_rate_share: float = 0.1
    """Learning rate of the last step over the highest."""
    warmup_steps: int = 20
    weight_decay: float = 0.01
    """Decay of weight matrices; biases, norms and embeddings are not decayed."""
    adam_beta2: float = 0.95
    max_gradient_norm: float = 1.0
    validate_every: int = 50
    """Steps between validation losses; the last step always has one."""
    validation_blocks: int = 64
    """Most blocks of the validation text that are measured."""
    checkpoint_every: int = 100
    """Steps between checkpoints; 0 keeps only that of the last step."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 1, 10**9, "steps", "batch_size", "validate_every", "validation_blocks")
        whole(self, 0, 10**9, "warmup_steps", "checkpoint_every")
        whole(self, 0, 2**63 - 1, "seed")
        in_range(self, 1e-9, 1, "learning_rate")
        in_range(self, 0, 1, "final_learning_rate_share", "weight_decay", "adam_beta2")
        in_range(self, 1e-9, 1e9, "max_gradient_norm")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step (from 0): linear warm-up, then a cosine down to the final share."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - 1 - self.warmup_steps)
        share = self.final_learning_rate_share
        return self.learning_rate * (share + (1 - share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


@dataclass(frozen=True, slots=True)
class PPOConfiguration:
    """How a policy is tuned. Batch, minibatch, passes and clipping are the paper's; learning rate and KL are not.

    The paper's 1e-6 is for models of 70 million parameters and more; the ladder's small model wants about 6e-4.
    """

    steps: int = 100
    batch_size: int = 64
    """Responses sampled per step."""
    minibatch_size: int = 16
    epochs: int = 4
    """Most passes over the responses of a step."""
    step_kl: float = 0.5
    """KL in nats per response from the policy that sampled them, above which a step's passes end."""
    learning_rate: float = 3e-4
    warmup_steps: int = 10
    beta: float = 0.1
    """Price of the KL to the untuned model in training, in reward per nat (with a target, the first)."""
    kl_price: float = 0.02
    """In reward per nat, what checkpoints are chosen by."""
    target_kl: float | None = None
    """KL per response, in nats, that the price in training is steered to; None holds it."""
    discount: float = 1.0
    trace_decay: float = 0.95
    clip: float = 0.2
    """How far a probability ratio counts, on either side of 1."""
    value_clip: float = 0.2
    value_coefficient: float = 0.1
    max_gradient_norm: float = 1.0
    checkpoint_every: int = 20
    held_out_prompts: int = 256
    """Answers that checkpoints are chosen on, and as many that the chosen one is measured on; 0 keeps the last."""
    kl_budget: float = 3.0
    """Most nats per response that a checkpoint may be away from the untuned model."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 1, 10**9, "steps", "batch_size", "minibatch_size", "epochs")
        whole(self, 0, 10**9, "warmup_steps", "checkpoint_every", "held_out_prompts")
        require(self, "held_out_prompts", "0 or at least 2", self.held_out_prompts != 1)
        whole(self, 0, 2**63 - 1, "seed")
        divides = self.batch_size % self.minibatch_size == 0
        require(self, "minibatch_size", f"a divisor of batch_size, {self.batch_size}", divides)
        in_range(self, 1e-12, 1, "learning_rate")
        in_range(self, 0, 1e6, "beta", "kl_price", "value_coefficient")
        in_range(self, 0, 1, "discount", "trace_decay")
        in_range(self, 1e-6, 1e6, "clip", "value_clip", "max_gradient_norm", "step_kl", "kl_budget")
        if self.target_kl is not None:
            in_range(self, 1e-6, 1e6, "target_kl")
            require(self, "beta", "above 0 with a target_kl, which multiplies it", self.beta > 0)

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step (from 0): linear warm-up, then linear to 0 just after the last step."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        return self.learning_rate * (self.steps - step) / max(1, self.steps - self.warmup_steps)


@dataclass(frozen=True, slots=True)
class DPOConfiguration:
    """How a policy is tuned on pairs; beta and the Adam variant are the paper's (2310.08164)."""

    steps: int = 100
    batch_size: int = 16
    """Pairs per step."""
    beta: float = 0.1
    """Inverse strength of the preference, per nat of log-ratio."""
    kl_price: float = 0.02
    """As PPO's; DPO sees no rewards, so that its beta is in no unit of theirs."""
    learning_rate: float = 3e-4
    warmup_steps: int = 10
    max_gradient_norm: float = 1.0
    prompts: int = 2_000
    """That the untuned model answers, about: rounded up to whole batches of 64."""
    answers: int = 8
    """To each of them; the best against the worst is a pair."""
    smallest_gap: float = CLEAR_GAP
    """Least difference in reward of a pair."""
    checkpoint_every: int = 20
    held_out_prompts: int = 256
    """As PPO's."""
    kl_budget: float = 5.0
    """As PPO's."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 1, 10**9, "steps", "batch_size", "prompts")
        whole(self, 2, 10**6, "answers")
        whole(self, 0, 10**9, "warmup_steps", "checkpoint_every", "held_out_prompts")
        require(self, "held_out_prompts", "0 or at least 2", self.held_out_prompts != 1)
        whole(self, 0, 2**63 - 1, "seed")
        in_range(self, 1e-6, 1e6, "beta", "max_gradient_norm", "kl_budget")
        in_range(self, 0, 1e6, "smallest_gap", "kl_price")
        in_range(self, 1e-12, 1, "learning_rate")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step (from 0): linear warm-up, then held."""
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps))
