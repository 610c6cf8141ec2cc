"""The ledger: one row per materialisation, kept when Dagster's own event log is pruned; and what is about to be one.

Rows and ledger lie in two stores that no transaction spans. What is going to be written is therefore entered in
`pending_materializations` first, and moves to `materializations` when the rows stand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import Base


class Entry:
    """What is told of a materialisation, done or pending."""

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True, doc="Dagster run")
    asset_key: Mapped[str] = mapped_column(String(255), primary_key=True, doc="group/noun")
    partition: Mapped[str] = mapped_column(String(255), primary_key=True, doc="partition key, empty where none")
    code_version: Mapped[str] = mapped_column(String(64), doc="hash of the asset's code")
    data_version: Mapped[str] = mapped_column(String(64), doc="hash of code, config, inputs and content")
    input_versions: Mapped[dict[str, str]] = mapped_column(JSON, doc="data version of each input")
    rows: Mapped[int] = mapped_column(doc="rows written")
    bytes: Mapped[int] = mapped_column(doc="bytes on disk of what was written")
    seconds: Mapped[float] = mapped_column(Float, doc="wall time, s")
    peak_memory: Mapped[int] = mapped_column(doc="peak resident memory of the process, bytes")
    device: Mapped[str] = mapped_column(String(32), doc="cpu, cuda:0, ...")
    started_at: Mapped[datetime] = mapped_column(doc="UTC")
    finished_at: Mapped[datetime] = mapped_column(doc="UTC")
    content: Mapped[str] = mapped_column(
        String(64), server_default="", doc="digest of the rows, whatever their order; empty where it was not kept"
    )
    parts: Mapped[list[dict[str, Any]]] = mapped_column(
        JSON, server_default="[]", doc="table, partition, rows and content of each partition written"
    )


class Materialization(Entry, Base):
    """Which rows came from which run of which code. A retry inside one run overwrites its own row."""

    __tablename__ = "materializations"
    __table_args__ = (Index(None, "asset_key", "partition"), Index(None, "finished_at"))


class PendingMaterialization(Entry, Base):
    """What a run is about to have written; what a killed one left is settled or dropped by looking at the rows."""

    __tablename__ = "pending_materializations"

    writer: Mapped[str] = mapped_column(String(255), doc="host, process and its start, to tell a dead writer")
