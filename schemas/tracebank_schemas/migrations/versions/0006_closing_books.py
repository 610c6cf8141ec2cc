"""What this revision changes: closing books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "closing_books",
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("after_snapshot", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("bids_from", sa.Float(), nullable=True),
        sa.Column("asks_to", sa.Float(), nullable=True),
        sa.Column("bid_levels", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ask_levels", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("content", sa.String(length=16), nullable=False),
        sa.Column("opened_on", sa.String(length=16), nullable=True),
        sa.Column("levels", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "symbol", "day", name=op.f("pk_closing_books")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("closing_books")
