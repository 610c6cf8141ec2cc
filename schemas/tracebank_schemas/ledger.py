"""The ledger: one row per materialisation, kept when Dagster's own event log is pruned."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import Base


class Materialization(Base):
    """Which rows came from which run of which code. A retry inside one run overwrites its own row."""

    __tablename__ = "materializations"
    __table_args__ = (Index(None, "asset_key", "partition"), Index(None, "finished_at"))

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True, doc="Dagster run")
    asset_key: Mapped[str] = mapped_column(String(255), primary_key=True, doc="group/noun")
    partition: Mapped[str] = mapped_column(String(255), primary_key=True, doc="partition key, empty where none")
    code_version: Mapped[str] = mapped_column(String(64), doc="version of the asset's code")
    data_version: Mapped[str] = mapped_column(String(64), doc="version of the rows, a hash of code and inputs")
    input_versions: Mapped[dict[str, str]] = mapped_column(JSON, doc="data version of each input")
    rows: Mapped[int] = mapped_column(doc="rows written")
    bytes: Mapped[int] = mapped_column(doc="bytes on disk of what was written")
    seconds: Mapped[float] = mapped_column(Float, doc="wall time, s")
    peak_memory: Mapped[int] = mapped_column(doc="peak resident memory of the process, bytes")
    device: Mapped[str] = mapped_column(String(32), doc="cpu, cuda:0, ...")
    started_at: Mapped[datetime] = mapped_column(doc="UTC")
    finished_at: Mapped[datetime] = mapped_column(doc="UTC")
