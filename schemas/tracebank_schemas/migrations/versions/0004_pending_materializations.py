"""What this revision changes: pending materializations, and what the ledger keeps of rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "pending_materializations",
        sa.Column("writer", sa.String(length=255), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("asset_key", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.String(length=255), nullable=False),
        sa.Column("code_version", sa.String(length=64), nullable=False),
        sa.Column("data_version", sa.String(length=64), nullable=False),
        sa.Column("input_versions", sa.JSON(), nullable=False),
        sa.Column("rows", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("peak_memory", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=False),
        sa.Column("content", sa.String(length=64), server_default="", nullable=False),
        sa.Column("parts", sa.JSON(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("run_id", "asset_key", "partition", name=op.f("pk_pending_materializations")),
    )
    with op.batch_alter_table("materializations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("content", sa.String(length=64), server_default="", nullable=False))
        batch_op.add_column(sa.Column("parts", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("materializations", schema=None) as batch_op:
        batch_op.drop_column("parts")
        batch_op.drop_column("content")

    op.drop_table("pending_materializations")
