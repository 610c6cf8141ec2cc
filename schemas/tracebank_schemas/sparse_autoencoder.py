"""Sparse autoencoders and their features: dictionaries, metrics, matches, tokens, examples, explanations and codes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import JSON, Float, ForeignKeyConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.language_model import MODEL
from tracebank_schemas.relational import DEFERRED, VOLATILE, Base, HomePath, TokenText, owned_by
from tracebank_schemas.series import Column, SeriesTable


class SparseAutoencoder(Base):
    """A dictionary of features of one site of a model (or, for a crosscoder, of a base and a tuned model)."""

    __tablename__ = "sparse_autoencoders"
    __table_args__ = (Index(None, "study", "seed"), Index(None, "model", "site"))

    dictionary: Mapped[str] = mapped_column(
        String(200), primary_key=True, doc="study with seed, side, site, size, kind, number; or model and layer"
    )
    study: Mapped[str] = mapped_column(String(200), doc="reward study that trained it")
    seed: Mapped[int] = mapped_column(doc="of the study")
    side: Mapped[str] = mapped_column(String(8), doc="base, tuned or both")
    model: Mapped[str] = mapped_column(String(200), owned_by(MODEL), doc="model that it reads; of both the tuned one")
    model_hash: Mapped[str] = mapped_column(String(64), doc="of that model's weights")
    site: Mapped[str] = mapped_column(String(100), doc="as in activation_shards")
    layer: Mapped[int | None] = mapped_column(doc="of the site; null where its name tells none")
    size: Mapped[str] = mapped_column(String(16), doc="small (1x the width), big (2x), 4x or 8x")
    architecture: Mapped[str] = mapped_column(String(32), doc="tied_relu, relu, topk, batchtopk, jumprelu, ...")
    d_in: Mapped[int] = mapped_column(doc="width of the activations")
    d_sae: Mapped[int] = mapped_column(doc="features")
    init_seed: Mapped[int] = mapped_column(doc="of its first weights and the order of batches")
    tokens: Mapped[int] = mapped_column(doc="tokens seen in training, with repetitions")
    steps: Mapped[int] = mapped_column(doc="steps of training")
    config: Mapped[dict[str, Any]] = mapped_column(JSON, doc="everything that it was trained with")
    weights_hash: Mapped[str | None] = mapped_column(String(64), doc="SHA-256 of its weights; null of rows of before")
    path: Mapped[str] = mapped_column(
        HomePath, doc="folder with weights.safetensors and config.json; ./ is the home", info=VOLATILE
    )
    trained_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)


DICTIONARY: Final = "sparse_autoencoders.dictionary"
"""What rows about a dictionary refer to."""


class DictionaryMetric(Base):
    """One figure of merit of one dictionary, on documents that it was not trained on."""

    __tablename__ = "dictionary_metrics"

    dictionary: Mapped[str] = mapped_column(String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary")
    metric: Mapped[str] = mapped_column(String(48), primary_key=True, doc="fvu, l0, dead_share, ce_recovered, ...")
    init_seed: Mapped[int] = mapped_column(doc="of the dictionary")
    value: Mapped[float | None] = mapped_column(Float, doc="null where it is not defined")
    tokens: Mapped[int] = mapped_column(doc="tokens that it was measured on")


class DictionarySimilarity(Base):
    """How alike two dictionaries are: the mean cosine of their features, matched one to one, and what chance gives."""

    __tablename__ = "dictionary_similarities"
    __table_args__ = (Index(None, "other"),)

    dictionary: Mapped[str] = mapped_column(
        String(200), owned_by(DICTIONARY), primary_key=True, doc="the first; of two sizes the small one"
    )
    other: Mapped[str] = mapped_column(String(200), owned_by(DICTIONARY), primary_key=True, doc="the second")
    comparison: Mapped[str] = mapped_column(String(16), doc="size, tuning or seed: what the two differ in")
    features: Mapped[int | None] = mapped_column(
        doc="that fire on 1 token in 10,000, of the first: only they are compared"
    )
    other_features: Mapped[int | None] = mapped_column(doc="of the second; both null of rows of before: all of them")
    mmcs: Mapped[float] = mapped_column(Float, doc="mean matched cosine; its mean over pairs of seeds is PW-MCC")
    chance: Mapped[float | None] = mapped_column(
        Float, doc="that of as many random directions, of every kind or of the activations' covariance, "
        "whichever is larger; null of rows of before",
    )  # fmt: skip
    difference: Mapped[float | None] = mapped_column(Float, doc="mmcs less chance; null of rows of before")


class FeatureMatch(Base):
    """A feature and its partner in another dictionary."""

    __tablename__ = "feature_matches"
    __table_args__ = (Index(None, "other"),)

    dictionary: Mapped[str] = mapped_column(
        String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary of the feature"
    )
    other: Mapped[str] = mapped_column(
        String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary of its partner"
    )
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the feature")
    other_feature: Mapped[int] = mapped_column(doc="number of the partner")
    cosine: Mapped[float] = mapped_column(Float, doc="of the two directions")


class Feature(Base):
    """A latent of a dictionary: how often it fires, what on, what it writes, and who it matches in the other model."""

    __tablename__ = "features"
    __table_args__ = (Index(None, "matched_dictionary"),)

    dictionary: Mapped[str] = mapped_column(String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number, from 0")
    tokens: Mapped[int] = mapped_column(doc="tokens that were looked at")
    fired: Mapped[int] = mapped_column(doc="tokens that it fired on")
    density: Mapped[float] = mapped_column(Float, doc="fired over tokens")
    mean_activation: Mapped[float] = mapped_column(Float, doc="where it fires")
    max_activation: Mapped[float] = mapped_column(Float, doc="largest")
    top_tokens: Mapped[list[str]] = mapped_column(JSON, doc="tokens that make up most of its activation, most first")
    raised_tokens: Mapped[list[str]] = mapped_column(JSON, doc="tokens whose logits it raises most, most first")
    lowered_tokens: Mapped[list[str]] = mapped_column(JSON, doc="tokens whose logits it lowers most, most first")
    matched_dictionary: Mapped[str | None] = mapped_column(
        String(200),
        owned_by(DICTIONARY, "SET NULL"),
        doc="same site and size in the other model; null where it is gone",
    )
    matched_feature: Mapped[int | None] = mapped_column(doc="its one-to-one partner there; null where none is left")
    matched_cosine: Mapped[float | None] = mapped_column(Float, doc="cosine with that partner")
    relative_norm_difference: Mapped[float | None] = mapped_column(
        Float, doc="crosscoders: 0 base only, 0.5 shared, 1 tuned only"
    )
    nu_reconstruction: Mapped[float | None] = mapped_column(Float, doc="crosscoders: latent scaling, base over tuned")
    nu_error: Mapped[float | None] = mapped_column(Float, doc="crosscoders: the same on errors")
    nearest_base_cosine: Mapped[float | None] = mapped_column(
        Float, doc="tuned dictionaries: largest cosine with a feature of the base dictionary that they are held against"
    )
    nearest_base_p: Mapped[float | None] = mapped_column(
        Float, doc="(1 + features of a base dictionary no nearer to one of another seed) / (1 + its features)"
    )


def of_feature(dictionary: str = "dictionary", feature: str = "feature") -> ForeignKeyConstraint:
    """Refer to the feature that a row is about."""
    parent = ["features.dictionary", "features.feature"]
    return ForeignKeyConstraint([dictionary, feature], parent, ondelete="CASCADE", **DEFERRED)


class FeatureToken(Base):
    """A token that a feature fires on, or whose logit it raises or lowers."""

    __tablename__ = "feature_tokens"
    __table_args__ = (Index(None, "token"), of_feature())

    dictionary: Mapped[str] = mapped_column(String(200), primary_key=True, doc="dictionary")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the feature")
    role: Mapped[str] = mapped_column(String(16), primary_key=True, doc="fires_on, raised or lowered")
    rank: Mapped[int] = mapped_column(primary_key=True, doc="from 1")
    token_id: Mapped[int] = mapped_column(doc="in the tokenizer")
    token: Mapped[str] = mapped_column(TokenText, doc="its text")
    value: Mapped[float] = mapped_column(Float, doc="fires_on: share of the feature's activation; else the logit")
    lift: Mapped[float | None] = mapped_column(Float, doc="fires_on: share of firings over the token's own share")


class FeatureExplanation(Base):
    """What a feature is said to mean, by whom, and from what; each has scores in feature_scores."""

    __tablename__ = "feature_explanations"
    __table_args__ = (Index(None, "dictionary", "feature"), of_feature())

    explanation: Mapped[str] = mapped_column(String(64), primary_key=True, doc="hash of feature, method, prompt, text")
    dictionary: Mapped[str] = mapped_column(String(200), doc="dictionary")
    feature: Mapped[int] = mapped_column(doc="number of the feature")
    method: Mapped[str] = mapped_column(String(32), doc="top_tokens, endpoint, neuron_graph, token_maximum, or ngram_5")
    explainer: Mapped[str] = mapped_column(String(200), doc="model that was asked; empty for executable ones")
    text: Mapped[str] = mapped_column(Text, doc="the explanation")
    prompt: Mapped[str] = mapped_column(Text, doc="what was asked; empty for executable ones")
    answer: Mapped[str] = mapped_column(Text, doc="what came back; empty for executable ones")
    prompt_hash: Mapped[str] = mapped_column(String(64), doc="of prompt and answer; empty for executable ones")
    explained_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)


class FeatureScore(Base):
    """How well an explanation says when its feature fires, on tokens that it was not made from."""

    __tablename__ = "feature_scores"

    explanation: Mapped[str] = mapped_column(
        String(64), owned_by("feature_explanations.explanation"), primary_key=True, doc="explanation"
    )
    metric: Mapped[str] = mapped_column(
        String(32), primary_key=True, doc="correlation, precision, recall, f1; of endpoints detection and fuzzing "
        "(guessing gives 0.5) and intruder (0.2)",
    )  # fmt: skip
    stratum: Mapped[str] = mapped_column(
        String(16), primary_key=True, server_default="all", doc="of texts: top, random, quantile, hard_negative; or all"
    )
    threshold: Mapped[float] = mapped_column(
        Float, primary_key=True, server_default="0", doc="share of its maximum above which the unit counts as firing"
    )
    value: Mapped[float | None] = mapped_column(Float, doc="null where it is not defined")
    tokens: Mapped[int] = mapped_column(doc="tokens that it was scored on")


FEATURE_ACTIVATIONS: Final = SeriesTable(
    name="feature_activations",
    doc="Sparse codes: a row for each token that a feature fires on, of the documents held out from training.",
    columns=(
        Column("study", pa.string(), "reward study", repeated=True),
        Column("seed", pa.int64(), "of the study", before=0),
        Column("dictionary", pa.string(), "dictionary", repeated=True),
        Column("feature", pa.int32(), "number of the feature", codec="Delta, ZSTD"),
        Column("corpus_hash", pa.string(), "corpus, as in corpora", repeated=True),
        Column("document", pa.int64(), "number of the document in it", codec="Delta, ZSTD"),
        Column("position", pa.int32(), "of the token in the document, from 0", codec="ZSTD"),
        Column("token_id", pa.int32(), "token", codec="ZSTD"),
        Column("activation", pa.float32(), "of the feature", codec="ZSTD"),
    ),
    sort_key=("dictionary", "feature", "document", "position"),
    partition_by=("study", "seed"),
    unique_key=("dictionary", "feature", "corpus_hash", "document", "position"),
)

FEATURE_EXAMPLES: Final = SeriesTable(
    name="feature_examples",
    doc="Tokens that features fire on: the strongest, some by chance, and some of each fifth by strength.",
    columns=(
        Column("study", pa.string(), "reward study", repeated=True),
        Column("seed", pa.int64(), "of the study", before=0),
        Column("dictionary", pa.string(), "dictionary", repeated=True),
        Column("feature", pa.int32(), "number of the feature"),
        Column("stratum", pa.string(), "top, random or quantile", repeated=True),
        Column("quantile", pa.int32(), "fifth by strength, 1 the weakest; null elsewhere", nullable=True),
        Column("rank", pa.int32(), "from 1 in the stratum (and fifth)"),
        Column("corpus_hash", pa.string(), "corpus, as in corpora", repeated=True),
        Column("document", pa.int64(), "number of the document in it"),
        Column("position", pa.int32(), "of the token in the document, from 0"),
        Column("token", pa.string(), "text of the token"),
        Column("before", pa.string(), "text of the tokens before it"),
        Column("after", pa.string(), "text of the tokens after it"),
        Column("activation", pa.float32(), "of the feature"),
    ),
    sort_key=("dictionary", "feature", "stratum", "rank"),
    partition_by=("study", "seed"),
)
