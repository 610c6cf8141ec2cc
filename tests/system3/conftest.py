"""One thread of torch, and rollouts that nobody had to step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tracebank_models.reinforcement_learning.rollout import Episodes, Rollout


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rollout() -> Callable[..., Rollout]:
    """Makes rollouts of random numbers, but for what is given; critics say the first numbers of observations."""

    def made(steps: int = 12, rows: int = 4, critics: int = 2, seed: int = 0, **given: Any) -> Rollout:
        chance = torch.Generator().manual_seed(seed)
        satisfactions = torch.rand((steps, rows, 2), generator=chance)
        ends = torch.rand((steps, rows), generator=chance) < 0.15
        cuts = ~ends & (torch.rand((steps, rows), generator=chance) < 0.1)
        seen, last = (torch.randn((steps, rows, 4), generator=chance) for _ in range(2))
        goes_on = ~(ends | cuts)
        goes_on[-1] = False
        fields = {
            "observations": seen,
            "actions": torch.randint(0, 2, (steps, rows), generator=chance),
            "log_probabilities": torch.full((steps, rows), -0.7),
            "rewards": torch.rand((steps, rows), generator=chance),
            "costs": (satisfactions == 0).any(-1).float(),
            "satisfactions": satisfactions,
            "violated": satisfactions < 0.1,
            "next_observations": torch.where(goes_on.unsqueeze(-1), seen.roll(-1, 0), last),
            "terminations": ends,
            "truncations": cuts,
            "values": seen[..., :critics],
            "episodes": Episodes(np.ones(2), np.array([3.0, 5.0]), np.array([2, 4]), np.array([10, 30])),
        }
        return Rollout(**{**fields, **given})

    return made
