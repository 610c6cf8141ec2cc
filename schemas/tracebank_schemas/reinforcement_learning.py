"""Policies that were trained, with knowledge or without: runs, what they knew, how they did, and every step."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base, owned_by


class RLRun(Base):
    """One policy trained in one environment from one seed; policies that do not learn are runs too."""

    __tablename__ = "rl_runs"
    __table_args__ = (Index(None, "environment", "method"),)

    run: Mapped[str] = mapped_column(String(64), primary_key=True, doc="hash of settings, seed and code")
    environment: Mapped[str] = mapped_column(String(64), doc="such as CartPole-v1, PointGoal1-v0")
    method: Mapped[str] = mapped_column(
        String(32), doc="how knowledge enters: none, multiplicative, deficit, …; a baseline; random, do_nothing"
    )
    seed: Mapped[int] = mapped_column(doc="of the training")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything else that it was made with")
    code_version: Mapped[str] = mapped_column(String(16), doc="of what trains")
    steps: Mapped[int] = mapped_column(doc="environment steps of the training; 0 of policies that do not learn")
    updates: Mapped[int] = mapped_column(doc="gradient steps of the policy")
    episodes: Mapped[int] = mapped_column(doc="that ended during training")
    violations: Mapped[int] = mapped_column(doc="steps of the training in which a constraint was broken")
    cost: Mapped[float] = mapped_column(Float, doc="sum over the training; of the environment where it has one")
    threshold: Mapped[float | None] = mapped_column(Float, doc="return that counts as solved; null: none is agreed")
    steps_to_threshold: Mapped[int | None] = mapped_column(doc="until an update's mean return reached it; null: never")
    prediction_error: Mapped[float | None] = mapped_column(
        Float, doc="Huber loss of predicted next states at the end; null: none were predicted"
    )
    trained_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)
    seconds: Mapped[float] = mapped_column(Float, doc="of the training, wall time, s", info=VOLATILE)


RUN: Final = "rl_runs.run"
"""What rows of a run refer to."""


class RLConstraint(Base):
    """What a run knew or was measured by."""

    __tablename__ = "constraints"

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    place: Mapped[int] = mapped_column(primary_key=True, doc="in the lists of satisfactions, from 0")
    text: Mapped[str] = mapped_column(Text, doc="formula")
    p: Mapped[float | None] = mapped_column(Float, doc="of the norm in distances and connectives; null: infinity")
    margin: Mapped[float] = mapped_column(Float, doc="distance from which on it is satisfied in full")
    shape: Mapped[str] = mapped_column(String(16), doc="of satisfaction within the margin: linear, square, concave")
    connectives: Mapped[str] = mapped_column(String(16), doc="yager or product")
    violations: Mapped[int] = mapped_column(doc="steps of the training in which it was broken")


class RLEvaluation(Base):
    """One episode of a trained policy, which does not explore any more."""

    __tablename__ = "rl_evaluations"

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    episode: Mapped[int] = mapped_column(primary_key=True, doc="from 0")
    episode_return: Mapped[float] = mapped_column(Float, doc="sum of rewards")
    cost: Mapped[float] = mapped_column(Float, doc="sum of costs")
    violations: Mapped[int] = mapped_column(doc="steps in which a constraint was broken")
    length: Mapped[int] = mapped_column(doc="steps")
    goals: Mapped[int | None] = mapped_column(doc="goals reached; null where there are none")


class RLComparison(Base):
    """A method over its seeds in one environment, beside the same without knowledge."""

    __tablename__ = "rl_comparisons"

    environment: Mapped[str] = mapped_column(String(64), primary_key=True, doc="environment")
    method: Mapped[str] = mapped_column(String(32), primary_key=True, doc="method")
    metric: Mapped[str] = mapped_column(
        String(32), primary_key=True, doc="episode_return, episode_cost, training_violations, steps_to_threshold, …"
    )
    seeds: Mapped[int] = mapped_column(doc="runs")
    value: Mapped[float] = mapped_column(Float, doc="interquartile mean over seeds")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval, by a bootstrap over seeds")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end; both null of fewer than five seeds")
    better: Mapped[float | None] = mapped_column(
        Float, doc="probability that a run is better in it than one without knowledge; null: fewer than five seeds"
    )
    better_low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval")
    better_high: Mapped[float | None] = mapped_column(Float, doc="upper end")
