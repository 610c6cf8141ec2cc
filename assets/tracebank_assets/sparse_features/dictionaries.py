"""Asset `sparse_features/dictionaries`: sparse autoencoders of a study, trained from one stream, and their merits."""

import dataclasses
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import advancing, track
from tracebank.resources import Stores
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued
from tracebank_assets.language_models.curves import long_curve
from tracebank_assets.language_models.keys import BASE, DIVERGENCES, TUNED
from tracebank_assets.materialised import Figure, Materialised
from tracebank_assets.sparse_features import dictionary_checks as checks
from tracebank_assets.sparse_features.keys import ACTIVATIONS, GROUP
from tracebank_assets.sparse_features.study_data import content_of_files, model_of, shard_folders, sites_of
from tracebank_assets.studies import made_of_study, of_study, study_artifact
from tracebank_models.reward_probe.study import HELD_OUT, SIDES, Study
from tracebank_models.sparse_autoencoder.plan import DictionaryPlan, demonstration
from tracebank_schemas.language_model import TRAINING_CURVES
from tracebank_schemas.sparse_autoencoder import DictionaryMetric, DictionarySimilarity, SparseAutoencoder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from tracebank_models.features.dictionary_study import DictionaryInputs, DictionaryStudy, Texts
    from tracebank_models.features.paired_stream import PairedShards
    from tracebank_models.sparse_autoencoder.architectures import Dictionary


class DictionariesConfig(dg.Config):
    """How dictionaries are trained; empty fields take the study's plan."""

    l1: float | None = Field(default=None, description="Weight of the mean L1 norm.")
    learning_rate: float | None = Field(default=None, description="Adam's, after its warm-up.")
    epochs: int | None = Field(default=None, description="Passes over the activations.")
    batch_tokens: int | None = Field(default=None, description="Tokens of a batch.")
    extras: bool = Field(default=True, description="Also larger sizes and other architectures at one site.")
    demonstration: bool = Field(default=False, description="One pass, no larger sizes: checks only warn.")


@study_artifact(
    GROUP,
    SparseAutoencoder,
    DictionaryMetric,
    DictionarySimilarity,
    TRAINING_CURVES,
    checks=checks.DICTIONARY_CHECKS,
    reads=("data", "seed", "documents", "max_tokens", "layers", "dictionaries", "loss_documents"),
    blocking=checks.BLOCKING,
    deps=[BASE, TUNED, DIVERGENCES, ACTIVATIONS],
)
def dictionaries(context: dg.AssetExecutionContext, config: DictionariesConfig, stores: Stores) -> dg.MaterializeResult:
    """Sparse autoencoders of both models' most divergent layers, in several sizes and from several first weights.

    All read one stream of activations, once a pass. A killed training goes on from its last checkpoint. Unless
    dictionaries of one model agree beyond chance, nothing is made of them in the same run.
    """
    from tracebank_models.features.dictionary_study import study_of_dictionaries

    with made_of_study(context, stores) as (made, study, device):
        plan = _plan(study, config)
        weights = {side: catalogued(stores.relational, model_of(study, side)).weights_hash for side in SIDES}
        given = _inputs(stores, study, device)
        folder = stores.settings.home / "sparse_autoencoders" / study.key
        with track("training dictionaries", given.stream.batches(plan.batch_tokens, plan.epochs)) as advance:
            found = study_of_dictionaries(given, plan, folder, study.seed, progress=advancing(advance))
        _write(made, study, found, weights)
    return made.result(_figures(plan, found), checks.dictionary_checks(plan, found.metrics, found.similarities))


def _plan(study: Study, config: DictionariesConfig) -> DictionaryPlan:
    plan = study.effort.dictionaries
    if config.demonstration:
        plan = demonstration(plan)
    if not config.extras:
        plan = dataclasses.replace(plan, extra_architectures=(), larger_sizes=())
    names = ("l1", "learning_rate", "epochs", "batch_tokens")
    asked = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    return dataclasses.replace(plan, **asked)


def _inputs(stores: Stores, study: Study, device: "torch.device") -> "DictionaryInputs":
    from tracebank_models.features.dictionary_study import DictionaryInputs

    sites = sites_of(stores.relational, study)
    folders = [
        folder.name  # a hash of model, site, corpus and dtype
        for site in sites
        for side in SIDES
        for folder in shard_folders(stores.relational, study, model_of(study, side), site, range(HELD_OUT))
    ]
    texts = [document.text for document in study.captured_documents(HELD_OUT)[: study.effort.loss_documents]]
    return DictionaryInputs(
        stream=_paired(stores, study, sites, range(HELD_OUT)),
        held_out=_paired(stores, study, sites, range(HELD_OUT, HELD_OUT + 1)),
        sites=sites,
        content=hashlib.sha256("\n".join(folders).encode()).hexdigest(),
        reader=lambda side: _reader(stores, study, side, texts, device),
        device=device,
    )


