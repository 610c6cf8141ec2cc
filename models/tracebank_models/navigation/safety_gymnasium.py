"""The goal tasks as users of safety-gymnasium know them: its ids, and steps that return the cost as the third value."""

from __future__ import annotations

from typing import Any, Final

import gymnasium

from tracebank_models.reinforcement_learning.environments import ENVIRONMENTS

from .environments import Navigation, NavigationEnv

_PREFIX: Final = "Safety"


class SafetyGymnasium(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose step returns observation, reward, cost, terminated, truncated, info.

    Args:
        env: One whose infos tell its `cost`.
    """

    def step(self, action: Any) -> tuple[Any, float, float, bool, bool, dict[str, Any]]:  # type: ignore[override]
        """Move by a step; `info["cost_sum"]` is the cost too, as there."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        cost = float(info["cost"])
        return seen, float(reward), cost, terminated, truncated, info | {"cost_sum": cost}


def make(name: str, render_mode: str | None = None) -> SafetyGymnasium:
    """An environment by safety-gymnasium's id, such as `SafetyPointGoal1-v0`.

    Raises:
        ValueError: There is no such task here, or no such way of rendering.
    """
    kind = ENVIRONMENTS.get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
    if not (isinstance(kind, type) and issubclass(kind, Navigation)):
        known = [known for known, one in ENVIRONMENTS.items() if isinstance(one, type) and issubclass(one, Navigation)]
        raise ValueError(f"name: {name!r} is not allowed; allowed: {', '.join(_PREFIX + one for one in known)}")
    return SafetyGymnasium(NavigationEnv(kind(1), render_mode))
