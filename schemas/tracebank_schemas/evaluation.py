"""Evaluations that keep every sample: runs, and a value for each item and metric, whatever is evaluated.

The same item has the same key in every run of every evaluation, so that runs are compared by a join. What is special to
one evaluation stands in the module of its subject.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base, owned_by


class EvalRun(Base):
    """A model evaluated once. Rows of its samples stand as they come: one that is killed goes on from there."""

    __tablename__ = "eval_runs"
    __table_args__ = (Index(None, "model"),)

    run: Mapped[str] = mapped_column(
        String(64), primary_key=True, doc="hash of weights, tokenizer, dtype, code and settings"
    )
    evaluation: Mapped[str] = mapped_column(String(32), doc="identifier_swaps or model_editing")
    model: Mapped[str] = mapped_column(String(200), doc="model that is evaluated; an endpoint's own name for its one")
    method: Mapped[str] = mapped_column(String(32), doc="editor; empty where the model is as it is")
    weights_hash: Mapped[str] = mapped_column(String(64), doc="of the model, before any edit; empty behind an endpoint")
    tokenizer_hash: Mapped[str] = mapped_column(String(64), doc="of what decides about ids")
    dtype: Mapped[str] = mapped_column(String(16), doc="type that it was computed in")
    code_version: Mapped[str] = mapped_column(String(16), doc="of what scores")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything else that it was made with")
    started_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)
    finished_at: Mapped[datetime | None] = mapped_column(doc="UTC; null: it did not end", info=VOLATILE)


RUN: Final = "eval_runs.run"
"""What rows of a run refer to."""


class EvalSample(Base):
    """One item in one run, by one metric."""

    __tablename__ = "eval_samples"
    __table_args__ = (Index(None, "item"),)

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    item: Mapped[str] = mapped_column(String(64), primary_key=True, doc="SHA-256 of what the item says")
    metric: Mapped[str] = mapped_column(
        String(64), primary_key=True, doc="such as loss, NS+; of a condition or a moment that begins it: alias/loss"
    )
    cluster: Mapped[str] = mapped_column(String(64), doc="what counts as one: function, subject")
    value: Mapped[float | None] = mapped_column(Float, doc="null where it has none; 0 and 1 of what is right or wrong")


class EvalSummary(Base):
    """What the samples of a run come to, by one metric."""

    __tablename__ = "eval_summaries"

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    part: Mapped[str] = mapped_column(String(32), primary_key=True, doc="condition, or moment after an edit")
    metric: Mapped[str] = mapped_column(String(64), primary_key=True, doc="metric")
    value: Mapped[float | None] = mapped_column(Float, doc="mean")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of the 95 % interval, robust to clusters")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end; both null of fewer than five clusters")
    standard_error: Mapped[float | None] = mapped_column(Float, doc="robust to clusters")
    bootstrap_low: Mapped[float | None] = mapped_column(Float, doc="lower end by the bootstrap in two stages")
    bootstrap_high: Mapped[float | None] = mapped_column(Float, doc="upper end")
    unedited: Mapped[float | None] = mapped_column(Float, doc="of edits: mean of the same cases before any")
    change: Mapped[float | None] = mapped_column(Float, doc="of edits: mean difference to that, case by case")
    change_low: Mapped[float | None] = mapped_column(Float, doc="lower end of its 95 % interval")
    change_high: Mapped[float | None] = mapped_column(Float, doc="upper end")
    items: Mapped[int] = mapped_column(doc="prompts or examples")
    clusters: Mapped[int] = mapped_column(doc="cases or functions")
    undefined: Mapped[int] = mapped_column(doc="prompts or examples without a number, which are left out")
