"""What this revision changes: figures of probes have intervals and differences, and their rows mean something else.

Probes of before were measured on words that they had seen. They are left out: to materialise `sparse_features/probes`
and `dynamics` again makes what stands in their place.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import BigInt

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INTERVAL = ("low", "high")


def upgrade() -> None:
    """Apply."""
    _forget()
    with op.batch_alter_table("probes") as probes:
        probes.drop_column("split_seed")
        probes.add_column(sa.Column("number", BigInt, nullable=False))
    with op.batch_alter_table("probe_metrics") as metrics:
        for name in _INTERVAL:
            metrics.add_column(sa.Column(name, sa.Float(), nullable=True))
    op.create_table(
        "probe_differences",
        *(sa.Column(name, sa.String(200), nullable=False) for name in ("probe", "less")),
        sa.Column("metric", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=True) for name in ("value", *_INTERVAL, "p_value")),
        sa.Column("count", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("probe", "less", "metric"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("probe_differences")
    _forget()
    with op.batch_alter_table("probe_metrics") as metrics:
        for name in _INTERVAL:
            metrics.drop_column(name)
    with op.batch_alter_table("probes") as probes:
        probes.drop_column("number")
        probes.add_column(sa.Column("split_seed", BigInt, nullable=False))


def _forget() -> None:
    for table in ("probe_metrics", "probe_weights", "reconstructed_rewards", "probes"):
        op.execute(sa.delete(sa.table(table)))
