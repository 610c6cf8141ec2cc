"""What this revision changes: kind and units of an instrument may be not known, and those that were guessed are so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = ("kind", "price_unit", "qty_unit")


def upgrade() -> None:
    """Apply."""
    _set_nullable(True)
    op.execute("UPDATE instruments SET kind = NULL, price_unit = NULL, qty_unit = NULL WHERE kind = 'unknown'")
    op.execute("UPDATE instruments SET price_unit = 'USD' WHERE kind = 'inverse'")


def downgrade() -> None:
    """Take back."""
    for column in _COLUMNS:
        op.execute(f"UPDATE instruments SET {column} = 'unknown' WHERE {column} IS NULL")
    _set_nullable(False)


def _set_nullable(nullable: bool) -> None:
    with op.batch_alter_table("instruments", schema=None) as batch_op:
        for column in _COLUMNS:
            batch_op.alter_column(column, existing_type=sa.String(length=32), nullable=nullable)
