"""Every table of both stores in one place: import this to be sure that all declarations are loaded."""

from __future__ import annotations

from typing import Final

from tracebank_schemas import benchmarks, language_model, market, reward_probe, sparse_autoencoder
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.benchmarks import BenchmarkEnvironment, BenchmarkResult, BenchmarkRun
from tracebank_schemas.ingest import IngestCount, IngestFile, Instrument, RejectedRow, SequenceGap
from tracebank_schemas.language_model import (
    Corpus,
    CorpusDocument,
    LanguageModel,
    LayerDivergence,
    TensorDivergence,
)
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.quality import QualityMeasure
from tracebank_schemas.relational import Base
from tracebank_schemas.reward_probe import (
    AblatedFeature,
    Ablation,
    FeatureDynamic,
    Probe,
    ProbeMetric,
    ProbeWeight,
    ReconstructedReward,
)
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.sparse_autoencoder import (
    DictionaryMetric,
    DictionarySimilarity,
    Feature,
    FeatureExplanation,
    FeatureMatch,
    FeatureScore,
    FeatureToken,
    SparseAutoencoder,
)

TABLES: Final[dict[str, SeriesTable]] = {
    table.name: table
    for table in (
        market.TRADES,
        market.QUOTES,
        market.BOOK,
        market.BARS,
        benchmarks.SAMPLES,
        language_model.TRAINING_CURVES,
        sparse_autoencoder.FEATURE_ACTIVATIONS,
        sparse_autoencoder.FEATURE_EXAMPLES,
        reward_probe.ABLATION_TEXTS,
    )
}
"""Tables of the time-series store, by name."""

MODELS: Final[tuple[type[Base], ...]] = (
    Materialization,
    Instrument,
    IngestFile,
    IngestCount,
    RejectedRow,
    SequenceGap,
    QualityMeasure,
    BenchmarkEnvironment,
    BenchmarkRun,
    BenchmarkResult,
    LanguageModel,
    LayerDivergence,
    TensorDivergence,
    Corpus,
    CorpusDocument,
    ActivationShard,
    SparseAutoencoder,
    DictionaryMetric,
    DictionarySimilarity,
    FeatureMatch,
    Feature,
    FeatureToken,
    FeatureExplanation,
    FeatureScore,
    Probe,
    ProbeMetric,
    ProbeWeight,
    ReconstructedReward,
    Ablation,
    AblatedFeature,
    FeatureDynamic,
)
"""Tables of the relational store."""

METADATA: Final = Base.metadata
"""SQLAlchemy metadata that holds every model."""
