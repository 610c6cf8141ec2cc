"""Fairness over time: worlds run under mitigations, every group in every period, and people who are followed."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
from sqlalchemy import JSON, Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import Base
from tracebank_schemas.series import TIMESTAMP, Column, SeriesTable

_RUN: Final = (
    Column("run", pa.string(), "run", repeated=True),
    Column("world", pa.string(), "lending_fico, lending_7, admission, performative or attention", repeated=True),
    Column("seed", pa.int64(), "of people and luck: runs of one seed hold the same people"),
    Column("mitigation", pa.string(), "name; none for no mitigation", repeated=True),
    Column("groups", pa.string(), "as_they_are; nulls: permuted, equal", repeated=True),
    Column("labels", pa.string(), "what models are fitted to again", repeated=True),
    Column("every", pa.int64(), "periods from fit to fit; 0: fitted once"),
    Column("period", pa.int64(), "from 0", codec="Delta, ZSTD"),
    Column("group", pa.string(), "of people, or site", repeated=True),
)
_WRITTEN: Final = Column("ts", TIMESTAMP, "when the run was written", "UTC", codec="Delta, ZSTD", volatile=True)


def _share(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), doc, nullable=True, codec="ZSTD")


FAIRNESS_PERIODS: Final = SeriesTable(
    name="fairness_periods",
    doc="What every group had in every period of a run; gaps, stress and what follows are of the period as a whole, the"
    " same in each of its rows. Null where nobody is there whom a figure is of.",
    columns=(
        *_RUN,
        Column("people", pa.int64(), "of the group; at sites incidents"),
        Column("accepted", pa.int64(), "people accepted; at sites incidents discovered"),
        Column("qualified", pa.int64(), "people who would repay, are eligible, or are truly positive"),
        Column("accepted_qualified", pa.int64(), "both"),
        _share("selection_rate", "share accepted"),
        _share("true_positive_rate", "share of the qualified that is accepted"),
        _share("false_positive_rate", "share of all others that is accepted"),
        _share("positive_predictive_value", "share of the accepted that is qualified"),
        _share("mean_score", "mean score before the decision; at sites the rate of incidents"),
        _share("score_change", "mean change of scores by the decision"),
        _share("repayment", "mean true chance of being qualified"),
        _share("utility", "of who decides, per person"),
        _share("burden", "mean price that the qualified paid to look qualified"),
        _share("cumulative_true_positive_rate", "over all periods so far"),
        _share("hardship", "1 - remembered acceptance among the qualified"),
        _share("unfairness", "by how much the best group's true positive rate is above the own"),
        _share("grievance", "of the group, by the stress index"),
        _share("selection_gap", "largest less smallest selection rate"),
        _share("opportunity_gap", "the same of true positive rates"),
        _share("odds_gap", "larger gap of true and of false positive rates"),
        _share("score_gap", "the same of mean scores"),
        _share("repayment_gap", "the same of true chances"),
        _share("cumulative_opportunity_gap", "the same of cumulative true positive rates"),
        _share("legitimacy", "of who decides, by the stress index"),
        _share("unrest", "share of people who take part, by the stress index"),
        _share("stress", "index of social stress, 0 to 1; an operationalisation of this project, not calibrated"),
        _WRITTEN,
    ),
    sort_key=("world", "seed", "run", "period", "group"),
    partition_by=("world", "seed"),
    unique_key=("run", "period", "group"),
)

FAIRNESS_PEOPLE: Final = SeriesTable(
    name="fairness_people",
    doc="The same people in every run of a world and seed, one row a period: what luck they had under which rule."
    " Applicants of the admission world are new in every period.",
    columns=(
        *_RUN,
        Column("person", pa.int64(), "number in the population; the same person in all runs of a world and seed"),
        Column("score", pa.float64(), "before the decision", codec="ZSTD"),
        Column("score_change", pa.float64(), "by the decision", codec="ZSTD"),
        Column("accepted", pa.bool_(), "whether accepted"),
        Column("qualified", pa.bool_(), "whether one would repay, is eligible, or is truly positive"),
        _WRITTEN,
    ),
    sort_key=("world", "seed", "run", "person", "period"),
    partition_by=("world", "seed"),
    unique_key=("run", "person", "period"),
)


class FairnessRun(Base):
    """A world run once under a mitigation and a schedule of retraining."""

    __tablename__ = "fairness_runs"
    __table_args__ = (Index(None, "world", "seed"),)

    run: Mapped[str] = mapped_column(String(16), primary_key=True, doc="hash of everything that it was made with")
    world: Mapped[str] = mapped_column(String(32), doc="world")
    seed: Mapped[int] = mapped_column(doc="of people and luck")
    mitigation: Mapped[str] = mapped_column(String(32), doc="name; none for no mitigation")
    place: Mapped[str] = mapped_column(String(16), doc="where it acts: none, pre, in, post or system")
    uses_group: Mapped[bool] = mapped_column(doc="whether it looks at the group when it decides")
    groups: Mapped[str] = mapped_column(String(16), doc="as_they_are; nulls: permuted, equal")
    labels: Mapped[str] = mapped_column(
        String(32), doc="fitted to: all, window, accepted, exploration or inverse_propensity"
    )
    every: Mapped[int] = mapped_column(doc="periods from fit to fit; 0: fitted once")
    people: Mapped[int] = mapped_column(doc="how many; at sites 0")
    periods: Mapped[int] = mapped_column(doc="how many")
    feedback: Mapped[float] = mapped_column(Float, doc="share of the scale of scores that full unrest takes")
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, doc="of the stress index, and of retraining")
    code_version: Mapped[str] = mapped_column(String(16), doc="of what runs worlds")
    figures: Mapped[dict[str, Any]] = mapped_column(JSON, doc="mean and last gaps, stress, and utility after burn-in")


class FairnessSummary(Base):
    """A gap, the stress or the utility over the periods of runs that differ in their seed alone."""

    __tablename__ = "fairness_summaries"

    world: Mapped[str] = mapped_column(String(32), primary_key=True, doc="world")
    mitigation: Mapped[str] = mapped_column(String(32), primary_key=True, doc="name; none for no mitigation")
    groups: Mapped[str] = mapped_column(String(16), primary_key=True, doc="as_they_are; nulls: permuted, equal")
    labels: Mapped[str] = mapped_column(String(32), primary_key=True, doc="fitted to")
    every: Mapped[int] = mapped_column(primary_key=True, doc="periods from fit to fit; 0: fitted once")
    feedback: Mapped[float] = mapped_column(Float, primary_key=True, doc="share of the scale that full unrest takes")
    measure: Mapped[str] = mapped_column(String(32), primary_key=True, doc="gap, stress, unrest or utility")
    statistic: Mapped[str] = mapped_column(
        String(16),
        primary_key=True,
        doc="mean; first and last ten periods; slope per period; log_ratio of last to first",
    )
    value: Mapped[float | None] = mapped_column(Float, doc="mean over seeds; null where it is defined for none")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of the 95 % interval; null of fewer than 5 seeds")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end")
    seeds: Mapped[int] = mapped_column(doc="that it is of")
    undefined: Mapped[int] = mapped_column(doc="seeds for which it is not defined")
    reason: Mapped[str | None] = mapped_column(Text, doc="why there is no value or no interval")


class FairnessDifference(Base):
    """What one factor of a run changes: its difference to the run of the same seed in which that factor is plain."""

    __tablename__ = "fairness_differences"

    world: Mapped[str] = mapped_column(String(32), primary_key=True, doc="world")
    factor: Mapped[str] = mapped_column(
        String(16),
        primary_key=True,
        doc="what is otherwise: mitigation (held against none), groups (against permuted ones), labels (against those"
        " of the accepted), every (fitted once against again) or feedback (against 0)",
    )
    mitigation: Mapped[str] = mapped_column(String(32), primary_key=True, doc="name; none for no mitigation")
    groups: Mapped[str] = mapped_column(String(16), primary_key=True, doc="as_they_are; null: permuted")
    labels: Mapped[str] = mapped_column(String(32), primary_key=True, doc="fitted to")
    every: Mapped[int] = mapped_column(primary_key=True, doc="periods from fit to fit; 0: fitted once")
    feedback: Mapped[float] = mapped_column(Float, primary_key=True, doc="share of the scale that full unrest takes")
    measure: Mapped[str] = mapped_column(String(32), primary_key=True, doc="gap, stress, unrest or utility")
    statistic: Mapped[str] = mapped_column(
        String(16), primary_key=True, doc="mean over periods; last ten periods; slope per period"
    )
    value: Mapped[float | None] = mapped_column(Float, doc="mean over seeds of the difference")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of the 95 % interval; null of fewer than 5 seeds")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end")
    p_value: Mapped[float | None] = mapped_column(Float, doc="that it is 0, by Student's t; null of fewer than 5 seeds")
    adjusted: Mapped[float | None] = mapped_column(
        Float, doc="by Holm's method, over all differences of the world and factor"
    )
    seeds: Mapped[int] = mapped_column(doc="that it is of")
    undefined: Mapped[int] = mapped_column(doc="seeds for which it is not defined")
    reason: Mapped[str | None] = mapped_column(Text, doc="why there is no value or no interval")


class StressSensitivity(Base):
    """How the last stress and unrest of a world without mitigation move with one parameter of the index."""

    __tablename__ = "stress_sensitivities"

    world: Mapped[str] = mapped_column(String(32), primary_key=True, doc="world")
    parameter: Mapped[str] = mapped_column(String(32), primary_key=True, doc="of the index; none is calibrated")
    end: Mapped[str] = mapped_column(String(8), primary_key=True, doc="low or high: half as much, or half more")
    value: Mapped[float] = mapped_column(Float, doc="of the parameter")
    stress: Mapped[float] = mapped_column(Float, doc="then")
    unrest: Mapped[float] = mapped_column(Float, doc="then")
    base_stress: Mapped[float] = mapped_column(Float, doc="at the settings themselves")
    base_unrest: Mapped[float] = mapped_column(Float, doc="at the settings themselves")