def _reader(
    stores: Stores, study: Study, side: str, texts: list[str], device: "torch.device"
) -> "tuple[PreTrainedModel, Texts]":
    from tracebank_models.language_model.token_blocks import padded_texts

    loaded = load_catalogued(stores.relational, model_of(study, side), device)
    return loaded.model, padded_texts(loaded.tokenizer, texts, study.effort.max_tokens)


def _paired(stores: Stores, study: Study, sites: list[str], shards: range) -> "PairedShards":
    """Activations of both models at sites on some shards of the study's documents, named `side/site`."""
    from tracebank_models.features.paired_stream import PairedShards

    return PairedShards(
        {
            f"{side}/{site}": shard_folders(stores.relational, study, model_of(study, side), site, shards)
            for side in SIDES
            for site in sites
        }
    )


def _write(made: Materialised, study: Study, found: "DictionaryStudy", weights: dict[str, str]) -> None:
    rows = [_row(study, found, one, weights) for one in found.dictionaries.values()]
    made.into(SparseAutoencoder, of_study(study)).write(rows)
    metrics = _named(study, found.metrics.rename({"seed": "init_seed"})).with_columns(pl.col("value").fill_nan(None))
    for model, frame in ((DictionaryMetric, metrics), (DictionarySimilarity, _named(study, found.similarities))):
        mine = model.metadata.tables[model.__tablename__].columns["dictionary"]
        made.into(model, mine.startswith(f"{study.key}/", autoescape=True)).write(frame)
    curve = long_curve(_named(study, found.trained.curve), run=f"{study.key}/dictionaries", method="sparse_autoencoder")
    made.into(TRAINING_CURVES, {"run": f"{study.key}/dictionaries"}).write(curve)


def _named(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """The same with full names of dictionaries."""
    return frame.with_columns(
        pl.lit(f"{study.key}/").add(pl.col(name)).alias(name) for name in ("dictionary", "other") if name in frame
    )


def _row(study: Study, found: "DictionaryStudy", dictionary: "Dictionary", hashes: dict[str, str]) -> dict[str, object]:
    from tracebank_models.sparse_autoencoder.checkpoint import WEIGHTS
    from tracebank_models.sparse_autoencoder.comparisons import trained_as

    config = dictionary.config
    one = trained_as(config)
    parts = one.site.split(".")
    reads = "base" if one.side == "base" else "tuned"
    return {
        "dictionary": f"{study.key}/{config.name}",
        **of_study(study),
        "side": one.side,
        "model": model_of(study, reads),
        "model_hash": hashes[reads],
        "site": one.site,
        "layer": int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None,
        "size": one.size,
        "architecture": config.architecture,
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "init_seed": config.seed,
        "tokens": found.trained.tokens,
        "steps": found.trained.steps,
        "config": config.as_dict(),
        "weights_hash": content_of_files([found.trained.folder / config.name / WEIGHTS]),
        "path": str(found.trained.folder / config.name),
        "trained_at": datetime.now(UTC),
    }


def _figures(plan: DictionaryPlan, found: "DictionaryStudy") -> dict[str, Figure]:
    """Means over the dictionaries of the plan's architecture, to be plotted over materialisations."""
    of_plan = found.metrics.filter(pl.col("dictionary").str.contains(f"-{plan.architecture}-"))
    means = of_plan.group_by("metric").agg(pl.col("value").mean()).sort("metric")
    wanted = ("fvu", "l0", "dead_share", "kl_recovered")
    figures: dict[str, Figure] = {
        name: round(value, 4) for name, value in means.iter_rows() if name in wanted and value is not None
    }
    alike = found.similarities.group_by("comparison").agg(pl.col("mmcs", "difference").mean()).sort("comparison")
    return figures | {
        "mean_mmcs": {kind: round(value, 4) for kind, value, _ in alike.iter_rows()},
        "mean_mmcs_less_chance": {kind: round(value, 4) for kind, _, value in alike.iter_rows()},
        "steps": found.trained.steps,
        "tokens": found.trained.tokens,
        "estimated_training_cpu_seconds": round(found.trained.seconds, 1),
    }
