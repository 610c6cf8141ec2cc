"""Rewards as functions of texts: what one is known by, and the check of what it gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Reward = Callable[[Sequence[str]], npt.NDArray[np.float64]]
"""Rewards of texts, one number each."""


def reward_hash(reward: Reward) -> str:
    """What a resumed run knows a reward by: its own `content_hash`, else the name of the function or class."""
    own = getattr(reward, "content_hash", None)
    if own is not None:
        return str(own())
    named = reward if hasattr(reward, "__qualname__") else type(reward)
    return f"{named.__module__}.{named.__qualname__}"


def checked_rewards(reward: Reward, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Rewards of texts.

    Raises:
        ValueError: The number of rewards is not that of texts, or one is not finite.
    """
    scores = np.asarray(reward(texts), dtype=np.float64)
    if scores.shape != (len(texts),):
        raise ValueError(f"reward: shape {scores.shape} is not allowed; allowed: one number per text, {(len(texts),)}")
    for text, score in zip(texts, scores.tolist(), strict=True):
        if not math.isfinite(score):
            raise ValueError(f"reward: {score} for {text[:60]!r} is not allowed; allowed: a finite number")
    return scores
