"""Sources of swaps by their whole path, and selections that name pairs and seed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("swap_counts", schema=None) as batch_op:
        batch_op.alter_column(
            "source", existing_type=sa.VARCHAR(length=200), type_=sa.String(length=400), existing_nullable=False
        )
        batch_op.alter_column(
            "selection", existing_type=sa.VARCHAR(length=32), type_=sa.String(length=64), existing_nullable=False
        )

    with op.batch_alter_table("swap_examples", schema=None) as batch_op:
        batch_op.alter_column(
            "source", existing_type=sa.VARCHAR(length=200), type_=sa.String(length=400), existing_nullable=False
        )
        batch_op.alter_column(
            "selection", existing_type=sa.VARCHAR(length=32), type_=sa.String(length=64), existing_nullable=False
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("swap_examples", schema=None) as batch_op:
        batch_op.alter_column(
            "selection", existing_type=sa.String(length=64), type_=sa.VARCHAR(length=32), existing_nullable=False
        )
        batch_op.alter_column(
            "source", existing_type=sa.String(length=400), type_=sa.VARCHAR(length=200), existing_nullable=False
        )

    with op.batch_alter_table("swap_counts", schema=None) as batch_op:
        batch_op.alter_column(
            "selection", existing_type=sa.String(length=64), type_=sa.VARCHAR(length=32), existing_nullable=False
        )
        batch_op.alter_column(
            "source", existing_type=sa.String(length=400), type_=sa.VARCHAR(length=200), existing_nullable=False
        )
