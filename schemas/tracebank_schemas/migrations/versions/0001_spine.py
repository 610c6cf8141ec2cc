"""the spine: ledger, instruments, files and the account of their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ingest_files",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("venue", sa.String(length=64), nullable=True),
        sa.Column("symbol", sa.String(length=64), nullable=True),
        sa.Column("bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lines", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rows", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rejected", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ignored", sa.JSON(), nullable=False),
        sa.Column("first_ts", UtcDateTime(), nullable=True),
        sa.Column("last_ts", UtcDateTime(), nullable=True),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_ingest_files")),
    )
    op.create_table(
        "instruments",
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("price_unit", sa.String(length=32), nullable=False),
        sa.Column("qty_unit", sa.String(length=32), nullable=False),
        sa.Column("price_tick", sa.Float(), nullable=True),
        sa.Column("qty_step", sa.Float(), nullable=True),
        sa.Column("first_ts", UtcDateTime(), nullable=True),
        sa.Column("last_ts", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("venue", "symbol", name=op.f("pk_instruments")),
    )
    op.create_table(
        "materializations",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("asset_key", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.String(length=255), nullable=False),
        sa.Column("code_version", sa.String(length=64), nullable=False),
        sa.Column("data_version", sa.String(length=64), nullable=False),
        sa.Column("input_versions", sa.JSON(), nullable=False),
        sa.Column("rows", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("peak_memory", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "asset_key", "partition", name=op.f("pk_materializations")),
    )
    with op.batch_alter_table("materializations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_materializations_asset_key_partition"), ["asset_key", "partition"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_materializations_finished_at"), ["finished_at"], unique=False)

    op.create_table(
        "quality_measures",
        sa.Column("asset_key", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.String(length=255), nullable=False),
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("check_name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("checked", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("measured_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("asset_key", "partition", "venue", "check_name", name=op.f("pk_quality_measures")),
    )
    op.create_table(
        "ingest_counts",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("table_name", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("lines", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stored", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("duplicate", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("ignored", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("rows", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["sha256"], ["ingest_files.sha256"], name=op.f("fk_ingest_counts_sha256_ingest_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "sha256", "venue", "symbol", "day", "table_name", "kind", name=op.f("pk_ingest_counts")
        ),
    )
    with op.batch_alter_table("ingest_counts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ingest_counts_day_symbol"), ["day", "symbol"], unique=False)

    op.create_table(
        "rejected_rows",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("line", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"], ["ingest_files.sha256"], name=op.f("fk_rejected_rows_sha256_ingest_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sha256", "line", name=op.f("pk_rejected_rows")),
    )
    op.create_table(
        "sequence_gaps",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("got_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("expected_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ts", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"], ["ingest_files.sha256"], name=op.f("fk_sequence_gaps_sha256_ingest_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sha256", "venue", "symbol", "day", "got_seq", name=op.f("pk_sequence_gaps")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("quality_measures")
    op.drop_table("sequence_gaps")
    op.drop_table("rejected_rows")
    with op.batch_alter_table("ingest_counts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ingest_counts_day_symbol"))

    op.drop_table("ingest_counts")
    with op.batch_alter_table("materializations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_materializations_finished_at"))
        batch_op.drop_index(batch_op.f("ix_materializations_asset_key_partition"))

    op.drop_table("materializations")
    op.drop_table("instruments")
    op.drop_table("ingest_files")
