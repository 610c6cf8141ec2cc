"""Columns of steps: arrays over steps and environments become frames, an environment's steps one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Array = NDArray[Any]

SCHEMA: Final = pl.Schema(
    {
        "run": pl.String(),
        "environment": pl.Int32(),
        "episode": pl.Int32(),
        "step": pl.Int32(),
        "observation": pl.List(pl.Float32()),
        "action": pl.List(pl.Float32()),
        "reward": pl.Float32(),
        "cost": pl.Float32(),
        "satisfaction": pl.List(pl.Float32()),
        "terminated": pl.Boolean(),
        "truncated": pl.Boolean(),
        "final_observation": pl.List(pl.Float32()),
    }
)
"""Of every frame of steps; `final_observation` is empty but where an episode, or the rollout, ends."""


@dataclass(frozen=True, slots=True)
class RolloutColumns:
    """Steps of environments, `[t, n, …]`."""

    observations: Array
    """What the policy saw, `[t, n, d]`."""
    actions: Array
    """`[t, n]` or `[t, n, a]`."""
    rewards: Array
    costs: Array
    satisfactions: Array
    """With each constraint, of the state that the step led to, `[t, n, c]`."""
    terminated: Array
    truncated: Array
    following: Array
    """What was seen next, before any reset, `[t, n, d]`."""

    def __post_init__(self) -> None:
        """Compare shapes.

        Raises:
            ValueError: One is not of as many steps and environments as the rewards are, or has axes too many.
        """
        steps = self.rewards.shape
        allowed = {"observations": (3,), "actions": (2, 3), "satisfactions": (3,), "following": (3,)}
        for name in ("observations", "actions", "rewards", "costs", "satisfactions", "terminated", "truncated"):
            shape = getattr(self, name).shape
            if len(steps) != 2 or shape[:2] != steps or len(shape) not in allowed.get(name, (2,)):
                raise ValueError(f"{name}: shape {list(shape)} is not allowed; rewards have {list(steps)}, [t, n]")
        if self.following.shape != self.observations.shape:
            raise ValueError(
                f"following: shape {list(self.following.shape)} is not allowed; "
                f"allowed: that of the observations, {list(self.observations.shape)}"
            )


class Numbering:
    """Which episode of its environment, and which step of it, each step is: it goes on from one frame to the next.

    Args:
        environments: How many.
    """

    def __init__(self, environments: int) -> None:
        self._episodes = np.zeros(environments, np.int32)
        self._steps = np.zeros(environments, np.int32)

    def following(self, done: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Episodes and steps, `[n, t]` each.

        Args:
            done: Where an episode ended, `[n, t]`.
        """
        length = done.shape[1]
        ended = done.cumsum(axis=1, dtype=np.int32)
        episodes = self._episodes[:, None] + ended - done
        at = np.arange(length, dtype=np.int32)
        # Of a step, the number that step 0 of its episode would have in this frame.
        begun = np.where(done, at + 1, np.int32(-1))
        begun = np.concatenate([-self._steps[:, None], begun], axis=1)
        begun[:, 1:][begun[:, 1:] < 0] = np.iinfo(np.int32).min
        begun = np.maximum.accumulate(begun, axis=1)
        self._episodes += ended[:, -1]
        self._steps = length - begun[:, -1]
        return episodes, at - begun[:, :-1]


def step_frame(columns: RolloutColumns, run: str, numbering: Numbering, *, is_last: bool) -> pl.DataFrame:
    """One row for each step: all of the first environment, then of the second, …

    Args:
        columns: The steps.
        run: What they are of.
        numbering: That of the frames before.
        is_last: Whether episodes that have not ended are left there: the last row of each has its final observation.
    """
    done = (columns.terminated | columns.truncated).T
    episodes, steps = numbering.following(done)
    ends = done.copy()
    ends[:, -1] |= is_last
    environments = np.arange(len(done), dtype=np.int32).repeat(done.shape[1])
    arrays = {
        "environment": pa.array(environments),
        "episode": pa.array(episodes.reshape(-1)),
        "step": pa.array(steps.reshape(-1)),
        "observation": _lists(_rows(columns.observations)),
        "action": _lists(_rows(columns.actions if columns.actions.ndim == 3 else columns.actions[..., None])),
        "reward": pa.array(_rows(columns.rewards)),
        "cost": pa.array(_rows(columns.costs)),
        "satisfaction": _lists(_rows(columns.satisfactions)),
        "terminated": pa.array(columns.terminated.T.reshape(-1)),
        "truncated": pa.array(columns.truncated.T.reshape(-1)),
        "final_observation": _few(np.swapaxes(columns.following, 0, 1)[ends], ends.reshape(-1)),
    }
    frame = pl.from_arrow(pa.table(arrays), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(run=pl.lit(run)).select(SCHEMA.names())


def _rows(values: Array) -> NDArray[np.float32]:
    """Of `[t, n, …]` the environments one after the other, `[n t, …]`."""
    swapped = np.ascontiguousarray(np.swapaxes(values, 0, 1), np.float32)
    return swapped.reshape(values.shape[0] * values.shape[1], *values.shape[2:])


def _lists(rows: NDArray[np.float32]) -> pa.LargeListArray[Any]:
    count, width = rows.shape
    return _listed(np.arange(count + 1, dtype=np.int64) * width, rows)


def _few(rows: Array, which: NDArray[np.bool_]) -> pa.LargeListArray[Any]:
    """Lists where `which` says so, empty ones elsewhere."""
    offsets = np.zeros(len(which) + 1, np.int64)
    np.cumsum(which, out=offsets[1:])
    return _listed(offsets * rows.shape[1], rows)


def _listed(offsets: NDArray[np.int64], rows: Array) -> pa.LargeListArray[Any]:
    values = np.ascontiguousarray(rows, np.float32).reshape(-1)
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values, pa.float32()))
