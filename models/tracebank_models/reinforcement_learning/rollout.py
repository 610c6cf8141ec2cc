"""Steps of a policy in environments that know what is safe, as tensors: what learners learn from.

Each step is measured by the knowledge at the state that it led to, before any reset: no violation goes uncounted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tracebank_models.constraint_logic.constraints import Knowledge

from .actor_critic import ActorCritic, check_finite
from .environments import KnownVectorEnv


class Episodes(NamedTuple):
    """Episodes that ended in a rollout, in order; `[e]` each."""

    returns: NDArray[np.float64]
    costs: NDArray[np.float64]
    violations: NDArray[np.int64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Steps, `[t, n, …]`; c constraints, k critics."""

    observations: torch.Tensor
    actions: torch.Tensor
    log_probabilities: torch.Tensor
    rewards: torch.Tensor
    costs: torch.Tensor
    """Of the environment where it has costs, else 1 where a constraint is broken."""
    satisfactions: torch.Tensor
    """With each constraint of the next state, `[t, n, c]`."""
    violated: torch.Tensor
    """Which are broken there, `[t, n, c]`."""
    next_observations: torch.Tensor
    """Before any reset."""
    terminations: torch.Tensor
    truncations: torch.Tensor
    values: torch.Tensor
    """Of the critics, `[t, n, k]`."""
    episodes: Episodes

    @property
    def done(self) -> torch.Tensor:
        """Where an episode ended or was cut."""
        return self.terminations | self.truncations

    @property
    def size(self) -> int:
        """Steps of all environments."""
        return self.rewards.numel()


@dataclass(slots=True)
class Collector:
    """Steps environments by a policy; an episode goes on from one rollout to the next."""

    environment: KnownVectorEnv
    policy: ActorCritic
    knowledge: Knowledge
    seed: int
    _seen: NDArray[Any] = field(init=False)
    _sums: NDArray[np.float64] = field(init=False)
    _generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Begin all episodes."""
        self._seen, _ = self.environment.reset(seed=self.seed)
        self._sums = np.zeros((4, self.environment.num_envs))
        self._generator = torch.Generator(self.policy.parameters.device).manual_seed(self.seed)

    def collect(self, steps: int) -> Rollout:
        """Take so many steps in each environment.

        Raises:
            ValueError: The policy says NaN.
        """
        policy, rows = self.policy, self.environment.num_envs
        device, width = policy.parameters.device, policy.observations
        observations, following = (np.empty((steps, rows, width), np.float32) for _ in range(2))
        rewards, costs = (np.zeros((steps, rows), np.float32) for _ in range(2))
        ends, cuts = (np.zeros((steps, rows), np.bool_) for _ in range(2))
        actions, heads, values, states = [], [], [], []
        for step in range(steps):
            observations[step] = self._seen
            passed = policy.forward(torch.as_tensor(self._seen, device=device))
            chosen = policy.sampled(passed.heads, self._generator)
            taken = self.environment.step(chosen.cpu().numpy())
            self._seen, rewards[step], ends[step], cuts[step], infos = taken
            following[step] = infos.get("final_obs", self._seen)
            costs[step] = infos.get("cost", 0)
            if "state" in infos:
                states.append(self.knowledge.evaluate(infos["state"]))
            actions.append(chosen)
            heads.append(passed.heads)
            values.append(passed.values)
        chosen, logits = torch.stack(actions), torch.stack(heads)
        check_finite(logits)
        satisfactions, violated = self._measured(following, states)
        any_violated = np.asarray(violated.any(-1))
        if "cost" not in infos:
            costs[:] = any_violated
        episodes = self._episodes(rewards, costs, any_violated, ends | cuts)
        told = (observations, rewards, costs, satisfactions, violated, following, ends, cuts)
        seen, paid, cost, kept, broken, after, ended, cut = (torch.from_numpy(one).to(device) for one in told)
        likely = policy.log_probabilities(logits, chosen)
        return Rollout(seen, chosen, likely, paid, cost, kept, broken, after, ended, cut, torch.stack(values), episodes)

    def _measured(self, following: NDArray[Any], states: list[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        steps, rows, width = following.shape
        if states:
            kept, broken = (np.stack([getattr(one, name) for one in states]) for name in ("satisfaction", "violated"))
            return kept.astype(np.float32), broken
        said = self.knowledge.evaluate(self.environment.features(following.reshape(-1, width)))
        shape = (steps, rows, len(self.knowledge))
        return said.satisfaction.reshape(shape).astype(np.float32), said.violated.reshape(shape)

    def _episodes(
        self, rewards: NDArray[Any], costs: NDArray[Any], violated: NDArray[np.bool_], done: NDArray[np.bool_]
    ) -> Episodes:
        """Sums over the episodes that ended; those of the others go on."""
        told = np.stack([rewards, costs, violated, np.ones_like(rewards)]).astype(np.float64)
        totals = self._sums[:, None] + told.cumsum(axis=1)
        rows, steps = np.nonzero(done.T)
        reached = totals[:, steps, rows]
        is_first = np.diff(rows, prepend=-1) != 0
        before = np.where(is_first, 0.0, np.roll(reached, 1, axis=1))
        self._sums = totals[:, -1].copy()
        is_last = np.diff(rows, append=-1) != 0
        self._sums[:, rows[is_last]] -= reached[:, is_last]
        returns, costs, broken, lengths = (reached - before)[:, np.argsort(steps, kind="stable")]
        return Episodes(returns, costs, broken.astype(np.int64), lengths.astype(np.int64))
