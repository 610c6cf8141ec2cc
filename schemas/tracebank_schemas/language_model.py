"""Language models and what is known of them: the catalogue, layer divergence, corpora, and curves of every training."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import pyarrow as pa
from sqlalchemy import Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base, HomePath, owned_by
from tracebank_schemas.series import TIMESTAMP, Column, SeriesTable


class LanguageModel(Base):
    """A causal language model as it was at one moment: a base, a tuned one, or a checkpoint on the way to it."""

    __tablename__ = "language_models"
    __table_args__ = (Index(None, "parent"), Index(None, "weights_hash"))

    model: Mapped[str] = mapped_column(String(200), primary_key=True, doc="name; a checkpoint ends in @ and its step")
    parent: Mapped[str | None] = mapped_column(String(200), doc="model that it was tuned from")
    parent_weights_hash: Mapped[str | None] = mapped_column(String(64), doc="of the parent")
    method: Mapped[str] = mapped_column(String(16), doc="pretraining, ppo, dpo, or loaded")
    step: Mapped[int | None] = mapped_column(doc="steps of that method, where it ran here")
    source: Mapped[str] = mapped_column(Text, doc="recipe of the ladder, Hugging Face id, or folder")
    revision: Mapped[str] = mapped_column(String(64), doc="commit of the Hub; of a local model the weights hash")
    architecture: Mapped[str] = mapped_column(String(64), doc="class in transformers")
    layers: Mapped[int] = mapped_column(doc="blocks")
    hidden_size: Mapped[int] = mapped_column(doc="width of the residual stream")
    mlp_size: Mapped[int] = mapped_column(doc="width of the MLP's inner layer")
    attention_heads: Mapped[int] = mapped_column(doc="heads of a block")
    vocabulary_size: Mapped[int] = mapped_column(doc="tokens")
    context_length: Mapped[int | None] = mapped_column(doc="most tokens in one sequence")
    parameters: Mapped[int] = mapped_column(doc="trained numbers")
    dtype: Mapped[str] = mapped_column(String(16), doc="type of the weights")
    tokenizer_hash: Mapped[str] = mapped_column(String(64), doc="of what decides about ids")
    weights_hash: Mapped[str] = mapped_column(String(64), doc="of every tensor")
    path: Mapped[str] = mapped_column(
        HomePath, doc="folder that transformers can load (./ is the home), or the Hub's id", info=VOLATILE
    )
    catalogued_at: Mapped[datetime] = mapped_column(doc="UTC", info=VOLATILE)


class PolicyEvaluation(Base):
    """Reward and KL of a tuned model, or of a checkpoint of it, beside the untuned one on prompts never tuned on."""

    __tablename__ = "policy_evaluations"

    model: Mapped[str] = mapped_column(String(200), primary_key=True, doc="tuned model that this is about")
    study: Mapped[str] = mapped_column(String(200), doc="reward study")
    asset: Mapped[str] = mapped_column(String(16), primary_key=True, doc="what tuned: tuned, or frontier (prices held)")
    beta: Mapped[float] = mapped_column(Float, primary_key=True, doc="of PPO or DPO; 0 where it was tuned elsewhere")
    step: Mapped[int] = mapped_column(primary_key=True, doc="checkpoint; 0 is the untuned model")
    split: Mapped[str] = mapped_column(String(8), primary_key=True, doc="prompts: choice of the checkpoint, or report")
    method: Mapped[str] = mapped_column(String(16), doc="ppo, dpo or loaded")
    seed: Mapped[int] = mapped_column(doc="of the study: of prompts, samples and order")
    openings: Mapped[int] = mapped_column(doc="that prompts were cut from; the answers to those of one are averaged")
    reward: Mapped[float] = mapped_column(Float, doc="mean over openings")
    base_reward: Mapped[float] = mapped_column(Float, doc="of the untuned model on the same prompts")
    gain: Mapped[float] = mapped_column(Float, doc="mean difference, opening by opening")
    gain_standard_error: Mapped[float] = mapped_column(Float, doc="over openings")
    gain_low: Mapped[float] = mapped_column(Float, doc="lower end of the gain's 95 % interval")
    gain_high: Mapped[float] = mapped_column(Float, doc="upper end")
    kl: Mapped[float] = mapped_column(Float, doc="to the untuned model, exact, nats per response")
    kl_standard_error: Mapped[float] = mapped_column(Float, doc="over openings")
    chosen: Mapped[bool] = mapped_column(doc="whether this checkpoint is the tuned model")


MODEL: Final = "language_models.model"
"""What rows about a model refer to."""


class LayerDivergence(Base):
    """How far one layer of a tuned model is from its parent's, by one definition."""

    __tablename__ = "layer_divergences"

    model: Mapped[str] = mapped_column(
        String(200), owned_by(MODEL), primary_key=True, doc="tuned model, or a checkpoint of it"
    )
    layer: Mapped[int] = mapped_column(primary_key=True, doc="from 0; -1 for the whole model")
    definition: Mapped[str] = mapped_column(String(48), primary_key=True, doc="how it is measured")
    parent: Mapped[str] = mapped_column(String(200), doc="model that it is compared with")
    value: Mapped[float] = mapped_column(Float, doc="0 where the two are the same")


