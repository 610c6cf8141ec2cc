"""Steps as columns: numbering, what a row says, frames of any size, the store, and Minari there and back."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import polars as pl
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv

from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank_models.constraint_logic.constraints import Knowledge
from tracebank_models.navigation import environments as navigation
from tracebank_models.reinforcement_learning import classic_control
from tracebank_models.reinforcement_learning.environments import ENVIRONMENTS
from tracebank_models.reinforcement_learning.objectives import Reward
from tracebank_models.reinforcement_learning.rollout import Rollout
from tracebank_models.reinforcement_learning.training import PPOSettings, train
from tracebank_models.rollouts import recording
from tracebank_models.rollouts.columns import SCHEMA, Numbering, RolloutColumns, step_frame
from tracebank_models.rollouts.minari_datasets import export, imported
from tracebank_models.rollouts.recording import Policy, columns_of, rollout_frames
from tracebank_schemas.reinforcement_learning import ROLLOUT_STEPS

ORDER = ["environment", "episode", "step"]
assert classic_control
assert navigation


def _random(environment: VectorEnv, seed: int = 0) -> Policy:
    chance, space = np.random.default_rng(seed), environment.single_action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return lambda seen: chance.integers(0, space.n, len(seen))
    return lambda seen: chance.uniform(-1, 1, (len(seen), 2)).astype(np.float32)


def _rows(name: str, count: int, steps: int, limit: int | None = None, rows: int = 1 << 17) -> pl.DataFrame:
    environment = ENVIRONMENTS[name](count, max_episode_steps=limit)  # type: ignore[call-arg]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "_ROWS", rows)
        return pl.concat(rollout_frames(environment, _random(environment), steps, run="r", seed=0)).sort(ORDER)


def test_episodes_and_steps_are_numbered_through_all_frames() -> None:
    done = np.random.default_rng(0).random((40, 300)) < 0.1
    numbering = Numbering(40)
    parts = [numbering.following(part) for part in np.split(done, [1, 7, 100, 101], axis=1)]
    episodes, steps = (np.concatenate(some, axis=1) for some in zip(*parts, strict=True))
    for row in range(40):
        episode = step = 0
        for at in range(300):
            assert (episodes[row, at], steps[row, at]) == (episode, step)
            episode, step = (episode + 1, 0) if done[row, at] else (episode, step + 1)


@pytest.mark.parametrize(("name", "limit"), [("CartPole-v1", 30), ("CarGoal2-v0", 20)])
def test_a_row_is_what_the_environment_said_however_frames_are_cut(name: str, limit: int) -> None:
    rows = _rows(name, 5, 70, limit)
    assert rows.schema == SCHEMA
    assert rows.equals(_rows(name, 5, 70, limit, rows=40))
    environment = ENVIRONMENTS[name](5, max_episode_steps=limit)  # type: ignore[call-arg]
    policy = _random(environment)
    seen, _ = environment.reset(seed=0)
    told = {key: part.sort("episode", "step").to_dicts() for (key,), part in rows.group_by("environment")}
    for step in range(70):
        actions = policy(seen)
        before = seen
        seen, rewards, terminated, truncated, infos = environment.step(actions)
        after = infos.get("final_obs", seen)
        said = environment.knowledge.evaluate(infos.get("state") or environment.features(after))
        costs = infos.get("cost", said.violated.any(-1))
        for number in range(5):
            row = told[number][step]
            assert np.array_equal(row["observation"], before[number])
            assert np.array_equal(row["action"], np.atleast_1d(actions[number]))
            assert (row["reward"], row["cost"]) == (rewards[number], costs[number])
            assert np.allclose(row["satisfaction"], said.satisfaction[number])
            assert (row["terminated"], row["truncated"]) == (terminated[number], truncated[number])
            is_end = terminated[number] or truncated[number] or step == 69
            assert np.array_equal(row["final_observation"], after[number] if is_end else [])
    assert rows["episode"].max() == 3


def test_environments_of_gymnasium_s_own_have_no_satisfaction() -> None:
    many = gymnasium.make_vec(
        "CartPole-v1", 6, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}
    )
    rows = pl.concat(rollout_frames(many, _random(many), 60, run="r", seed=0))
    assert rows["satisfaction"].list.len().sum() == 0
    assert rows["cost"].sum() == 0
    ends = rows.filter(pl.col("terminated"))["final_observation"]
    assert (ends.list.get(0).abs().gt(2.4) | ends.list.get(2).abs().gt(0.2094)).all()


def test_the_store_keeps_every_step(series_store: ClickHouseStore) -> None:
    rows = _rows("CartPole-v1", 8, 200)
    series_store.create(ROLLOUT_STEPS)
    assert ROLLOUT_STEPS.polars_schema == SCHEMA
    series_store.replace(ROLLOUT_STEPS, {"run": "r"}, rows)
    kept = series_store.read(ROLLOUT_STEPS, partition={"run": "r"})
    assert kept.equals(rows)


@pytest.mark.parametrize("name", ["CartPole-v1", "PointGoal1-v0"])
def test_a_training_s_steps_are_rows_too(name: str) -> None:
    environment, frames, numbering = ENVIRONMENTS[name](4), [], Numbering(4)
    settings = PPOSettings(steps=400, environments=4, rollout=50, epochs=1, minibatch=200)

    def keep(rollout: Rollout) -> None:
        frames.append(step_frame(columns_of(rollout), "r", numbering, is_last=False))
        assert frames[-1]["cost"].sum() == rollout.costs.sum()

    train(environment, settings, Reward(), 0, on_rollout=keep)
    rows = pl.concat(frames).sort(ORDER)
    assert rows.schema == SCHEMA
    assert rows.height == 400
    ahead = rows.with_columns(pl.col("step", "episode").diff().over("environment").name.prefix("more_")).drop_nulls()
    done = (pl.col("terminated") | pl.col("truncated")).shift().over("environment")
    assert ahead.filter(pl.col("step") > 0).select((pl.col("more_step") == 1).all()).item()
    begun = rows.with_columns(done=done).filter(pl.col("done"))
    assert (begun["step"] == 0).all()
    assert (begun.height > 0) == (name == "CartPole-v1")


@pytest.fixture
def _datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("minari", reason="minari is an extra, and is not installed")
    pytest.importorskip("h5py", reason="minari's format hdf5 is an extra, and is not installed")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


@pytest.mark.usefixtures("_datasets")
@pytest.mark.parametrize("name", ["CartPole-v1", "PointGoal2-v0"])
def test_minari_gives_a_rollout_back_as_it_was(name: str) -> None:
    import minari

    kind = ENVIRONMENTS[name](1)
    rows = _rows(name, 4, 90, 40)
    export(rows.sample(fraction=1, shuffle=True, seed=0), "ours/random-v0", kind.observation, kind.action)
    kept = minari.load_dataset("ours/random-v0")
    episodes = rows.group_by("environment", "episode").len()
    assert (kept.total_episodes, kept.total_steps) == (episodes.height, rows.height)
    first = kept[0]
    assert len(first.observations) == len(first.rewards) + 1
    assert first.observations[0] in kept.observation_space
    assert first.actions[0] in kept.action_space
    back = pl.concat(imported(kept, "r")).sort(ORDER)
    assert back.equals(rows)


@pytest.mark.usefixtures("_datasets")
def test_what_is_no_dataset_is_one_line() -> None:
    kind = ENVIRONMENTS["CartPole-v1"](1)
    rows = _rows("CartPole-v1", 2, 30)
    with pytest.raises(ValueError, match="episode 0 of environment 1 is not whole"):
        export(
            rows.filter((pl.col("environment") == 0) | (pl.col("step") > 0)), "a/b-v0", kind.observation, kind.action
        )
    with pytest.raises(ValueError, match="rows: 0 runs are not allowed"):
        export(rows.clear(), "a/b-v0", kind.observation, kind.action)


def test_what_cannot_be_recorded_is_one_line() -> None:
    theirs = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"autoreset AutoresetMode\.NEXT_STEP is not allowed"):
        rollout_frames(theirs, _random(theirs), 3, run="r")
    ours = ENVIRONMENTS["CartPole-v1"](2)
    with pytest.raises(ValueError, match="steps: 0 is not allowed"):
        rollout_frames(ours, _random(ours), 0, run="r")
    with pytest.raises(ValueError, match="actions: NaN or infinity is not allowed"):
        next(rollout_frames(ENVIRONMENTS["PointGoal1-v0"](2), lambda seen: np.full((2, 2), np.nan), 3, run="r"))
    same = gymnasium.make_vec(
        "CartPole-v1", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}
    )
    with pytest.raises(ValueError, match="knowledge: none is allowed here"):
        rollout_frames(same, _random(same), 3, run="r", knowledge=Knowledge(ours.knowledge))
    flat = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"costs: shape \[2, 3\] is not allowed; rewards have \[3, 2\]"):
        RolloutColumns(flat[..., None], flat, flat, flat.T, flat[..., None], flat > 0, flat > 0, flat[..., None])
