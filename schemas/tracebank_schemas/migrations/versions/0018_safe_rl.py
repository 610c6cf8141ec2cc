"""Runs of policies, what they knew, how they did, and modes compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import UtcDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "rl_comparisons",
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("knowledge", sa.String(length=400), nullable=False),
        sa.Column("mode", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("seeds", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("iqm", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("below", sa.Float(), nullable=True),
        sa.Column("below_low", sa.Float(), nullable=True),
        sa.Column("below_high", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "knowledge", "mode", "metric", name=op.f("pk_rl_comparisons")),
    )
    op.create_table(
        "rl_runs",
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("knowledge", sa.String(length=400), nullable=False),
        sa.Column("mode", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("code_version", sa.String(length=16), nullable=False),
        sa.Column("steps", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("gradient_steps", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("training_violations", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("violations_per_1000", sa.Float(), nullable=True),
        sa.Column("training_cost", sa.Float(), nullable=True),
        sa.Column("return_area", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("is_solved", sa.Boolean(), nullable=True),
        sa.Column("steps_to_threshold", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("prediction_error", sa.Float(), nullable=True),
        sa.Column("episode_return", sa.Float(), nullable=False),
        sa.Column("episode_cost", sa.Float(), nullable=False),
        sa.Column("violated_episodes", sa.Float(), nullable=False),
        sa.Column("goals", sa.Float(), nullable=True),
        sa.Column("trained_at", UtcDateTime(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_rl_runs")),
    )
    with op.batch_alter_table("rl_runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rl_runs_environment_mode"), ["environment", "mode"], unique=False)

    op.create_table(
        "constraints",
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("p", sa.Float(), nullable=True),
        sa.Column("margin", sa.Float(), nullable=False),
        sa.Column("shape", sa.String(length=16), nullable=False),
        sa.Column("connectives", sa.String(length=16), nullable=False),
        sa.Column("training_violations", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["run"],
            ["rl_runs.run"],
            name=op.f("fk_constraints_run_rl_runs"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("run", "place", name=op.f("pk_constraints")),
    )
    op.create_table(
        "rl_evaluations",
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("episode", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("episode_return", sa.Float(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.Column("violations", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("length", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("goals", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["run"],
            ["rl_runs.run"],
            name=op.f("fk_rl_evaluations_run_rl_runs"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("run", "episode", name=op.f("pk_rl_evaluations")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("rl_evaluations")
    op.drop_table("constraints")
    with op.batch_alter_table("rl_runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rl_runs_environment_mode"))

    op.drop_table("rl_runs")
    op.drop_table("rl_comparisons")
