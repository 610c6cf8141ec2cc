"""What probes read out of features about a reward, what ablating features does to it, and how both come about."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from sqlalchemy import Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.language_model import MODEL
from tracebank_schemas.relational import Base, owned_by
from tracebank_schemas.series import Column, SeriesTable
from tracebank_schemas.sparse_autoencoder import DICTIONARY

_PROBE: Final = "probes.probe"


class Probe(Base):
    """A linear probe on the codes (or the raw activations) of one model, or a control that needs none."""

    __tablename__ = "probes"
    __table_args__ = (Index(None, "study", "seed"), Index(None, "model"))

    probe: Mapped[str] = mapped_column(
        String(200),
        primary_key=True,
        doc="study and its seed, model, task, kind, representation, number of a random one",
    )
    study: Mapped[str] = mapped_column(String(200), doc="reward study")
    seed: Mapped[int] = mapped_column(doc="the study's: of folds, draws and permutations; a replication's split is 42")
    model: Mapped[str] = mapped_column(String(200), owned_by(MODEL), doc="model whose activations it reads")
    task: Mapped[str] = mapped_column(
        String(16),
        doc="reward: valence of held-out words; replication: the paper's split by triple; preference; dynamics: as"
        " reward, of a checkpoint",
    )
    kind: Mapped[str] = mapped_column(
        String(16), doc="ridge or logistic; controls: sign, shuffled and random, or length and lexicon of an answer"
    )
    representation: Mapped[str] = mapped_column(
        String(24), doc="sparse_codes, raw_activations, or words: a control that reads no model"
    )
    number: Mapped[int] = mapped_column(doc="of a replication's random probe; 0 elsewhere")
    inputs: Mapped[int] = mapped_column(doc="numbers that it reads of a model")
    train_rows: Mapped[int] = mapped_column(doc="words, places or answers that it was fitted on; 0 for what is not")
    test_rows: Mapped[int] = mapped_column(doc="those that it was measured on, each by probes that did not see it")


class _Figure:
    """A value with its interval; these columns stand behind the names of probes."""

    metric: Mapped[str] = mapped_column(
        String(32), primary_key=True, sort_order=1, doc="kendall_tau, kendall_tau_within (a sign), pair_accuracy, ..."
    )
    value: Mapped[float | None] = mapped_column(
        Float, sort_order=1, doc="null where it is not defined; of shuffled and random probes the mean"
    )
    low: Mapped[float | None] = mapped_column(
        Float, sort_order=1, doc="bound of 95 %: over words or prompts drawn again, or over shuffled or random probes"
    )
    high: Mapped[float | None] = mapped_column(Float, sort_order=1, doc="the other bound")
    p_value: Mapped[float | None] = mapped_column(
        Float,
        sort_order=1,
        doc="share of probes of shuffled valences that reach as much; two-sided of differences and of a replication",
    )
    count: Mapped[int] = mapped_column(sort_order=1, doc="words, pairs or answers behind it")


class ProbeMetric(_Figure, Base):
    """One figure of merit of a probe on what it had not seen."""

    __tablename__ = "probe_metrics"

    probe: Mapped[str] = mapped_column(String(200), owned_by(_PROBE), primary_key=True, doc="probe")


class ProbeDifference(_Figure, Base):
    """What the tuned model knows more than its base: a figure of its probe less the base's, over the same words."""

    __tablename__ = "probe_differences"
    __table_args__ = (Index(None, "less"),)

    probe: Mapped[str] = mapped_column(String(200), owned_by(_PROBE), primary_key=True, doc="probe of the tuned model")
    less: Mapped[str] = mapped_column(
        String(200), owned_by(_PROBE), primary_key=True, doc="probe of the base, of the same task and kind"
    )


