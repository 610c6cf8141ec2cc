"""What the stores know of a study, for the assets that build on it: sites, shards and dictionaries."""

from collections.abc import Iterable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from sqlalchemy import select

from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.catalogue import catalogued
from tracebank_assets.studies import of_study
from tracebank_models.reward_probe.study import SIDES, Study
from tracebank_models.sparse_autoencoder.plan import init_seed
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.language_model import Corpus, LayerDivergence
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    import torch

    from tracebank_models.sparse_autoencoder.architectures import Dictionary

_SELECTED_BY = "weight_l2_sum"
"""Definition of divergence that chooses the layers (2310.08164)."""


def sites_of(relational: RelationalStore, study: Study) -> list[str]:
    """MLP outputs of the layers that tuning moved most, the most moved first.

    Raises:
        dg.Failure: layers were not compared.
    """
    query = (
        select(LayerDivergence.layer)
        .where(LayerDivergence.model == study.key, LayerDivergence.definition == _SELECTED_BY)
        .where(LayerDivergence.layer >= 0)
        .order_by(LayerDivergence.value.desc(), LayerDivergence.layer)
        .limit(study.effort.layers)
    )
    with relational.reading() as session:
        found = [f"layers.{layer}.mlp" for layer in session.scalars(query)]
    if not found:
        raise dg.Failure(
            f"layers of {study.key!r} were not compared; materialise language_models/layer_divergences first"
        )
    return found


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
    # By the weights, and not by the name: a model that was trained again has rows of before, and two names may share.
    weights = catalogued(relational, model).weights_hash
    query = (
        select(Corpus.shard, ActivationShard.path)
        .join(ActivationShard, ActivationShard.corpus_hash == Corpus.corpus_hash)
        .where(ActivationShard.model_hash == weights, ActivationShard.site == site)
        .filter_by(**of_study(study))
    )
    with relational.reading() as session:
        paths = {shard: Path(path) for shard, path in session.execute(query)}
    for shard in shards:
        if shard not in paths:
            raise dg.Failure(
                f"{site} of {model!r} was not captured on shard {shard}; materialise sparse_features/activations first"
            )
    return [paths[shard].parent for shard in shards]


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


def loaded(rows: Iterable[SparseAutoencoder], device: "torch.device") -> "dict[str, Dictionary]":
    """Dictionaries by name.

    Raises:
        dg.Failure: a file is gone.
    """
    from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary

    try:
        return {row.dictionary: load_dictionary(Path(row.path)).to(device) for row in rows}
    except FileNotFoundError as error:
        raise dg.Failure(f"{error}; materialise sparse_features/dictionaries again") from None


def small_dictionaries(
    relational: RelationalStore, study: Study, side: str, device: "torch.device"
) -> "tuple[dict[str, Dictionary], dict[str, str]]":
    """The small dictionaries of the paper's plan, which probes read, and their full names: by site, layer by layer.

    Raises:
        dg.Failure: there is none, or a file is gone.
    """
    rows = dictionaries_of(relational, study, side=side, size="small", plan_only=True)
    rows.sort(key=lambda row: (row.layer is None, row.layer or 0, row.site))
    found = loaded(rows, device)
    return {row.site: found[row.dictionary] for row in rows}, {row.site: row.dictionary for row in rows}


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
