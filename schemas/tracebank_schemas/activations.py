"""Shards of activations: where each lies and what it is of. Vectors are read in place, as `series.activations`."""

from __future__ import annotations

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import VOLATILE, Base, HomePath


class ActivationShard(Base):
    """One Arrow file with the activations of one site of one model on a part of one corpus."""

    __tablename__ = "activation_shards"
    __table_args__ = (Index(None, "model", "site"),)

    activation_hash: Mapped[str] = mapped_column(
        String(64), primary_key=True, doc="of model, site, corpus and dtype: the folder's name"
    )
    shard: Mapped[int] = mapped_column(primary_key=True, doc="number of the file in its folder")
    model: Mapped[str] = mapped_column(String(200), doc="model that was read")
    model_hash: Mapped[str] = mapped_column(String(64), doc="of its weights")
    site: Mapped[str] = mapped_column(String(100), doc="layers.N.mlp, layers.N.resid, ..., or a module's path")
    corpus_hash: Mapped[str] = mapped_column(String(64), doc="corpus that it read")
    dtype: Mapped[str] = mapped_column(String(16), doc="float16 or float32")
    width: Mapped[int] = mapped_column(doc="numbers of a vector")
    path: Mapped[str] = mapped_column(HomePath, doc="of the file; ./ is the home", info=VOLATILE)
    tokens: Mapped[int] = mapped_column(doc="rows of the file")
    first_document: Mapped[int] = mapped_column(doc="number in the corpus")
    last_document: Mapped[int] = mapped_column(doc="number in the corpus")
    bytes: Mapped[int] = mapped_column(doc="of the file")
