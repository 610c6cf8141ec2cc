"""What this revision changes: files remember the mapping by which they are read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("ingest_files", sa.Column("mapping", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("ingest_files", "mapping")
