"""What a page's numbers are of: the newest materialisation of the asset that made them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from tracebank_schemas.ledger import Materialization


@dataclass(frozen=True, slots=True)
class Shown:
    """What made the rows that a page shows; see the macro `provenance`."""

    asset_key: str
    partition: str
    entry: Materialization | None
    """Its newest row in the ledger; None where there is none."""


def shown_by(session: Session, asset_key: str, partition: str | None = None) -> Shown:
    """The newest materialisation of an asset.

    Args:
        session: to read with.
        asset_key: `group/noun`.
        partition: of the asset; empty: it has none; None: whichever is the newest.
    """
    row = Materialization
    query = select(row).where(row.asset_key == asset_key).order_by(row.finished_at.desc(), row.run_id).limit(1)
    if partition is not None:
        query = query.where(row.partition == partition)
    entry = session.scalar(query)
    if entry is not None:
        session.expunge(entry)  # a template reads it after the transaction
    return Shown(asset_key, entry.partition if entry else partition or "", entry)
