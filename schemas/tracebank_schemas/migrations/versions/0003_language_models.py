"""language models, activations, sparse autoencoders with their features, and reward probes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEXES = (
    ("language_models", ("parent",)),
    ("language_models", ("weights_hash",)),
    ("corpora", ("corpus_hash",)),
    ("activation_shards", ("model", "site")),
    ("sparse_autoencoders", ("study",)),
    ("sparse_autoencoders", ("model", "site")),
    ("feature_tokens", ("token",)),
    ("feature_explanations", ("dictionary", "feature")),
    ("probes", ("study",)),
    ("probe_weights", ("dictionary", "feature")),
)
_TABLES = (
    "language_models",
    "layer_divergences",
    "tensor_divergences",
    "corpora",
    "corpus_documents",
    "activation_shards",
    "sparse_autoencoders",
    "dictionary_metrics",
    "dictionary_similarities",
    "feature_matches",
    "features",
    "feature_tokens",
    "feature_explanations",
    "feature_scores",
    "probes",
    "probe_metrics",
    "probe_weights",
    "reconstructed_rewards",
    "ablations",
    "ablated_features",
    "feature_dynamics",
)


def upgrade() -> None:
    """Apply."""
    _create_language_models()
    _create_layer_divergences()
    _create_corpora()
    _create_activation_shards()
    _create_sparse_autoencoders()
    _create_dictionary_figures()
    _create_features()
    _create_feature_tokens()
    _create_explanations()
    _create_probes()
    _create_probe_figures()
    _create_ablations()
    _create_feature_dynamics()
    for table, columns in _INDEXES:
        op.create_index(_index(table, columns), table, list(columns), unique=False)


def downgrade() -> None:
    """Take back."""
    for table, columns in reversed(_INDEXES):
        op.drop_index(_index(table, columns), table_name=table)
    for table in reversed(_TABLES):
        op.drop_table(table)


def _index(table: str, columns: tuple[str, ...]) -> str:
    return op.f(f"ix_{table}_{'_'.join(columns)}")


def _text(name: str, length: int | None = None, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text() if length is None else sa.String(length=length), nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=nullable)


def _real(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float(), nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _create(table: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    op.create_table(table, *columns, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}")))


def _create_language_models() -> None:
    _create(
        "language_models",
        ("model",),
        _text("model", 200),
        _text("parent", 200, nullable=True),
        _text("parent_weights_hash", 64, nullable=True),
        _text("method", 16),
        _whole("step", nullable=True),
        _text("source"),
        _text("revision", 64),
        _text("architecture", 64),
        *map(_whole, ("layers", "hidden_size", "mlp_size", "attention_heads", "vocabulary_size")),
        _whole("context_length", nullable=True),
        _whole("parameters"),
        _text("dtype", 16),
        _text("tokenizer_hash", 64),
        _text("weights_hash", 64),
        _text("path"),
        sa.Column("catalogued_at", UtcDateTime(), nullable=False),
    )


def _create_layer_divergences() -> None:
    _create(
        "layer_divergences",
        ("model", "layer", "definition"),
        _text("model", 200),
        _whole("layer"),
        _text("definition", 48),
        _text("parent", 200),
        _real("value"),
    )
    _create(
        "tensor_divergences",
        ("model", "tensor"),
        *(_text(name, 200) for name in ("model", "tensor", "parent")),
        _whole("layer", nullable=True),
        _whole("parameters"),
        *map(_real, ("l2", "parent_l2", "largest")),
    )


def _create_corpora() -> None:
    _create(
        "corpora",
        ("study", "shard"),
        _text("study", 200),
        _whole("shard"),
        _text("corpus_hash", 64),
        _text("tokenizer_hash", 64),
        *map(_whole, ("documents", "tokens", "max_tokens")),
    )
    _create(
        "corpus_documents",
        ("corpus_hash", "document"),
        _text("corpus_hash", 64),
        _whole("document"),
        _text("document_id", 300),
        _text("source", 64),
        _text("text"),
    )


def _create_activation_shards() -> None:
    _create(
        "activation_shards",
        ("activation_hash", "shard"),
        _text("activation_hash", 64),
        _whole("shard"),
        _text("model", 200),
        _text("model_hash", 64),
        _text("site", 100),
        _text("corpus_hash", 64),
        _text("dtype", 16),
        _whole("width"),
        _text("path"),
        *map(_whole, ("tokens", "first_document", "last_document", "bytes")),
    )


def _create_sparse_autoencoders() -> None:
    _create(
        "sparse_autoencoders",
        ("dictionary",),
        _text("dictionary", 200),
        _text("study", 200),
        _text("side", 8),
        _text("model", 200),
        _text("model_hash", 64),
        _text("site", 100),
        _whole("layer", nullable=True),
        _text("size", 16),
        _text("architecture", 32),
        *map(_whole, ("d_in", "d_sae", "seed", "tokens", "steps")),
        _json("config"),
        _text("path"),
        sa.Column("trained_at", UtcDateTime(), nullable=False),
    )


def _create_dictionary_figures() -> None:
    _create(
        "dictionary_metrics",
        ("dictionary", "metric"),
        _text("dictionary", 200),
        _text("metric", 48),
        _whole("seed"),
        _real("value", nullable=True),
        _whole("tokens"),
    )
    _create(
        "dictionary_similarities",
        ("dictionary", "other"),
        _text("dictionary", 200),
        _text("other", 200),
        _text("comparison", 16),
        _real("mmcs"),
    )


def _create_features() -> None:
    _create(
        "feature_matches",
        ("dictionary", "other", "feature"),
        _text("dictionary", 200),
        _text("other", 200),
        *map(_whole, ("feature", "other_feature")),
        _real("cosine"),
    )
    _create(
        "features",
        ("dictionary", "feature"),
        _text("dictionary", 200),
        *map(_whole, ("feature", "tokens", "fired")),
        *map(_real, ("density", "mean_activation", "max_activation")),
        *map(_json, ("top_tokens", "raised_tokens", "lowered_tokens")),
        _text("matched_dictionary", 200, nullable=True),
        _whole("matched_feature", nullable=True),
        _real("matched_cosine", nullable=True),
        _real("relative_norm_difference", nullable=True),
        _real("nu_reconstruction", nullable=True),
        _real("nu_error", nullable=True),
    )


def _create_feature_tokens() -> None:
    _create(
        "feature_tokens",
        ("dictionary", "feature", "role", "rank"),
        _text("dictionary", 200),
        _whole("feature"),
        _text("role", 16),
        *map(_whole, ("rank", "token_id")),
        _text("token"),
        _real("value"),
        _real("lift", nullable=True),
    )


def _create_explanations() -> None:
    _create(
        "feature_explanations",
        ("explanation",),
        _text("explanation", 64),
        _text("dictionary", 200),
        _whole("feature"),
        _text("method", 32),
        _text("explainer", 200),
        *map(_text, ("text", "prompt", "answer")),
        _text("prompt_hash", 64),
        sa.Column("explained_at", UtcDateTime(), nullable=False),
    )
    _create(
        "feature_scores",
        ("explanation", "metric"),
        _text("explanation", 64),
        _text("metric", 32),
        _real("value", nullable=True),
        _whole("tokens"),
    )


def _create_probes() -> None:
    _create(
        "probes",
        ("probe",),
        _text("probe", 200),
        _text("study", 200),
        _text("model", 200),
        _text("task", 16),
        _text("kind", 16),
        _text("representation", 24),
        *map(_whole, ("seed", "inputs", "train_rows", "test_rows")),
    )


def _create_probe_figures() -> None:
    _create(
        "probe_metrics",
        ("probe", "metric"),
        _text("probe", 200),
        _text("metric", 32),
        _real("value", nullable=True),
        _real("p_value", nullable=True),
        _whole("count"),
    )
    _create(
        "probe_weights",
        ("probe", "dictionary", "feature"),
        _text("probe", 200),
        _text("dictionary", 200),
        _whole("feature"),
        _real("weight"),
        _whole("rank"),
    )
    _create(
        "reconstructed_rewards",
        ("probe", "word"),
        _text("probe", 200),
        _text("word", 64),
        *map(_real, ("reconstructed", "lexicon")),
        _whole("count"),
    )


def _create_ablations() -> None:
    _create(
        "ablations",
        ("study", "condition", "seed"),
        _text("study", 200),
        _text("condition", 24),
        *map(_whole, ("seed", "features", "prompts")),
        *map(_real, ("mean_reward", "difference")),
        _real("standard_error", nullable=True),
    )
    _create(
        "ablated_features",
        ("study", "dictionary", "feature"),
        _text("study", 200),
        _text("dictionary", 200),
        _whole("feature"),
        *map(_real, ("weight", "density", "mean_activation", "push")),
    )


def _create_feature_dynamics() -> None:
    _create(
        "feature_dynamics",
        ("model", "dictionary", "feature"),
        _text("model", 200),
        _text("dictionary", 200),
        *map(_whole, ("feature", "step")),
        *map(_real, ("density", "mean_activation")),
        _text("state", 8),
    )
