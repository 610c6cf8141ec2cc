"""Training of a policy: settings, the loop of rollouts and updates, and what each of them showed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import msgspec
import numpy as np
import polars as pl
import torch
from gymnasium import spaces

from tracebank_models.checked_settings import check_settings
from tracebank_models.constraint_logic.constraints import Knowledge
from tracebank_models.device import one_thread

from .actor_critic import ActorCritic
from .environments import KnownVectorEnv
from .objectives import Advantages, Objective
from .proximal_policy import Learned, ProximalPolicy
from .rollout import Collector, Rollout
from .trust_region import TrustRegion

Positive = Annotated[int, msgspec.Meta(ge=1)]
Above0 = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Rule = Literal["ppo", "trpo", "cpo"]


@dataclass(frozen=True, slots=True)
class PPOSettings:
    """How a policy learns. The defaults are stable-baselines3's PPO.

    Raises:
        ValueError: A field is out of range; the line names it, its value and what is allowed.
    """

    steps: Positive = 100_000
    """Of all environments together; the last rollout may go beyond."""
    environments: Positive = 8
    rollout: Positive = 2048
    """Steps of each environment between updates."""
    rule: Rule = "ppo"
    epochs: Positive = 10
    minibatch: Positive = 64
    learning_rate: Above0 = 3e-4
    discount: Share = 0.99
    trace_decay: Share = 0.95
    clip: Above0 = 0.2
    value_weight: NotNegative = 0.5
    entropy_weight: NotNegative = 0.0
    max_gradient_norm: Above0 = 0.5
    target_kl: Above0 | None = None
    """Of PPO where its epochs stop; of the trust region its size, 0.01 where it is not given."""
    cost_limit: NotNegative = 25.0
    """Cost of an episode, of CPO."""
    hidden: tuple[Positive, ...] = (64, 64)
    scaled_observations: bool = False
    """Whether networks see observations by the bounds of their space."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_settings(self)


class UpdateRule(Protocol):
    """What learns from a rollout."""

    def update(self, rollout: Rollout, advantages: Advantages) -> Learned:
        """Learn."""


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """A policy, and how it came about."""

    policy: ActorCritic
    curves: pl.DataFrame
    """A row for each update; see `train`."""
    seconds: float


def train(
    environment: KnownVectorEnv,
    settings: PPOSettings,
    objective: Objective,
    seed: int,
    device: torch.device | str = "cpu",
    knowledge: Knowledge | None = None,
    progress: Callable[[float], object] | None = None,
    on_rollout: Callable[[Rollout], None] | None = None,
) -> TrainedPolicy:
    """Train a policy, on one thread of the CPU.

    Args:
        environment: As many as the settings say.
        settings: How.
        objective: What towards.
        seed: Of weights, actions, episodes and order.
        device: Where the networks are.
        knowledge: What states are measured by; the environment's own where it is not given.
        progress: Called with the steps of each rollout.
        on_rollout: Called with each rollout, before the policy learns from it.

    Returns:
        The policy, and curves: `step`, `episodes`, `episode_return`, `episode_cost` and `episode_length` (means of
        those that ended, null where none did), `violations` and `cost` (sums over the rollout),
        `violations_per_1000`, `violations_<c>` and `satisfaction_<c>` of each constraint, `policy_loss`, `value_loss`,
        `entropy`, `kl`, `gradient_steps`, `seconds`, and figures of the objective.

    Raises:
        ValueError: The policy says NaN, or the environment is of another number than the settings say.
    """
    if environment.num_envs != settings.environments:
        raise ValueError(f"environments: {environment.num_envs} is not allowed; allowed: {settings.environments}")
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    space = environment.single_observation_space
    assert isinstance(space, spaces.Box)
    bounds = space if settings.scaled_observations else None
    policy = ActorCritic(
        space.shape[0], environment.single_action_space, objective.critics, settings.hidden, generator, device, bounds
    )
    collector = Collector(environment, policy, knowledge or environment.knowledge, seed)
    rule = _rule(policy, settings, torch.Generator(device).manual_seed(seed))
    rows, step = [], 0
    with torch.no_grad(), one_thread():
        while step < settings.steps:
            rollout = collector.collect(settings.rollout)
            if on_rollout is not None:
                on_rollout(rollout)
            step += rollout.size
            learned = rule.update(rollout, objective.advantages(rollout, lambda seen: values_of(policy, seen)))
            told = objective.updated(rollout)
            rows.append({**_row(rollout, learned, step), **told, "seconds": time.perf_counter() - started})
            if progress is not None:
                progress(rollout.size)
    return TrainedPolicy(policy, pl.DataFrame(rows, infer_schema_length=None), time.perf_counter() - started)


def values_of(policy: ActorCritic, observations: torch.Tensor) -> torch.Tensor:
    """What the critics say of observations `[t, n, d]`, `[t, n, k]`."""
    values = policy.forward(observations.flatten(0, 1)).values
    return values.view(*observations.shape[:2], policy.critics)


def _rule(policy: ActorCritic, settings: PPOSettings, generator: torch.Generator) -> UpdateRule:
    if settings.rule == "ppo":
        names = ("epochs", "minibatch", "clip", "value_weight", "entropy_weight", "max_gradient_norm", "learning_rate")
        return ProximalPolicy(
            policy, generator, **{name: getattr(settings, name) for name in names}, target_kl=settings.target_kl
        )
    return TrustRegion(
        policy,
        generator,
        size=settings.target_kl or 0.01,
        minibatch=settings.minibatch,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        cost_limit=settings.cost_limit if settings.rule == "cpo" else None,
    )


def _row(rollout: Rollout, learned: Learned, step: int) -> dict[str, Any]:
    episodes = rollout.episodes
    broken = rollout.violated.flatten(0, 1).sum(0).tolist()
    kept = rollout.satisfactions.flatten(0, 1).mean(0).tolist()
    violations = int(rollout.violated.any(-1).sum())
    return {
        "step": step,
        "episodes": len(episodes.returns),
        "episode_return": _mean(episodes.returns),
        "episode_cost": _mean(episodes.costs),
        "episode_length": _mean(episodes.lengths),
        "violations": violations,
        "violations_per_1000": 1000 * violations / rollout.size,
        "cost": float(rollout.costs.sum()),
        **{f"violations_{at}": count for at, count in enumerate(broken)},
        **{f"satisfaction_{at}": share for at, share in enumerate(kept)},
        **learned._asdict(),
    }


def _mean(values: Sequence[Any] | np.ndarray[Any, Any]) -> float | None:
    return float(np.mean(values)) if len(values) else None
