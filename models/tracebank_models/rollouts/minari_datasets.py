"""Rollouts as datasets of Minari, and back. The package `minari` does the writing and reading; it is an extra.

Minari's standard has no cost and no constraints: they are infos there, as are the numbers of environment and episode,
so that a rollout comes back as it was. The first entry of an episode's infos is of its reset: cost 0, satisfaction NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import numpy as np
import polars as pl
from gymnasium import spaces
from numpy.typing import NDArray

from .columns import SCHEMA

MinariDataset = Any
EpisodeBuffer = Any
_ORDER: Final = ["environment", "episode", "step"]


def export(
    rows: pl.DataFrame,
    name: str,
    observation_space: spaces.Box,
    action_space: spaces.Box | spaces.Discrete,
    **about: Any,
) -> MinariDataset:
    """Write the episodes of one run as a dataset of Minari, in its folder.

    Args:
        rows: Of `columns.SCHEMA`, whole episodes, in any order.
        name: Of the dataset, such as `cartpole/random-v0`.
        observation_space: Of one environment.
        action_space: Of one environment.
        about: What else `minari.create_dataset_from_buffers` takes: env, author, description, data_format, …

    Raises:
        ModuleNotFoundError: There is no `minari`.
        ValueError: There are no rows, of several runs, or an episode has no end or no beginning.
    """
    buffers = list(_buffers(rows, isinstance(action_space, spaces.Discrete)))
    spaced = {"observation_space": observation_space, "action_space": action_space}
    return import_module("minari").create_dataset_from_buffers(name, buffers, **spaced, **about)


def _buffers(rows: pl.DataFrame, is_discrete: bool) -> Iterator[EpisodeBuffer]:
    buffer = import_module("minari.data_collector").EpisodeBuffer
    if rows["run"].n_unique() != 1:
        raise ValueError(f"rows: {rows['run'].n_unique()} runs are not allowed in a dataset; allowed: one")
    rows = rows.sort(_ORDER)
    columns = {name: _array(rows[name]) for name in SCHEMA.names() if name not in ("run", "final_observation")}
    numbers = np.stack([columns["environment"], columns["episode"]])
    starts = np.flatnonzero(np.diff(numbers, axis=1, prepend=-1).any(axis=0))
    ends = np.append(starts[1:], rows.height)
    last = rows["final_observation"][(ends - 1).tolist()]
    _check_whole(columns["step"], starts, ends, last.list.len().to_numpy() == columns["observation"].shape[1], numbers)
    for start, end, final in zip(starts, ends, _array(last), strict=True):
        one = {name: values[start:end] for name, values in columns.items()}
        actions = one["action"][:, 0].astype(np.int64) if is_discrete else one["action"]
        yield buffer(
            observations=np.concatenate([one["observation"], final[None]]),
            actions=actions,
            rewards=one["reward"].astype(np.float64),
            terminations=one["terminated"],
            truncations=one["truncated"],
            infos=_infos(one),
        )


def _check_whole(steps: Any, starts: Any, ends: Any, have_final: Any, numbers: Any) -> None:
    """Every episode from step 0 on, without a gap, to its final observation."""
    is_cut = (steps[starts] != 0) | (steps[ends - 1] != ends - starts - 1) | ~have_final
    if is_cut.any():
        environment, episode = numbers[:, starts[is_cut.argmax()]]
        raise ValueError(
            f"rows: episode {episode} of environment {environment} is not whole; allowed: every step from 0 on, the "
            "last with its final_observation"
        )


def _infos(one: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    count = len(one["cost"]) + 1
    satisfaction = np.full((count, one["satisfaction"].shape[1]), np.nan, np.float32)
    satisfaction[1:] = one["satisfaction"]
    cost = np.concatenate([np.zeros(1, np.float32), one["cost"]])
    infos = {"cost": cost, **{name: np.full(count, one[name][0]) for name in ("environment", "episode")}}
    return infos | ({"satisfaction": satisfaction} if satisfaction.shape[1] else {})


def _array(column: pl.Series) -> NDArray[Any]:
    """Lists as one array, `[rows, width]`; all have the length of the longest one."""
    if column.dtype != pl.List:
        return column.to_numpy()
    width = int(column.list.len().max() or 0)  # type: ignore[arg-type]
    flat = column.explode(empty_as_null=False).to_numpy()
    if len(flat) != len(column) * width:
        raise ValueError(f"{column.name}: lists of different lengths are not allowed in a dataset")
    return flat.reshape(len(column), width)


def imported(dataset: MinariDataset, run: str) -> Iterator[pl.DataFrame]:
    """The episodes of a dataset of Minari as frames of `columns.SCHEMA`, one each; of its own exports as they were.

    Args:
        dataset: Of observations and actions that are arrays or numbers.
        run: What the steps are of.

    Raises:
        ValueError: Observations or actions are dictionaries, tuples or texts.
    """
    for name in ("observation_space", "action_space"):
        space = getattr(dataset.spec, name)
        if not isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            raise ValueError(f"{name}: {type(space).__name__} is not allowed; allowed: Box and Discrete")
    return (_episode(episode, run) for episode in dataset.iterate_episodes())


def _episode(episode: Any, run: str) -> pl.DataFrame:
    count, infos = len(episode.rewards), episode.infos or {}
    observations = np.asarray(episode.observations, np.float32).reshape(count + 1, -1)
    satisfaction = infos.get("satisfaction", np.empty((count + 1, 0), np.float32))[1:]
    values: dict[str, Any] = {
        "run": [run] * count,
        "environment": infos.get("environment", np.zeros(count + 1))[1:].astype(np.int32),
        "episode": infos.get("episode", np.full(count + 1, episode.id))[1:].astype(np.int32),
        "step": np.arange(count, dtype=np.int32),
        "observation": list(observations[:-1]),
        "action": list(np.asarray(episode.actions, np.float32).reshape(count, -1)),
        "reward": np.asarray(episode.rewards, np.float32),
        "cost": np.asarray(infos.get("cost", np.zeros(count + 1)), np.float32)[1:],
        "satisfaction": satisfaction.tolist(),
        "terminated": np.asarray(episode.terminations),
        "truncated": np.asarray(episode.truncations),
        "final_observation": [[]] * (count - 1) + [observations[-1].tolist()],
    }
    return pl.DataFrame(values, schema=SCHEMA)
