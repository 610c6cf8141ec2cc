"""The worlds by name, as they are and with equal groups, and their ids in gymnasium."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import gymnasium as gym
import numpy as np

from .admission import AdmissionWorld
from .attention import AttentionWorld
from .lending import ClusterWorld, FicoWorld
from .names import WORLD_NAMES
from .performative import PerformativeWorld
from .population import PopulationWorld
from .score_tables import CLUSTERS, FICO, ScoreTable

WORLDS: Final[dict[str, Callable[..., PopulationWorld]]] = {
    world.name: world for world in (FicoWorld, ClusterWorld, AdmissionWorld, PerformativeWorld)
}
"""Worlds of people; that of sites is `AttentionWorld`."""
_ALIKE: Final[dict[str, dict[str, Any]]] = {
    FicoWorld.name: {"proxy": 0.0},
    ClusterWorld.name: {"proxy": 0.0},
    AdmissionWorld.name: {"mean": (0.7, 0.7), "spread": (0.2, 0.2), "cost": (1.0, 1.0), "proxy": 0.0},
    PerformativeWorld.name: {"shift": 0.0},
}
"""Arguments under which groups differ in nothing; tables have the groups' mean."""


def make_world(name: str, people: int, periods: int, *, equal: bool = False) -> PopulationWorld:
    """A world of people.

    Args:
        name: One of `WORLDS`.
        people: How many.
        periods: After which an episode is cut.
        equal: Whether groups differ in nothing, the null of every gap.

    Raises:
        ValueError: The name is not known, or a number is too small.
    """
    if name not in WORLDS:
        raise ValueError(f"world: {name!r} is not allowed; allowed: {', '.join(WORLD_NAMES)}")
    options = dict(_ALIKE[name]) if equal else {}
    if equal and name in _TABLES:
        options["table"] = pooled(_TABLES[name])
    return WORLDS[name](people, periods, **options)


_TABLES: Final = {FicoWorld.name: FICO, ClusterWorld.name: CLUSTERS}


def pooled(table: ScoreTable) -> ScoreTable:
    """The same table with every group as all people together are."""
    joint = table.weights[:, None] * table.shares
    shares = joint.sum(0)
    # People may come to have a score that nobody begins with: there groups count by their size.
    by = np.where(shares > 0, joint, table.weights[:, None])
    repayment = (by * table.repayment).sum(0) / by.sum(0)
    count = len(table.groups)
    return replace(table, shares=np.tile(shares, (count, 1)), repayment=np.tile(repayment, (count, 1)))


_IDS: Final[dict[str, Any]] = {
    "tracebank/LendingFICO-v0": FicoWorld,
    "tracebank/Lending7-v0": ClusterWorld,
    "tracebank/Admission-v0": AdmissionWorld,
    "tracebank/Performative-v0": PerformativeWorld,
}


def register() -> None:
    """Make the ids known to `gymnasium.make` and `make_vec`; those that are known stay."""
    for key, world in _IDS.items():
        if key not in gym.registry:
            gym.register(key, entry_point=world)
    if "tracebank/Attention-v0" not in gym.registry:
        gym.register("tracebank/Attention-v0", vector_entry_point=AttentionWorld)  # type: ignore[arg-type]


register()
