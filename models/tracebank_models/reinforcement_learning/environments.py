"""Vector environments of gymnasium's API that know what is safe: features of their states, and constraints on them.

Episodes end as `AutoresetMode.SAME_STEP` has it: an environment that is done is reset in the same step, and its last
observation stands in `infos["final_obs"]`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from tracebank_models.constraint_logic.constraints import Knowledge
from tracebank_models.constraint_logic.vocabulary import Vocabulary

Floats = NDArray[np.floating[Any]]


class KnownVectorEnv(VectorEnv[Floats, NDArray[Any], NDArray[Any]]):
    """Environments that step together.

    Args:
        num_envs: How many.
        max_episode_steps: After how many steps an episode is cut; None takes the class's own.

    Raises:
        ValueError: There are fewer than one, or episodes shorter than one step.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # type: ignore[misc]
    vocabulary: ClassVar[Vocabulary]
    """Features of its states."""
    knowledge: ClassVar[Knowledge]
    """What is known to be safe, where nobody says otherwise."""
    threshold: ClassVar[float | None] = None
    """Return that counts as solved."""
    limit: ClassVar[int]
    """Steps of an episode."""
    observation: ClassVar[spaces.Box]
    action: ClassVar[spaces.Box | spaces.Discrete]

    def __init__(self, num_envs: int = 1, max_episode_steps: int | None = None) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs: {num_envs} is not allowed; allowed: 1 or more")
        self.max_episode_steps = self.limit if max_episode_steps is None else max_episode_steps
        if self.max_episode_steps < 1:
            raise ValueError(f"max_episode_steps: {max_episode_steps} is not allowed; allowed: 1 or more")
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = self.observation, self.action
        self.observation_space = batch_space(self.observation, num_envs)
        self.action_space = batch_space(self.action, num_envs)
        self.elapsed = np.zeros(num_envs, np.int64)
        self._is_begun = False

    @staticmethod
    @abstractmethod
    def features(observations: Any) -> Mapping[str, Any]:
        """Features of observations `[n, d]`, NumPy's or torch's: also of those that somebody predicts."""

    @abstractmethod
    def _begin(self, rows: NDArray[np.bool_]) -> None:
        """Start new episodes in these environments."""

    @abstractmethod
    def _advance(self, actions: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_], dict[str, Any]]:
        """Move all by a step: rewards, which ended, and what else is told."""

    @abstractmethod
    def _observed(self) -> Floats:
        """Observations of the present, `[n, d]` float32, in an array of their own."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start all episodes anew."""
        super().reset(seed=seed, options=options)
        self.elapsed[:] = 0
        self._begin(np.ones(self.num_envs, np.bool_))
        self._is_begun = True
        return self._observed(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Move all by a step.

        Raises:
            ValueError: Actions have another shape, or are none of the space's; or nobody called `reset`.
        """
        if not self._is_begun:
            raise ValueError("step: call reset first")
        rewards, terminated, infos = self._advance(self._checked(actions))
        self.elapsed += 1
        truncated = self.elapsed >= self.max_episode_steps
        observations = self._observed()
        done = terminated | truncated
        if done.any():
            infos["final_obs"], infos["_final_obs"] = observations, done
            self.elapsed[done] = 0
            self._begin(done)
            observations = self._observed()
        return observations, rewards, terminated, truncated, infos

    def _checked(self, actions: NDArray[Any]) -> NDArray[Any]:
        actions = np.asarray(actions)
        wanted = self.action_space.shape
        if actions.shape != wanted:
            raise ValueError(f"actions: shape {list(actions.shape)} is not allowed; allowed: {list(wanted or ())}")
        if isinstance(self.action, spaces.Discrete):
            if actions.dtype.kind not in "iu" or actions.min() < 0 or actions.max() >= self.action.n:
                raise ValueError(
                    f"actions: {actions.flat[0]!r} … is not allowed; allowed: whole numbers below {self.action.n}"
                )
        elif not np.isfinite(actions).all():
            raise ValueError("actions: NaN or infinity is not allowed; does the policy's loss diverge?")
        return actions


class SingleEnv(gymnasium.Env[Floats, Any]):
    """One environment of a vector environment, for gymnasium's API of single ones.

    Args:
        environments: Of one.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(self, environments: KnownVectorEnv) -> None:
        self.environments = environments
        self.observation_space = environments.single_observation_space
        self.action_space = environments.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        observations, _ = self.environments.reset(seed=seed, options=options)
        return observations[0], {}

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Move by a step; the observation of the last one is the episode's own."""
        taken = np.asarray(action)[None]
        observations, rewards, terminated, truncated, infos = self.environments.step(taken)
        last = infos.get("final_obs", observations)[0]
        told = {"cost": float(infos["cost"][0])} if "cost" in infos else {}
        return last, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), told


ENVIRONMENTS: Final[dict[str, Callable[[int], KnownVectorEnv]]] = {}
"""What makes so many environments, by name."""
_PREFIX: Final = "tracebank/"


def register(name: str, kind: Callable[..., KnownVectorEnv]) -> None:
    """Make a kind of environment known here, and to gymnasium as `tracebank/NAME`."""
    ENVIRONMENTS[name] = kind
    gymnasium.register(
        _PREFIX + name,
        entry_point=lambda **options: SingleEnv(kind(1, **options)),
        vector_entry_point=kind,
        disable_env_checker=True,
    )


def make(name: str, environments: int, seed: int | None = None) -> KnownVectorEnv:
    """Environments of a name, begun.

    Raises:
        ValueError: There is no such kind.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"environment: {name!r} is not allowed; allowed: {', '.join(ENVIRONMENTS)}")
    made = ENVIRONMENTS[name](environments)
    made.reset(seed=seed)
    return made
