"""What this revision changes: policies are measured over openings, which several prompts are cut from.

Rows of `policy_evaluations` go: their intervals are over prompts. Materialise `language_models/tuned` again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _renamed("prompts", "openings")


def downgrade() -> None:
    """Take back."""
    _renamed("openings", "prompts")


def _renamed(column: str, name: str) -> None:
    op.execute("DELETE FROM policy_evaluations")
    with op.batch_alter_table("policy_evaluations", schema=None) as batch_op:
        batch_op.alter_column(column, new_column_name=name, existing_type=sa.BigInteger(), existing_nullable=False)
