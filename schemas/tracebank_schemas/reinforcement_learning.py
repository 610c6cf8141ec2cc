"""Policies that were trained, with knowledge or without: runs, what they knew, how they did, and every step."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import JSON, Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base, owned_by
from tracebank_schemas.series import Column, SeriesTable


class RLRun(Base):
    """One policy trained in one environment from one seed; policies that do not learn are runs too."""

    __tablename__ = "rl_runs"
    __table_args__ = (Index(None, "environment", "mode"),)

    run: Mapped[str] = mapped_column(String(64), primary_key=True, doc="hash of every setting, the seed too")
    environment: Mapped[str] = mapped_column(String(64), doc="such as CartPole-v1, PointGoal1-v0")
    knowledge: Mapped[str] = mapped_column(String(400), doc="own: what the environment knows; or formulas in its place")
    mode: Mapped[str] = mapped_column(
        String(64), doc="how knowledge enters: reward (not at all), deficit, …; a baseline; random, do_nothing"
    )
    seed: Mapped[int] = mapped_column(doc="of the training")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything that it was made with")
    code_version: Mapped[str] = mapped_column(String(16), doc="of what trains")
    steps: Mapped[int | None] = mapped_column(doc="environment steps of the training; null: nothing is learned")
    gradient_steps: Mapped[int | None] = mapped_column(doc="of the networks")
    training_violations: Mapped[int | None] = mapped_column(doc="steps of the training that broke a constraint")
    violations_per_1000: Mapped[float | None] = mapped_column(Float, doc="the same of 1,000 steps")
    training_cost: Mapped[float | None] = mapped_column(
        Float, doc="sum over the training: of the environment's costs, else of such steps"
    )
    return_area: Mapped[float | None] = mapped_column(Float, doc="mean return over the steps of the training")
    threshold: Mapped[float | None] = mapped_column(Float, doc="return that counts as solved; null: none is agreed")
    is_solved: Mapped[bool | None] = mapped_column(doc="whether an update's episodes reached it in the mean")
    steps_to_threshold: Mapped[int | None] = mapped_column(doc="until then; all steps where it never was")
    prediction_error: Mapped[float | None] = mapped_column(
        Float, doc="Huber's loss of predicted next states at the end; null: none were predicted"
    )
    episode_return: Mapped[float] = mapped_column(Float, doc="mean over episodes of evaluation")
    episode_cost: Mapped[float] = mapped_column(Float, doc="the same of their costs")
    violated_episodes: Mapped[float] = mapped_column(Float, doc="share of them in which a constraint was broken")
    goals: Mapped[float | None] = mapped_column(Float, doc="mean of goals reached; null where there are none")
    trained_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)
    seconds: Mapped[float | None] = mapped_column(Float, doc="of the training, wall time, s", info=VOLATILE)


RUN: Final = "rl_runs.run"
"""What rows of a run refer to."""


class RLConstraint(Base):
    """What a run knew, and was measured by."""

    __tablename__ = "constraints"

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    place: Mapped[int] = mapped_column(primary_key=True, doc="in the lists of satisfactions, from 0")
    text: Mapped[str] = mapped_column(Text, doc="formula")
    p: Mapped[float | None] = mapped_column(Float, doc="of the norm of distances and connectives; null: infinity")
    margin: Mapped[float] = mapped_column(Float, doc="distance from which on it is satisfied in full")
    shape: Mapped[str] = mapped_column(String(16), doc="of satisfaction within the margin: linear, square, concave")
    connectives: Mapped[str] = mapped_column(String(16), doc="yager or product")
    training_violations: Mapped[int | None] = mapped_column(
        doc="steps of the training that broke it; null: nothing is learned"
    )


class RLEvaluation(Base):
    """One episode of a policy, which does not explore any more; the same episodes for every policy."""

    __tablename__ = "rl_evaluations"

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    episode: Mapped[int] = mapped_column(primary_key=True, doc="from 0")
    episode_return: Mapped[float] = mapped_column(Float, doc="sum of rewards")
    cost: Mapped[float] = mapped_column(Float, doc="sum of costs")
    violations: Mapped[int] = mapped_column(doc="steps that broke a constraint")
    length: Mapped[int] = mapped_column(doc="steps")
    goals: Mapped[int | None] = mapped_column(doc="goals reached; null where there are none")


class RLComparison(Base):
    """A mode over its seeds in one environment, beside the reward alone."""

    __tablename__ = "rl_comparisons"

    environment: Mapped[str] = mapped_column(String(64), primary_key=True, doc="environment; all: all of them")
    knowledge: Mapped[str] = mapped_column(
        String(400), primary_key=True, doc="of the runs; modes are compared within it"
    )
    mode: Mapped[str] = mapped_column(String(64), primary_key=True, doc="mode")
    metric: Mapped[str] = mapped_column(String(32), primary_key=True, doc="column of rl_runs")
    seeds: Mapped[int] = mapped_column(doc="runs, of the environment with the fewest")
    iqm: Mapped[float | None] = mapped_column(Float, doc="interquartile mean; null over all environments")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval, by a bootstrap over seeds")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end; both null of fewer than five seeds")
    below: Mapped[float | None] = mapped_column(
        Float, doc="probability that a run is lower than one of the reward alone; of costs and violations: safer"
    )
    below_low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval")
    below_high: Mapped[float | None] = mapped_column(Float, doc="upper end")


_FLOATS: Final = pa.list_(pa.float32())

ROLLOUT_STEPS: Final = SeriesTable(
    name="rollout_steps",
    doc="Every step of a policy in environments: what it saw and did, what it got, and which rule it broke.",
    columns=(
        Column("run", pa.string(), "what the steps are of: a training, or an evaluation", repeated=True),
        Column("environment", pa.int32(), "number of the environment, from 0", codec="Delta, ZSTD"),
        Column("episode", pa.int32(), "of that environment, from 0", codec="Delta, ZSTD"),
        Column("step", pa.int32(), "of the episode, from 0", codec="Delta, ZSTD"),
        Column("observation", _FLOATS, "what the policy saw", codec="ZSTD"),
        Column("action", _FLOATS, "what it did; a choice is one number", codec="ZSTD"),
        Column("reward", pa.float32(), "of the step", codec="ZSTD"),
        Column("cost", pa.float32(), "of the step; without costs, 1 where a constraint is broken", codec="ZSTD"),
        Column(
            "satisfaction", _FLOATS, "with each constraint, in their order, 0 to 1; of the next state", codec="ZSTD"
        ),
        Column("terminated", pa.bool_(), "the episode ended here"),
        Column("truncated", pa.bool_(), "the episode was cut here"),
        Column(
            "final_observation", _FLOATS, "seen after an episode's or the run's last step, else empty", codec="ZSTD"
        ),
    ),
    sort_key=("environment", "episode", "step"),
    partition_by=("run",),
    unique_key=("environment", "episode", "step"),
)
