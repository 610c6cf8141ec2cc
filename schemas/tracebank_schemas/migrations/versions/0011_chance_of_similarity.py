"""What this revision changes: similarities of dictionaries have their chance beside them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "features": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "other_features": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "chance": sa.Float(),
    "difference": sa.Float(),
}


def upgrade() -> None:
    """Apply."""
    for column, kind in _COLUMNS.items():
        op.add_column("dictionary_similarities", sa.Column(column, kind, nullable=True))


def downgrade() -> None:
    """Take back."""
    for column in _COLUMNS:
        op.drop_column("dictionary_similarities", column)
