"""Measures of the quality of stored rows, one row per partition, venue and check."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Float, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base


class QualityMeasure(Base):
    """What a check found in a partition when it was last run."""

    __tablename__ = "quality_measures"

    asset_key: Mapped[str] = mapped_column(String(255), primary_key=True, doc="group/noun that was checked")
    partition: Mapped[str] = mapped_column(String(255), primary_key=True, doc="partition key")
    venue: Mapped[str] = mapped_column(String(64), primary_key=True, doc="venue of the rows")
    check_name: Mapped[str] = mapped_column(String(64), primary_key=True, doc="name of the check in the UI")
    value: Mapped[float] = mapped_column(Float, doc="rows (or lines) at fault")
    checked: Mapped[int] = mapped_column(doc="rows (or lines) looked at")
    passed: Mapped[bool] = mapped_column(doc="whether the check passed")
    measured_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)
