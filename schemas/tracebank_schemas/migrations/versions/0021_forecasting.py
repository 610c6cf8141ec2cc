"""Forecasters of order books, what they are judged on, how good they are, and what trading on them earns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "forecast_models",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("clock", sa.String(length=16), nullable=False),
        sa.Column("price", sa.String(length=16), nullable=False),
        sa.Column("features", sa.String(length=16), nullable=False),
        sa.Column("horizons", sa.JSON(), nullable=False),
        sa.Column("quantiles", sa.JSON(), nullable=False),
        sa.Column("look_back", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seed", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("code_version", sa.String(length=16), nullable=False),
        sa.Column("parameters", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("windows", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("validation_loss", sa.Float(), nullable=True),
        sa.Column("spike_rate", sa.Float(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("trained_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_forecast_models")),
    )
    with op.batch_alter_table("forecast_models", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_forecast_models_venue_symbol_day"), ["venue", "symbol", "day"], unique=False
        )

    op.create_table(
        "backtests",
        sa.Column("backtest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("signals", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("horizon", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fill", sa.String(length=16), nullable=False),
        sa.Column("orders", sa.String(length=16), nullable=False),
        sa.Column("taker_fee", sa.Float(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("random_runs", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("rank_p", sa.Float(), nullable=True),
        sa.Column("trades", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("long_trades", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("pnl_gross", sa.Float(), nullable=False),
        sa.Column("fees", sa.Float(), nullable=False),
        sa.Column("pnl_net", sa.Float(), nullable=False),
        sa.Column("pnl_long", sa.Float(), nullable=False),
        sa.Column("pnl_std", sa.Float(), nullable=True),
        sa.Column("bps_gross", sa.Float(), nullable=True),
        sa.Column("bps_net", sa.Float(), nullable=True),
        sa.Column("hit_rate", sa.Float(), nullable=True),
        sa.Column("sharpe_trade", sa.Float(), nullable=True),
        sa.Column("sharpe_trade_low", sa.Float(), nullable=True),
        sa.Column("sharpe_trade_high", sa.Float(), nullable=True),
        sa.Column("max_drawdown", sa.Float(), nullable=False),
        sa.Column("turnover", sa.Float(), nullable=False),
        sa.Column("break_even_fee", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model"],
            ["forecast_models.model"],
            name=op.f("fk_backtests_model_forecast_models"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("backtest", name=op.f("pk_backtests")),
    )
    with op.batch_alter_table("backtests", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_backtests_model"), ["model"], unique=False)
        batch_op.create_index(batch_op.f("ix_backtests_strategy"), ["strategy"], unique=False)
        batch_op.create_index(batch_op.f("ix_backtests_venue_symbol_day"), ["venue", "symbol", "day"], unique=False)

    op.create_table(
        "forecast_scores",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("price", sa.String(length=16), nullable=False),
        sa.Column("horizon", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("samples", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("standard_error", sa.Float(), nullable=True),
        sa.Column("independent_error", sa.Float(), nullable=True),
        sa.Column("blocks", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("baseline", sa.String(length=32), nullable=False),
        sa.Column("baseline_value", sa.Float(), nullable=True),
        sa.Column("control", sa.Float(), nullable=True),
        sa.Column("over_control", sa.Float(), nullable=True),
        sa.Column("over_control_low", sa.Float(), nullable=True),
        sa.Column("over_control_high", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model"],
            ["forecast_models.model"],
            name=op.f("fk_forecast_scores_model_forecast_models"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("model", "day", "price", "horizon", "metric", name=op.f("pk_forecast_scores")),
    )
    op.create_table(
        "forecast_splits",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("first_row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("last_row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_ts", UtcDateTime(), nullable=False),
        sa.Column("last_ts", UtcDateTime(), nullable=False),
        sa.Column("windows", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["model"],
            ["forecast_models.model"],
            name=op.f("fk_forecast_splits_model_forecast_models"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("model", "split", name=op.f("pk_forecast_splits")),
    )
    op.create_table(
        "backtest_trades",
        sa.Column("backtest", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("qty", sa.Float(), nullable=False),
        sa.Column("signal", sa.Float(), nullable=False),
        sa.Column("decided_ts", UtcDateTime(), nullable=False),
        sa.Column("opened_ts", UtcDateTime(), nullable=False),
        sa.Column("closed_ts", UtcDateTime(), nullable=False),
        sa.Column("opened_row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("closed_row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("open_price", sa.Float(), nullable=False),
        sa.Column("close_price", sa.Float(), nullable=False),
        sa.Column("open_is_maker", sa.Boolean(), nullable=False),
        sa.Column("close_is_maker", sa.Boolean(), nullable=False),
        sa.Column("fees", sa.Float(), nullable=False),
        sa.Column("pnl_net", sa.Float(), nullable=False),
        sa.Column("bps_net", sa.Float(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["backtest"],
            ["backtests.backtest"],
            name=op.f("fk_backtest_trades_backtest_backtests"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("backtest", "number", name=op.f("pk_backtest_trades")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("backtest_trades")
    op.drop_table("forecast_splits")
    op.drop_table("forecast_scores")
    with op.batch_alter_table("backtests", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_backtests_venue_symbol_day"))
        batch_op.drop_index(batch_op.f("ix_backtests_strategy"))
        batch_op.drop_index(batch_op.f("ix_backtests_model"))

    op.drop_table("backtests")
    with op.batch_alter_table("forecast_models", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_forecast_models_venue_symbol_day"))

    op.drop_table("forecast_models")
