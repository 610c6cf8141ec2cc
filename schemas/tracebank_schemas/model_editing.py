"""Facts that are edited into language models: cases, edits, and what else moved, prompt by prompt."""

from __future__ import annotations

from sqlalchemy import JSON, Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.evaluation import RUN
from tracebank_schemas.language_model import MODEL
from tracebank_schemas.relational import VOLATILE, Base, HomePath, TokenText, owned_by


class EditCase(Base):
    """A fact, what it replaces, and the prompts that show what else moved: a record of CounterFact or zsRE."""

    __tablename__ = "edit_cases"
    __table_args__ = (Index(None, "dataset"),)

    item: Mapped[str] = mapped_column(String(64), primary_key=True, doc="SHA-256 of what it says; item of runs")
    dataset: Mapped[str] = mapped_column(String(200), primary_key=True, doc="world or file")
    case_id: Mapped[int] = mapped_column(doc="number in it")
    relation: Mapped[str] = mapped_column(String(64), doc="relation, as P103")
    subject: Mapped[str] = mapped_column(Text, doc="what the fact is about")
    prompt: Mapped[str] = mapped_column(Text, doc="with {} for the subject")
    target_true: Mapped[str] = mapped_column(Text, doc="object before")
    target_new: Mapped[str] = mapped_column(Text, doc="object that is edited in")
    neighbor_target: Mapped[str] = mapped_column(Text, doc="what is true of the neighbors")
    paraphrases: Mapped[list[str]] = mapped_column(JSON, doc="prompts that ask the same")
    neighbors: Mapped[list[str]] = mapped_column(JSON, doc="prompts about other subjects")
    attributes: Mapped[list[str]] = mapped_column(JSON, doc="prompts of which the new object is true")
    generation_prompts: Mapped[list[str]] = mapped_column(JSON, doc="beginnings of texts about the subject")


class RefusedCase(Base):
    """A record that is no case, and why."""

    __tablename__ = "refused_edit_cases"

    dataset: Mapped[str] = mapped_column(String(200), primary_key=True, doc="world or file")
    record: Mapped[int] = mapped_column(primary_key=True, doc="place in the file, from 0")
    case_id: Mapped[str | None] = mapped_column(Text, doc="as it stands there")
    problem: Mapped[str] = mapped_column(Text, doc="one line")


class SecondMoment(Base):
    """Second moments of the keys of a model: what is in the MLPs' second matrices, over a corpus."""

    __tablename__ = "second_moments"

    model: Mapped[str] = mapped_column(String(200), owned_by(MODEL), primary_key=True, doc="model")
    layer: Mapped[int] = mapped_column(primary_key=True, doc="block")
    width: Mapped[int] = mapped_column(doc="of a key")
    tokens: Mapped[int] = mapped_column(doc="that it is over")
    weights_hash: Mapped[str] = mapped_column(String(64), doc="of the model")
    path: Mapped[str] = mapped_column(HomePath, doc="safetensors file")


class EditLayer(Base):
    """How well values in one layer say facts that the model does not know: what the layer of edits is chosen by."""

    __tablename__ = "edit_layers"

    model: Mapped[str] = mapped_column(String(200), owned_by(MODEL), primary_key=True, doc="model")
    layer: Mapped[int] = mapped_column(primary_key=True, doc="block")
    loss: Mapped[float] = mapped_column(Float, doc="median of -log p of the new object under v*, nats a token")
    facts: Mapped[int] = mapped_column(doc="that it is over")
    enough: Mapped[float] = mapped_column(Float, doc="most that is good enough for a run")
    chosen: Mapped[bool] = mapped_column(doc="whether edits are made there")


class Edit(Base):
    """One edit of a run, as it was made."""

    __tablename__ = "edits"

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    item: Mapped[str] = mapped_column(String(64), primary_key=True, doc="case")
    order: Mapped[int] = mapped_column(doc="edits that the model had before; 0 where weights are put back")
    layers: Mapped[list[int]] = mapped_column(JSON, doc="that were written to")
    value_loss: Mapped[float | None] = mapped_column(Float, doc="-log p of the new object under v*, nats a token")
    weight_norm: Mapped[float] = mapped_column(Float, doc="Frobenius norm of the edited matrices after it")
    change_norm: Mapped[float] = mapped_column(Float, doc="of what was added to them")
    key_product: Mapped[float | None] = mapped_column(Float, doc="k . u of ROME: near 0, the change explodes")
    residual: Mapped[float | None] = mapped_column(Float, doc="distance to v* that is left, a share")
    chosen_layer: Mapped[int | None] = mapped_column(doc="that the run was let through by; null of FT-L")
    chosen_loss: Mapped[float | None] = mapped_column(Float, doc="median loss of v* there, nats a token")
    seconds: Mapped[float] = mapped_column(Float, doc="that it took", info=VOLATILE)


class EditScore(Base):
    """What a model says after one prompt of a case, at one moment."""

    __tablename__ = "edit_scores"
    __table_args__ = (Index(None, "item"),)

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    item: Mapped[str] = mapped_column(String(64), primary_key=True, doc="case")
    moment: Mapped[str] = mapped_column(
        String(16), primary_key=True, doc="unedited, after_edit, after_ten_times (as many edits), end"
    )
    kind: Mapped[str] = mapped_column(
        String(20), primary_key=True, doc="rewrite, paraphrase, neighborhood; neighborhood_plus: after the edited fact"
    )
    index: Mapped[int] = mapped_column(primary_key=True, doc="of the prompt among its kind")
    nll_new: Mapped[float | None] = mapped_column(Float, doc="-log p of the new object, nats a token")
    nll_true: Mapped[float | None] = mapped_column(Float, doc="the same of the true one")
    success: Mapped[bool | None] = mapped_column(doc="whether the object that should be is the likelier of both")
    magnitude: Mapped[float | None] = mapped_column(Float, doc="difference of their probabilities, a token's mean")
    correct: Mapped[bool | None] = mapped_column(doc="whether each token of it is the likeliest")
    kl: Mapped[float | None] = mapped_column(Float, doc="KL(unedited || edited) of the next token, nats")
    kl_reversed: Mapped[float | None] = mapped_column(Float, doc="KL(edited || unedited), nats")
    kl_released: Mapped[float | None] = mapped_column(Float, doc="that over the vocabulary's size, as released")
    generated: Mapped[str | None] = mapped_column(TokenText, doc="what the model writes by itself")
    generated_correct: Mapped[bool | None] = mapped_column(doc="whether that begins with the new object")