class ProbeWeight(Base):
    """The weight that a probe of all words, or of all answers, gives to one feature."""

    __tablename__ = "probe_weights"
    __table_args__ = (Index(None, "dictionary", "feature"),)

    probe: Mapped[str] = mapped_column(String(200), owned_by(_PROBE), primary_key=True, doc="probe")
    dictionary: Mapped[str] = mapped_column(String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the feature")
    weight: Mapped[float] = mapped_column(Float, doc="in the probe's units per unit of activation")
    rank: Mapped[int] = mapped_column(doc="1 has the largest magnitude of the probe")


class ReconstructedReward(Base):
    """What a probe makes of a word's reward, beside the reward that tuning gave it."""

    __tablename__ = "reconstructed_rewards"

    probe: Mapped[str] = mapped_column(String(200), owned_by(_PROBE), primary_key=True, doc="probe")
    word: Mapped[str] = mapped_column(String(64), primary_key=True, doc="word")
    reconstructed: Mapped[float] = mapped_column(
        Float, doc="score by probes that did not see the word, less their mean; of a replication on the lexicon's scale"
    )
    lexicon: Mapped[float] = mapped_column(Float, doc="valence that the reward knows")
    count: Mapped[int] = mapped_column(doc="places behind the mean")


class Ablation(Base):
    """What a model expects to say next while some of its features are held at zero: exact, nothing is sampled."""

    __tablename__ = "ablations"

    study: Mapped[str] = mapped_column(String(200), primary_key=True, doc="reward study")
    seed: Mapped[int] = mapped_column(primary_key=True, doc="of the study")
    condition: Mapped[str] = mapped_column(
        String(24),
        primary_key=True,
        doc="none, reconstruction, features, random_features; or features_error_kept, random_error_kept",
    )
    draw: Mapped[int] = mapped_column(primary_key=True, doc="number of the draw of random features; 0 elsewhere")
    features: Mapped[int] = mapped_column(doc="features held at zero")
    mass: Mapped[float] = mapped_column(Float, doc="sum of their density x mean activation")
    texts: Mapped[int] = mapped_column(doc="texts that it was measured on")
    expected_valence: Mapped[float] = mapped_column(Float, doc="of the next token, mean over places and texts")
    difference: Mapped[float] = mapped_column(Float, doc="less that of the untouched model")
    effect: Mapped[float | None] = mapped_column(
        Float, doc="less that with no feature at zero: of reconstruction, or of none where the error is kept"
    )
    effect_low: Mapped[float | None] = mapped_column(Float, doc="its 95 % interval over texts; null of random features")
    effect_high: Mapped[float | None] = mapped_column(Float, doc="the other end")
    rank_p: Mapped[float | None] = mapped_column(
        Float, doc="(1 + draws whose effect is as low) / (1 + draws); null but of features and features_error_kept"
    )
    two_sided_p: Mapped[float | None] = mapped_column(Float, doc="twice the rank on the nearer side, at most 1")


class AblatedFeature(Base):
    """A feature that a study's ablation held at zero, and why: what it adds to the probe's mean prediction."""

    __tablename__ = "ablated_features"
    __table_args__ = (Index(None, "dictionary"),)

    study: Mapped[str] = mapped_column(String(200), primary_key=True, doc="reward study")
    seed: Mapped[int] = mapped_column(primary_key=True, doc="of the study")
    dictionary: Mapped[str] = mapped_column(String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary")
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the feature")
    weight: Mapped[float] = mapped_column(Float, doc="of the reward probe")
    density: Mapped[float] = mapped_column(Float, doc="share of held-out tokens that it fires on")
    mean_activation: Mapped[float] = mapped_column(Float, doc="where it fires")
    push: Mapped[float] = mapped_column(Float, doc="weight x density x mean activation")


class FeatureDynamic(Base):
    """How often a feature of the tuned model's dictionary fires in a checkpoint on the way to it."""

    __tablename__ = "feature_dynamics"
    __table_args__ = (Index(None, "dictionary"),)

    model: Mapped[str] = mapped_column(String(200), owned_by(MODEL), primary_key=True, doc="checkpoint")
    dictionary: Mapped[str] = mapped_column(
        String(200), owned_by(DICTIONARY), primary_key=True, doc="dictionary of the tuned model"
    )
    feature: Mapped[int] = mapped_column(primary_key=True, doc="number of the feature")
    step: Mapped[int] = mapped_column(doc="of tuning")
    density: Mapped[float] = mapped_column(Float, doc="share of tokens that it fires on")
    mean_activation: Mapped[float] = mapped_column(Float, doc="where it fires")
    state: Mapped[str] = mapped_column(String(8), doc="alive, dead, born or died, against the checkpoint before")


ABLATION_TEXTS: Final = SeriesTable(
    name="ablation_texts",
    doc="What the model wrote under conditions of an ablation, with its reward: an illustration of ablations.",
    columns=(
        Column("study", pa.string(), "reward study", repeated=True),
        Column("seed", pa.int64(), "of the study", before=0),
        Column("condition", pa.string(), "as in ablations", repeated=True),
        Column("draw", pa.int64(), "number of the draw of random features; 0 elsewhere", before="seed"),
        Column("prompt", pa.int64(), "number of the prompt"),
        Column("prompt_text", pa.string(), "what was given"),
        Column("text", pa.string(), "what came"),
        Column("reward", pa.float64(), "of what came"),
    ),
    sort_key=("condition", "draw", "prompt"),
    partition_by=("study", "seed"),
    unique_key=("condition", "draw", "prompt"),
)
