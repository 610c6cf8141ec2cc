"""What this revision changes: units have graphs, and scores say of which texts and which threshold they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "explanation_comparisons",
        sa.Column("dictionary", sa.String(length=200), nullable=False),
        sa.Column("stratum", sa.String(length=16), nullable=False),
        sa.Column("method", sa.String(length=32), nullable=False),
        sa.Column("less", sa.String(length=32), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("units", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("undefined", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["dictionary"],
            ["sparse_autoencoders.dictionary"],
            name=op.f("fk_explanation_comparisons_dictionary_sparse_autoencoders"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint(
            "dictionary", "stratum", "method", "less", "metric", name=op.f("pk_explanation_comparisons")
        ),
    )
    op.create_table(
        "neuron_graphs",
        sa.Column("dictionary", sa.String(length=200), nullable=False),
        sa.Column("feature", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("maximum", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("texts", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("variants", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("nodes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ends", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dictionary", "feature"],
            ["features.dictionary", "features.feature"],
            name=op.f("fk_neuron_graphs_dictionary_feature_features"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("dictionary", "feature", name=op.f("pk_neuron_graphs")),
    )
    op.create_table(
        "unit_similarities",
        sa.Column("dictionary", sa.String(length=200), nullable=False),
        sa.Column("feature", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("other_dictionary", sa.String(length=200), nullable=False),
        sa.Column("other_feature", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("relation", sa.String(length=8), nullable=False),
        sa.Column("fires_on_shared", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("after_shared", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dictionary", "feature"],
            ["features.dictionary", "features.feature"],
            name=op.f("fk_unit_similarities_dictionary_feature_features"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["other_dictionary", "other_feature"],
            ["features.dictionary", "features.feature"],
            name=op.f("fk_unit_similarities_other_dictionary_other_feature_features"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint(
            "dictionary", "feature", "other_dictionary", "other_feature", name=op.f("pk_unit_similarities")
        ),
    )
    with op.batch_alter_table("unit_similarities", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_unit_similarities_other_dictionary_other_feature"),
            ["other_dictionary", "other_feature"],
            unique=False,
        )

    op.create_table(
        "graph_nodes",
        sa.Column("dictionary", sa.String(length=200), nullable=False),
        sa.Column("feature", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("trie", sa.String(length=8), nullable=False),
        sa.Column("node", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("parent", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("depth", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("fires_on", sa.Text(), nullable=True),
        sa.Column("importance", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("reach", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["dictionary", "feature"],
            ["neuron_graphs.dictionary", "neuron_graphs.feature"],
            name=op.f("fk_graph_nodes_dictionary_feature_neuron_graphs"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("dictionary", "feature", "trie", "node", name=op.f("pk_graph_nodes")),
    )
    with op.batch_alter_table("graph_nodes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_graph_nodes_fires_on"), ["fires_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_graph_nodes_token"), ["token"], unique=False)

    with op.batch_alter_table("feature_scores", schema=None) as batch_op:
        batch_op.add_column(sa.Column("stratum", sa.String(length=16), server_default="all", nullable=False))
        batch_op.add_column(sa.Column("threshold", sa.Float(), server_default="0", nullable=False))
        batch_op.drop_constraint("pk_feature_scores", type_="primary")
        batch_op.create_primary_key("pk_feature_scores", ["explanation", "metric", "stratum", "threshold"])


def downgrade() -> None:
    """Take back."""
    op.execute("DELETE FROM feature_scores WHERE stratum <> 'all' OR threshold <> 0")
    with op.batch_alter_table("feature_scores", schema=None) as batch_op:
        batch_op.drop_constraint("pk_feature_scores", type_="primary")
        batch_op.create_primary_key("pk_feature_scores", ["explanation", "metric"])
        batch_op.drop_column("threshold")
        batch_op.drop_column("stratum")

    with op.batch_alter_table("graph_nodes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_graph_nodes_token"))
        batch_op.drop_index(batch_op.f("ix_graph_nodes_fires_on"))

    op.drop_table("graph_nodes")
    with op.batch_alter_table("unit_similarities", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_unit_similarities_other_dictionary_other_feature"))

    op.drop_table("unit_similarities")
    op.drop_table("neuron_graphs")
    op.drop_table("explanation_comparisons")
