"""What pages show: texts and values of units, curves out of the series store, and what users note."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base
from tracebank_schemas.sparse_autoencoder import of_feature


class UnitText(Base):
    """A text that a unit was read on, with what it does at every token."""

    __tablename__ = "unit_texts"
    __table_args__ = (of_feature(),)

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary, or layer of neurons")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit in it")
    stratum: Mapped[str] = mapped_column(
        String(8), primary_key=True, doc="top: the strongest; random: of those on which it fires; quantile: of a fifth"
    )
    quantile: Mapped[int] = mapped_column(primary_key=True, doc="fifth by strength, 1 the weakest; 0 elsewhere")
    rank: Mapped[int] = mapped_column(primary_key=True, doc="from 1 in the stratum (and fifth)")
    document: Mapped[int] = mapped_column(doc="number of the document among those that it was read on")
    first_position: Mapped[int] = mapped_column(doc="of the first token in the document, from 0")
    max_token: Mapped[int] = mapped_column(doc="index in `tokens` of the strongest")
    min_activation: Mapped[float] = mapped_column(Float, doc="weakest in the text")
    max_activation: Mapped[float] = mapped_column(Float, doc="strongest in the text")
    tokens: Mapped[list[str]] = mapped_column(JSON, doc="texts of the tokens; a NUL is its symbol, U+2400")
    activations: Mapped[list[float]] = mapped_column(JSON, doc="of the unit at each token")


class UnitSummary(Base):
    """How strongly a unit fires, over all tokens that it was read on."""

    __tablename__ = "unit_summaries"
    __table_args__ = (of_feature(),)

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary, or layer of neurons")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit in it")
    tokens: Mapped[int] = mapped_column(doc="that it was read on")
    min_activation: Mapped[float] = mapped_column(Float, doc="least")
    max_activation: Mapped[float] = mapped_column(Float, doc="largest")
    histogram: Mapped[list[int]] = mapped_column(
        JSON, doc="tokens on which it is not 0, in bins of equal width from the least to the largest activation"
    )


class Curve(Base):
    """A line of a page, out of rows of the series store: few enough points to be drawn."""

    __tablename__ = "curves"

    subject: Mapped[str] = mapped_column(String(48), primary_key=True, doc="table of the series store that it is of")
    run: Mapped[str] = mapped_column(
        String(200), primary_key=True, doc="what it is about there: a backtest, a run, a model"
    )
    line: Mapped[str] = mapped_column(String(100), primary_key=True, doc="name of the line")
    position: Mapped[int] = mapped_column(doc="of the line among those of its run, from 0")
    x_unit: Mapped[str] = mapped_column(String(32), doc="unit of x: step, period, s, or UTC (seconds since 1970)")
    y_unit: Mapped[str] = mapped_column(String(64), doc="unit of y; empty: a plain number")
    xs: Mapped[list[float]] = mapped_column(JSON, doc="x of the points, ascending")
    ys: Mapped[list[float | None]] = mapped_column(JSON, doc="y of the points; null where there is none")
    lows: Mapped[list[float | None]] = mapped_column(JSON, doc="lower end of the 95 % interval at each; empty: none")
    highs: Mapped[list[float | None]] = mapped_column(JSON, doc="upper end")
    told: Mapped[str] = mapped_column(String(200), doc="what else has to be known of the line, e.g. which episode")
    rows: Mapped[int] = mapped_column(doc="of the series store that it stands for")
    data_version: Mapped[str] = mapped_column(
        String(64), doc="of these rows, as in materializations; of several: of all of them"
    )


class Note(Base):
    """What a user says of a model, of a dictionary or layer, or of a unit: any JSON, by the name of a service."""

    __tablename__ = "notes"
    __table_args__ = (Index(None, "service", "model"),)

    model: Mapped[str] = mapped_column(String(200), primary_key=True, doc="model")
    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary; empty: of the model")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the unit; -1: of the whole dictionary")
    service: Mapped[str] = mapped_column(String(64), primary_key=True, doc="name that it is asked for by")
    value: Mapped[Any] = mapped_column(JSON, doc="what was said")
    written_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)
