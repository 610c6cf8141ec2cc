"""What pages show: texts and summaries of units, curves, and users' notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import UtcDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "curves",
        sa.Column("subject", sa.String(length=48), nullable=False),
        sa.Column("run", sa.String(length=200), nullable=False),
        sa.Column("line", sa.String(length=100), nullable=False),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("x_unit", sa.String(length=32), nullable=False),
        sa.Column("y_unit", sa.String(length=64), nullable=False),
        sa.Column("xs", sa.JSON(), nullable=False),
        sa.Column("ys", sa.JSON(), nullable=False),
        sa.Column("lows", sa.JSON(), nullable=False),
        sa.Column("highs", sa.JSON(), nullable=False),
        sa.Column("told", sa.String(length=200), nullable=False),
        sa.Column("rows", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("data_version", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("subject", "run", "line", name=op.f("pk_curves")),
    )
    op.create_table(
        "notes",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("dictionary", sa.String(length=200), nullable=False),
        sa.Column("feature", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("written_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("model", "dictionary", "feature", "service", name=op.f("pk_notes")),
    )
    op.create_index(op.f("ix_notes_service_model"), "notes", ["service", "model"], unique=False)
    op.create_table(
        "unit_summaries",
        sa.Column("dictionary", sa.String(length=200), nullable=False),
        sa.Column("feature", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tokens", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("min_activation", sa.Float(), nullable=False),
        sa.Column("max_activation", sa.Float(), nullable=False),
        sa.Column("histogram", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dictionary", "feature"],
            ["features.dictionary", "features.feature"],
            name=op.f("fk_unit_summaries_dictionary_feature_features"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("dictionary", "feature", name=op.f("pk_unit_summaries")),
    )
    op.create_table(
        "unit_texts",
        sa.Column("dictionary", sa.String(length=200), nullable=False),
        sa.Column("feature", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stratum", sa.String(length=8), nullable=False),
        sa.Column("quantile", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rank", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("document", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("max_token", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("min_activation", sa.Float(), nullable=False),
        sa.Column("max_activation", sa.Float(), nullable=False),
        sa.Column("tokens", sa.JSON(), nullable=False),
        sa.Column("activations", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dictionary", "feature"],
            ["features.dictionary", "features.feature"],
            name=op.f("fk_unit_texts_dictionary_feature_features"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("dictionary", "feature", "stratum", "quantile", "rank", name=op.f("pk_unit_texts")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("unit_texts")
    op.drop_table("unit_summaries")
    op.drop_index(op.f("ix_notes_service_model"), table_name="notes")
    op.drop_table("notes")
    op.drop_table("curves")
