"""How a policy does when it does not explore, beside one that draws its actions and one that does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from tracebank_models.constraint_logic.constraints import Knowledge
from tracebank_models.device import one_thread

from .actor_critic import ActorCritic
from .environments import KnownVectorEnv

Chooser = Callable[[NDArray[Any], KnownVectorEnv, np.random.Generator], NDArray[Any]]
"""Actions for observations `[n, d]`."""


def _random(observations: NDArray[Any], environment: KnownVectorEnv, chance: np.random.Generator) -> NDArray[Any]:
    space = environment.action
    if isinstance(space, spaces.Discrete):
        return chance.integers(0, space.n, len(observations))
    return chance.uniform(space.low, space.high, (len(observations), *space.shape)).astype(np.float32)


def _nothing(observations: NDArray[Any], environment: KnownVectorEnv, _: np.random.Generator) -> NDArray[Any]:
    """No force: 0, or the middle one of three actions; of two the first, as there is none that does nothing."""
    space = environment.action
    if isinstance(space, spaces.Discrete):
        return np.full(len(observations), (space.n - 1) // 2)
    return np.zeros((len(observations), *space.shape), np.float32)


RANDOM: Final = "random"
DO_NOTHING: Final = "do_nothing"
CHOOSERS: Final[dict[str, Chooser]] = {RANDOM: _random, DO_NOTHING: _nothing}
"""Policies that do not learn, by name."""


def evaluate(
    policy: ActorCritic | str,
    environment: KnownVectorEnv,
    episodes: int,
    seed: int,
    knowledge: Knowledge | None = None,
) -> pl.DataFrame:
    """Episodes of a policy: the first of each environment, then the second, ...; each begins from the seed's states.

    Args:
        policy: A trained one, or a name of `CHOOSERS`.
        environment: Any number of them.
        episodes: How many.
        seed: Of the episodes.
        knowledge: That states are measured by; the environment's own where it is not given.

    Returns:
        `episode`, `episode_return`, `cost`, `violations`, `length`, `goals` (null where the environment has none).

    Raises:
        ValueError: The policy is of no name, or says NaN; or there is less than one episode.
    """
    if isinstance(policy, str) and policy not in CHOOSERS:
        raise ValueError(f"policy: {policy!r} is not allowed; allowed: {', '.join(CHOOSERS)}, or a trained one")
    if episodes < 1:
        raise ValueError(f"episodes: {episodes} is not allowed; allowed: 1 or more")
    known, chance = knowledge or environment.knowledge, np.random.default_rng(seed)
    seen, _ = environment.reset(seed=seed)
    sums, rounds = np.zeros((5, environment.num_envs)), -(-episodes // environment.num_envs)
    found: list[tuple[int, int, NDArray[Any], bool]] = []
    counts = np.zeros(environment.num_envs, np.int64)
    while counts.min() < rounds:
        with torch.no_grad(), one_thread():
            chosen = CHOOSERS[policy](seen, environment, chance) if isinstance(policy, str) else policy.act(seen)
        seen, rewards, ends, cuts, infos = environment.step(chosen)
        state = infos.get("state") or environment.features(infos.get("final_obs", seen))
        broken = known.evaluate(state).violated.any(-1)
        sums += np.stack(
            [rewards, infos.get("cost", broken), broken, np.ones(len(seen)), infos.get("goal_met", 0 * broken)]
        )
        for row in np.nonzero(ends | cuts)[0]:
            found.append((int(counts[row]), int(row), sums[:, row].copy(), "goal_met" in infos))
            counts[row] += 1
            sums[:, row] = 0
    rows = sorted((at, row, *told, has_goals) for at, row, told, has_goals in found)[:episodes]
    return pl.DataFrame(
        [
            {
                "episode": number,
                "episode_return": gained,
                "cost": cost,
                "violations": int(broken),
                "length": int(length),
                "goals": int(goals) if has_goals else None,
            }
            for number, (_, _, gained, cost, broken, length, goals, has_goals) in enumerate(rows)
        ],
        schema_overrides={"goals": pl.Int64},
    )
