"""Frames of what a policy does in environments: each step once, in bounded memory.

Environments that know what is safe tell it of every step, at the state that it led to; of others satisfaction is empty
and the cost 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import polars as pl
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from tracebank_models.constraint_logic.constraints import Knowledge
from tracebank_models.reinforcement_learning.environments import KnownVectorEnv
from tracebank_models.reinforcement_learning.rollout import Rollout

from .columns import Array, Numbering, RolloutColumns, step_frame

Policy = Callable[[Array], Array]
"""Actions for observations `[n, d]`."""
_ROWS: Final = 1 << 17
"""Of a frame, about."""


def rollout_frames(
    environment: VectorEnv[Any, Any, Any],
    policy: Policy,
    steps: int,
    *,
    run: str,
    seed: int | None = None,
    knowledge: Knowledge | None = None,
) -> Iterator[pl.DataFrame]:
    """Step environments by a policy from their beginning, and give what happens in frames of `columns.SCHEMA`.

    Args:
        environment: Of `SAME_STEP` autoreset.
        policy: What they do.
        steps: Of each environment.
        run: What the steps are of.
        seed: Of the environments.
        knowledge: That states are measured by; the environment's own where it is not given.

    Raises:
        ValueError: The environments reset otherwise, there are no steps, or knowledge of features that these
            environments do not tell.
    """
    if steps < 1:
        raise ValueError(f"steps: {steps} is not allowed; allowed: 1 or more")
    mode = environment.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"environment: autoreset {mode} is not allowed; allowed: {AutoresetMode.SAME_STEP}")
    known = environment if isinstance(environment, KnownVectorEnv) else None
    if knowledge is not None and known is None:
        raise ValueError("knowledge: none is allowed here; this environment does not tell features of its states")
    measure = _Measure(known, knowledge or known.knowledge) if known else None
    return _frames(environment, policy, steps, run, seed, measure)


def _frames(
    environment: VectorEnv[Any, Any, Any],
    policy: Policy,
    steps: int,
    run: str,
    seed: int | None,
    measure: _Measure | None,
) -> Iterator[pl.DataFrame]:
    seen, _ = environment.reset(seed=seed)
    numbering, length = Numbering(environment.num_envs), max(1, _ROWS // environment.num_envs)
    for first in range(0, steps, length):
        count = min(length, steps - first)
        columns, seen = _taken(environment, policy, seen, count, measure)
        yield step_frame(columns, run, numbering, is_last=first + count == steps)


def columns_of(rollout: Rollout) -> RolloutColumns:
    """The steps of a training's rollout, for `step_frame` with one `Numbering` of the training."""
    told = (
        rollout.observations,
        rollout.actions,
        rollout.rewards,
        rollout.costs,
        rollout.satisfactions,
        rollout.terminations,
        rollout.truncations,
        rollout.next_observations,
    )
    return RolloutColumns(*(one.cpu().numpy() for one in told))


class _Measure:
    """What knowledge says of steps."""

    def __init__(self, environment: KnownVectorEnv, knowledge: Knowledge) -> None:
        self._environment, self._knowledge = environment, knowledge

    def __call__(
        self, following: Array, states: list[dict[str, Array]]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Satisfaction `[t, n, c]`, and where any constraint is broken `[t, n]`."""
        count, rows, width = following.shape
        state = {name: np.concatenate([one[name] for one in states]) for name in states[0]} if states else None
        said = self._knowledge.evaluate(state or self._environment.features(following.reshape(-1, width)))
        shape = count, rows, len(self._knowledge)
        return said.satisfaction.astype(np.float32).reshape(shape), said.violated.any(-1).reshape(count, rows)


def _taken(
    environment: VectorEnv[Any, Any, Any], policy: Policy, seen: Array, count: int, measure: _Measure | None
) -> tuple[RolloutColumns, Array]:
    """So many steps of each environment, and what is seen after them."""
    rows = environment.num_envs
    observations, following = (np.empty((count, *seen.shape), np.float32) for _ in range(2))
    rewards, costs = np.empty((count, rows), np.float32), np.zeros((count, rows), np.float32)
    terminated, truncated = (np.empty((count, rows), np.bool_) for _ in range(2))
    actions: list[Array] = []
    states: list[dict[str, Array]] = []
    infos: dict[str, Any] = {}
    for step in range(count):
        observations[step] = seen
        actions.append(policy(seen))
        seen, rewards[step], terminated[step], truncated[step], infos = environment.step(actions[-1])
        following[step] = seen
        if "_final_obs" in infos:
            ended = infos["_final_obs"]
            following[step][ended] = np.stack(list(infos["final_obs"][ended]))
        if "cost" in infos:
            costs[step] = infos["cost"]
        if measure and "state" in infos:
            states.append(infos["state"])
    satisfactions = np.empty((count, rows, 0), np.float32)
    if measure:
        satisfactions, broken = measure(following, states)
        costs = costs if "cost" in infos else broken.astype(np.float32)
    told = observations, np.stack(actions), rewards, costs, satisfactions, terminated, truncated, following
    return RolloutColumns(*told), seen