class TensorDivergence(Base):
    """How far one weight tensor of a tuned model is from its parent's, in fp32."""

    __tablename__ = "tensor_divergences"

    model: Mapped[str] = mapped_column(
        String(200), owned_by(MODEL), primary_key=True, doc="tuned model, or a checkpoint of it"
    )
    tensor: Mapped[str] = mapped_column(String(200), primary_key=True, doc="name of the parameter")
    parent: Mapped[str] = mapped_column(String(200), doc="model that it is compared with")
    layer: Mapped[int | None] = mapped_column(doc="from 0; null outside the blocks")
    parameters: Mapped[int] = mapped_column(doc="numbers of the tensor")
    l2: Mapped[float] = mapped_column(Float, doc="L2 norm of the difference")
    parent_l2: Mapped[float] = mapped_column(Float, doc="L2 norm of the parent's tensor")
    largest: Mapped[float] = mapped_column(Float, doc="largest absolute difference")


class Corpus(Base):
    """Documents as one tokenizer cuts them: what activations are captured on. Studies may share one."""

    __tablename__ = "corpora"
    __table_args__ = (Index(None, "corpus_hash"),)

    study: Mapped[str] = mapped_column(String(200), primary_key=True, doc="reward study that captures it")
    seed: Mapped[int] = mapped_column(primary_key=True, doc="of the study")
    shard: Mapped[int] = mapped_column(primary_key=True, doc="which part of the study's documents, from 0")
    corpus_hash: Mapped[str] = mapped_column(String(64), doc="of token ids, document starts, tokenizer")
    tokenizer_hash: Mapped[str] = mapped_column(String(64), doc="of the tokenizer")
    documents: Mapped[int] = mapped_column(doc="documents with a token")
    tokens: Mapped[int] = mapped_column(doc="tokens of all")
    max_tokens: Mapped[int] = mapped_column(doc="where documents are cut")


class CorpusDocument(Base):
    """One document of a corpus, by the number that activations and examples name."""

    __tablename__ = "corpus_documents"

    corpus_hash: Mapped[str] = mapped_column(String(64), primary_key=True, doc="corpus")
    document: Mapped[int] = mapped_column(primary_key=True, doc="number in the corpus")
    document_id: Mapped[str] = mapped_column(String(300), doc="name, the same in every run")
    source: Mapped[str] = mapped_column(String(64), doc="where it is from")
    text: Mapped[str] = mapped_column(Text, doc="whole, also where the corpus cuts it")


TRAINING_CURVES: Final = SeriesTable(
    name="training_curves",
    doc="What every step of every training showed: language models, their tuning, and sparse autoencoders.",
    columns=(
        Column(
            "run", pa.string(), "training: a model's name, a study's dictionaries, or a run of rl_runs", repeated=True
        ),
        Column("name", pa.string(), "model or dictionary that is trained", repeated=True),
        Column("method", pa.string(), "pretraining, ppo, dpo, sparse_autoencoder, or a mode of safe RL", repeated=True),
        Column("seed", pa.int64(), "of the training"),
        Column("step", pa.int64(), "from 1", codec="Delta, ZSTD"),
        Column("metric", pa.string(), "what was measured", repeated=True),
        Column("value", pa.float64(), "of the metric", codec="ZSTD"),
        Column("ts", TIMESTAMP, "when the training was written", "UTC", codec="Delta, ZSTD", volatile=True),
    ),
    sort_key=("name", "metric", "step"),
    partition_by=("run",),
    unique_key=("name", "metric", "step"),
)
