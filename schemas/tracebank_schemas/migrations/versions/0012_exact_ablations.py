"""What this revision changes: ablations are measured without sampling, and features are held against reseeded ones.

Rows of `ablations` go: they are of another measure. Materialise `sparse_features/ablations` again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MEASURED = ("mass", "expected_valence")
_TOLD = ("effect", "effect_low", "effect_high", "rank_p", "two_sided_p")
_NEAREST = ("nearest_base_cosine", "nearest_base_p")


def upgrade() -> None:
    """Apply."""
    op.execute("DELETE FROM ablations")
    with op.batch_alter_table("ablations", schema=None) as batch_op:
        batch_op.drop_column("mean_reward")
        batch_op.drop_column("standard_error")
        batch_op.alter_column("prompts", new_column_name="texts", existing_type=sa.Integer(), existing_nullable=False)
        for column in _MEASURED:
            batch_op.add_column(sa.Column(column, sa.Float(), nullable=False))
        for column in _TOLD:
            batch_op.add_column(sa.Column(column, sa.Float(), nullable=True))
    for column in _NEAREST:
        op.add_column("features", sa.Column(column, sa.Float(), nullable=True))


def downgrade() -> None:
    """Take back."""
    for column in reversed(_NEAREST):
        op.drop_column("features", column)
    op.execute("DELETE FROM ablations")
    with op.batch_alter_table("ablations", schema=None) as batch_op:
        for column in reversed(_MEASURED + _TOLD):
            batch_op.drop_column(column)
        batch_op.alter_column("texts", new_column_name="prompts", existing_type=sa.Integer(), existing_nullable=False)
        batch_op.add_column(sa.Column("mean_reward", sa.Float(), nullable=False))
        batch_op.add_column(sa.Column("standard_error", sa.Float(), nullable=True))
