"""What the stores know of a study, for the assets that build on it: sites, shards, dictionaries, documents, reward."""

from collections.abc import Iterable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from sqlalchemy import select

from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.catalogue import catalogued
from tracebank_assets.studies import of_study
from tracebank_models.reward_probe.study import CORPUS_SHARDS, SIDES, Study
from tracebank_models.sparse_autoencoder.plan import init_seed
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.language_model import Corpus, LayerDivergence
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    from tracebank_models.language_model.corpus import Document

SELECTED_BY = "weight_l2_sum"
"""Definition of divergence that chooses the layers (2310.08164)."""


def divergences(relational: RelationalStore, model: str, definition: str = SELECTED_BY) -> pl.DataFrame:
    """Columns layer, definition and value of a tuned model, most divergent layer first.

    Raises:
        dg.Failure: none was measured.
    """
    query = (
        select(LayerDivergence.layer, LayerDivergence.definition, LayerDivergence.value)
        .where(LayerDivergence.model == model, LayerDivergence.definition == definition, LayerDivergence.layer >= 0)
        .order_by(LayerDivergence.value.desc(), LayerDivergence.layer)
    )
    with relational.reading() as session:
        rows = list(map(tuple, session.execute(query)))
    if not rows:
        raise dg.Failure(f"layers of {model!r} were not compared; materialise language_models/layer_divergences first")
    return pl.DataFrame(rows, schema={"layer": pl.Int64, "definition": pl.String, "value": pl.Float64}, orient="row")


def sites_of(relational: RelationalStore, study: Study) -> list[str]:
    """MLP outputs of the layers that tuning moved most, the most moved first."""
    found = divergences(relational, study.key)["layer"].to_list()[: study.effort.layers]
    return [f"layers.{layer}.mlp" for layer in found]


def corpora_of(relational: RelationalStore, study: Study) -> dict[int, str]:
    """Corpus hash of each captured shard of a study's documents."""
    query = select(Corpus.shard, Corpus.corpus_hash).filter_by(**of_study(study))
    with relational.reading() as session:
        return {int(shard): str(digest) for shard, digest in session.execute(query)}


def shard_folders(
    relational: RelationalStore, study: Study, model: str, site: str, shards: Iterable[int]
) -> list[Path]:
    """Folders with the activations of a model at a site on some shards of a study's documents, in their order.

    Raises:
        dg.Failure: a shard was not captured, or only from other weights than the model has now.
    """
    corpora = corpora_of(relational, study)
    # By the weights, and not by the name: a model that was trained again has rows of before, and two names may share.
    weights = catalogued(relational, model).weights_hash
    found = []
    for shard in shards:
        query = (
            select(ActivationShard.path)
            .where(
                ActivationShard.model_hash == weights,
                ActivationShard.site == site,
                ActivationShard.corpus_hash == corpora.get(shard, ""),
            )
            .limit(1)
        )
        with relational.reading() as session:
            path = session.scalar(query)
        if path is None:
            raise dg.Failure(
                f"{site} of {model!r} was not captured on shard {shard}; materialise sparse_features/activations first"
            )
        found.append(Path(path).parent)
    return found


def dictionaries_of(
    relational: RelationalStore,
    study: Study,
    *,
    side: str | None = None,
    size: str | None = None,
    plan_only: bool = False,
) -> list[SparseAutoencoder]:
    """Dictionaries of a study, by name.

    Args:
        relational: the catalogue.
        study: the study.
        side: base, tuned or both; None for all.
        size: small or big; None for all.
        plan_only: only those of the paper's plan (its architecture, its first weights of each), without the extras.

    Raises:
        dg.Failure: there is none.
    """
    query = select(SparseAutoencoder).filter_by(**of_study(study))
    if side is not None:
        query = query.where(SparseAutoencoder.side == side)
    if size is not None:
        query = query.where(SparseAutoencoder.size == size)
    if plan_only:
        plan = study.effort.dictionaries
        own = [init_seed(study.seed, side) for side in (*SIDES, "both")]
        query = query.where(SparseAutoencoder.architecture == plan.architecture, SparseAutoencoder.init_seed.in_(own))
    with relational.reading() as session:
        found = list(session.scalars(query.order_by(SparseAutoencoder.dictionary)))
        session.expunge_all()
    if not found:
        raise dg.Failure(f"study {study.key!r} has no dictionaries; materialise sparse_features/dictionaries first")
    return found


def model_of(study: Study, side: str) -> str:
    """Name of the model that a side stands for."""
    return study.base.name if side == "base" else study.key


def content_of_files(paths: Iterable[str | Path]) -> str:
    """SHA-256 of what files say, one after the other."""
    whole = sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            whole.update(file_digest(file, "sha256").digest())
    return whole.hexdigest()


def study_documents(study: Study, shard: int) -> "list[Document]":
    """One shard of a study's documents, none of which a model of the ladder was trained on."""
    count = study.effort.documents // CORPUS_SHARDS
    return study.data.documents("capture", CORPUS_SHARDS * count)[shard * count :][:count]
