"""The ledger: which rows came from which run of which code, kept when Dagster's own event log is pruned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select

from tracebank_schemas.ledger import Materialization

if TYPE_CHECKING:
    from tracebank.stores.relational import RelationalStore


def data_version(code_version: str, input_versions: Mapping[str, str]) -> str:
    """Version of rows that this code makes of these inputs: equal inputs and code give equal versions."""
    text = "\n".join([code_version, *(f"{name}={version}" for name, version in sorted(input_versions.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record(relational: RelationalStore, entry: Materialization) -> None:
    """Write one materialisation; the same run, asset and partition again overwrites its own row."""
    with relational.session() as session:
        relational.upsert(session, Materialization, [entry.row()])


def latest_version(relational: RelationalStore, asset_key: str, partition: str) -> str | None:
    """Data version of the newest materialisation of an asset's partition; None where there is none."""
    query = (
        select(Materialization.data_version)
        .where(Materialization.asset_key == asset_key, Materialization.partition == partition)
        .order_by(Materialization.finished_at.desc())
        .limit(1)
    )
    with relational.reading() as session:
        return session.scalar(query)
