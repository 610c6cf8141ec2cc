"""benchmarks: environments, runs and results."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "benchmark_environments",
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("cpu_model", sa.String(length=128), nullable=False),
        sa.Column("cores", big, nullable=False),
        sa.Column("cpu_threads", big, nullable=False),
        sa.Column("memory_bytes", big, nullable=False),
        sa.Column("memory_limit_bytes", big, nullable=False),
        sa.Column("kernel", sa.String(length=128), nullable=False),
        sa.Column("governor", sa.String(length=32), nullable=False),
        sa.Column("huge_pages", sa.String(length=32), nullable=False),
        sa.Column("numa_nodes", big, nullable=False),
        sa.Column("file_system", sa.String(length=32), nullable=False),
        sa.Column("disk", sa.String(length=128), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("first_seen", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("environment", name=op.f("pk_benchmark_environments")),
    )
    op.create_table(
        "benchmark_runs",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("suite", sa.String(length=32), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("scale", sa.Float(), nullable=False),
        sa.Column("seed", big, nullable=False),
        sa.Column("minutes", sa.Float(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("engines", sa.JSON(), nullable=False),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("overhead_share", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment"],
            ["benchmark_environments.environment"],
            name=op.f("fk_benchmark_runs_environment_benchmark_environments"),
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_benchmark_runs")),
    )
    op.create_index(op.f("ix_benchmark_runs_started_at"), "benchmark_runs", ["started_at"], unique=False)
    _create_results(big)


def _create_results(big: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        "benchmark_results",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.String(length=32), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("workload", sa.String(length=16), nullable=False),
        sa.Column("scale", sa.Float(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("median_seconds", sa.Float(), nullable=True),
        sa.Column("low_seconds", sa.Float(), nullable=True),
        sa.Column("high_seconds", sa.Float(), nullable=True),
        sa.Column("cpu_seconds", sa.Float(), nullable=True),
        sa.Column("rows", big, nullable=True),
        sa.Column("bytes", big, nullable=True),
        sa.Column("repetitions", big, nullable=False),
        sa.Column("foreign_share", sa.Float(), nullable=True),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["benchmark_runs.run_id"],
            name=op.f("fk_benchmark_results_run_id_benchmark_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "engine", "lane", "workload", "scale", name=op.f("pk_benchmark_results")),
    )
    op.create_index(
        op.f("ix_benchmark_results_engine_lane_workload_scale"),
        "benchmark_results",
        ["engine", "lane", "workload", "scale"],
        unique=False,
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_benchmark_results_engine_lane_workload_scale"), table_name="benchmark_results")
    op.drop_table("benchmark_results")
    op.drop_index(op.f("ix_benchmark_runs_started_at"), table_name="benchmark_runs")
    op.drop_table("benchmark_runs")
    op.drop_table("benchmark_environments")
