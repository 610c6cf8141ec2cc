"""A run: a policy trained in one mode with one seed, and how it does on episodes that are the same for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl
import torch

from tracebank_models.constraint_logic.constraints import Knowledge
from tracebank_models.navigation import environments as navigation
from tracebank_models.reinforcement_learning import classic_control
from tracebank_models.reinforcement_learning.actor_critic import ActorCritic
from tracebank_models.reinforcement_learning.environments import KnownVectorEnv, make
from tracebank_models.reinforcement_learning.evaluation import evaluate
from tracebank_models.reinforcement_learning.objectives import Objective
from tracebank_models.reinforcement_learning.rollout import Rollout
from tracebank_models.reinforcement_learning.training import train

from .modes import Shuffled
from .prediction import NextState, OnPredictions
from .settings import MODES, RunSettings

__all__ = ["Run", "classic_control", "navigation", "run"]  # both register their environments
EVALUATION_SEED: Final = 1_000_003
"""Of the episodes of evaluation, the same for all that learn; no training begins with them."""
_MOST_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left."""

    settings: RunSettings
    curves: pl.DataFrame
    """As of `train`, with `prediction_error` (null without a predictor); no rows where nothing is learned."""
    evaluation: pl.DataFrame
    """As of `evaluate`."""
    policy: ActorCritic | str
    """A name where nothing is learned."""
    knowledge: Knowledge
    threshold: float | None
    """Return that counts as solved."""
    seconds: float
    """Of training."""


def run(
    settings: RunSettings,
    device: torch.device | str = "cpu",
    progress: Callable[[float], object] | None = None,
    on_rollout: Callable[[Rollout], None] | None = None,
) -> Run:
    """Train, and evaluate.

    Args:
        settings: What of.
        device: Where networks are; on a CPU one thread of torch is fastest.
        progress: Called with the steps of each rollout.
        on_rollout: Called with each rollout, before the policy learns from it.

    Raises:
        ValueError: There is no such environment, a formula cannot be read, or the policy says NaN.
    """
    learner, mode = settings.rule, MODES[settings.mode]
    environment = make(settings.environment, learner.environments, settings.seed)
    knowledge = settings.knowledge(environment.vocabulary, environment.knowledge)
    policy: ActorCritic | str = settings.mode
    curves, seconds = pl.DataFrame(), 0.0
    if mode.objective is not None:
        objective = _switched(mode.objective(settings), settings, environment, knowledge, device)
        trained = train(environment, learner, objective, settings.seed, device, knowledge, progress, on_rollout)
        policy, curves, seconds = trained.policy, trained.curves, trained.seconds
        if not settings.predictor:
            curves = curves.with_columns(prediction_error=pl.lit(None, pl.Float64))
    episodes = settings.evaluation_episodes
    judged = make(settings.environment, min(episodes, _MOST_AT_ONCE))
    # What does not learn differs from seed to seed by its episodes alone.
    drawn = EVALUATION_SEED + (settings.seed if mode.objective is None else 0)
    evaluation = evaluate(policy, judged, episodes, drawn, knowledge)
    return Run(settings, curves, evaluation, policy, knowledge, environment.threshold, seconds)


def _switched(
    objective: Objective,
    settings: RunSettings,
    environment: KnownVectorEnv,
    knowledge: Knowledge,
    device: torch.device | str,
) -> Objective:
    """The objective with what the settings switch on."""
    if settings.shuffled:
        objective = Shuffled(objective, torch.Generator(device).manual_seed(settings.seed))
    if settings.predictor:
        space = environment.single_action_space
        is_discrete = not space.shape
        actions = int(space.n) if is_discrete else space.shape[0]  # type: ignore[attr-defined,index]
        width = environment.single_observation_space.shape[0]  # type: ignore[index]
        predictor = NextState(width, actions, settings.seed, is_discrete=is_discrete, device=device)
        judge = knowledge if settings.predicted_satisfaction else None
        objective = OnPredictions(objective, predictor, environment.features, judge, settings.learner.trace_decay)
    return objective
