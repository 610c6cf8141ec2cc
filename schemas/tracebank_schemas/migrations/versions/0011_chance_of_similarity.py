"""What this revision changes: similarities of dictionaries have their chance beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for column in ("chance", "difference"):
        op.add_column("dictionary_similarities", sa.Column(column, sa.Float(), nullable=True))


def downgrade() -> None:
    """Take back."""
    for column in ("difference", "chance"):
        op.drop_column("dictionary_similarities", column)
