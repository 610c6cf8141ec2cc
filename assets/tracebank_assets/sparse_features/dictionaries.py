"""Asset `sparse_features/dictionaries`: sparse autoencoders of a study, trained from one stream, and their merits."""

import dataclasses
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued
from tracebank_assets.language_models.curves import long_curve
from tracebank_assets.language_models.keys import BASE, DIVERGENCES, TUNED
from tracebank_assets.materialised import Figure, Materialised, materialised
from tracebank_assets.sparse_features import checks
from tracebank_assets.sparse_features.keys import ACTIVATIONS, GROUP
from tracebank_assets.sparse_features.study_data import (
    content_of_files,
    model_of,
    shard_folders,
    sites_of,
    study_documents,
)
from tracebank_assets.studies import of_study, study_artifact, study_of
from tracebank_models.reward_probe.study import HELD_OUT, SIDES, DictionaryPlan, Study, study_dictionaries
from tracebank_schemas.language_model import TRAINING_CURVES
from tracebank_schemas.sparse_autoencoder import DictionaryMetric, SparseAutoencoder

if TYPE_CHECKING:
    import torch

    from tracebank_models.features.paired_stream import PairedShards
    from tracebank_models.reward_probe.dictionary_study import TrainedDictionaries
    from tracebank_models.sparse_autoencoder.architectures import Dictionary


class DictionariesConfig(dg.Config):
    """How dictionaries are trained; empty fields take the study's plan."""

    l1: float | None = Field(default=None, description="Weight of the mean L1 norm.")
    epochs: int | None = Field(default=None, description="Passes over the activations.")
    batch_tokens: int | None = Field(default=None, description="Tokens of a batch.")
    extras: bool = Field(default=True, description="Also other architectures and seeds at the most divergent site.")


@study_artifact(
    GROUP,
    SparseAutoencoder,
    DictionaryMetric,
    TRAINING_CURVES,
    checks=checks.DICTIONARY_CHECKS,
    deps=[BASE, TUNED, DIVERGENCES, ACTIVATIONS],
)
def dictionaries(context: dg.AssetExecutionContext, config: DictionariesConfig, stores: Stores) -> dg.MaterializeResult:
    """Sparse autoencoders: two sizes for each of both models' most divergent layers, and others to compare them with.

    All read one stream of activations, once a pass. A killed training goes on from its last checkpoint.
    """
    study = study_of(context)
    device = prepared_device(stores.settings, study.effort.threads)
    plan = _plan(study, config)
    with materialised(context, stores) as made:
        made.device = str(device)
        made.inputs |= {side: catalogued(stores.relational, model_of(study, side)).weights_hash for side in SIDES}
        sites = sites_of(stores.relational, study)
        stream = paired_shards(stores, study, sites, range(HELD_OUT))
        trained = _train(stores, study, plan, sites, stream, device)
        found = trained.load()
        metrics = _measured(stores, study, found, sites, device)
        made.into(TRAINING_CURVES, {"run": f"{study.key}/dictionaries"}).write(_curve(study, trained))
        _write(made, study, [_row(study, trained, one, made.inputs) for one in found.values()], metrics)
    return made.result(_figures(plan, trained, metrics), checks.dictionary_checks(metrics))


def _plan(study: Study, config: DictionariesConfig) -> DictionaryPlan:
    asked = {"l1": config.l1, "epochs": config.epochs, "batch_tokens": config.batch_tokens}
    changed: dict[str, float | tuple[str, ...]] = {name: value for name, value in asked.items() if value is not None}
    if not config.extras:
        changed |= {"extra_architectures": (), "extra_seeds": ()}
    return dataclasses.replace(study.effort.dictionaries, **changed)  # type: ignore[arg-type]


def paired_shards(stores: Stores, study: Study, sites: list[str], shards: range) -> "PairedShards":
    """Activations of both models at sites on some shards of the study's documents, named `side/site`."""
    from tracebank_models.features.paired_stream import PairedShards

    return PairedShards(
        {
            f"{side}/{site}": shard_folders(stores.relational, study, model_of(study, side), site, shards)
            for side in SIDES
            for site in sites
        }
    )


def _train(
    stores: Stores, study: Study, plan: DictionaryPlan, sites: list[str], stream: "PairedShards", device: "torch.device"
) -> "TrainedDictionaries":
    from tracebank_models.reward_probe.dictionary_study import train_dictionaries

    widths = {site: stream.widths[f"tuned/{site}"] for site in sites}
    configs = study_dictionaries(widths, sites[0], plan, study.seed)
    inputs = [str(folder) for site in sites for folder in _folders(stores, study, site)]
    done = 0
    with track(f"training {len(configs)} dictionaries", stream.batches(plan.batch_tokens, plan.epochs)) as advance:

        def tell(batches: int, _all: int) -> None:
            nonlocal done
            advance(batches - done)
            done = batches

        return train_dictionaries(
            stream,
            configs,
            plan,
            stores.settings.home / "sparse_autoencoders" / study.key,
            inputs=hashlib.sha256("\n".join(inputs).encode()).hexdigest(),
            device=str(device),
            progress=tell,
        )


def _folders(stores: Stores, study: Study, site: str) -> list[str]:
    """Names of the folders behind a site: they are hashes of model, site, corpus and dtype."""
    return [
        folder.name
        for side in SIDES
        for folder in shard_folders(stores.relational, study, model_of(study, side), site, range(HELD_OUT))
    ]


def _measured(
    stores: Stores, study: Study, found: "dict[str, Dictionary]", sites: list[str], device: "torch.device"
) -> pl.DataFrame:
    from tracebank_models.language_model.token_blocks import padded_texts
    from tracebank_models.reward_probe.dictionary_study import loss_recovered_of, reconstruction_metrics_of

    frames = [reconstruction_metrics_of(found, paired_shards(stores, study, sites, range(HELD_OUT, HELD_OUT + 1)))]
    texts = [document.text for document in study_documents(study, HELD_OUT)[: study.effort.loss_documents]]
    for side in SIDES:
        loaded = load_catalogued(stores.relational, model_of(study, side), device)
        batches = [
            padded_texts(loaded.tokenizer, texts[at : at + 16], study.effort.max_tokens)
            for at in range(0, len(texts), 16)
        ]
        of_side = {name: one for name, one in found.items() if one.config.sites[0].startswith(f"{side}/")}
        with track(f"measuring losses of {loaded.facts.model}", None):
            frames.append(loss_recovered_of(loaded.model, of_side, batches))
    metrics = pl.concat(frames).rename({"seed": "init_seed"})
    return metrics.with_columns(pl.lit(f"{study.key}/").add(pl.col("dictionary")).alias("dictionary"))


def _curve(study: Study, trained: "TrainedDictionaries") -> pl.DataFrame:
    named = trained.curve.with_columns(pl.lit(f"{study.key}/").add(pl.col("dictionary")).alias("dictionary"))
    return long_curve(named, run=f"{study.key}/dictionaries", method="sparse_autoencoder")


def _write(made: Materialised, study: Study, rows: list[dict[str, object]], metrics: pl.DataFrame) -> None:
    made.into(SparseAutoencoder, of_study(study)).write(rows)
    mine = DictionaryMetric.dictionary.startswith(f"{study.key}/", autoescape=True)
    made.into(DictionaryMetric, mine).write(metrics.with_columns(pl.col("value").fill_nan(None)))


def _row(
    study: Study, trained: "TrainedDictionaries", dictionary: "Dictionary", hashes: dict[str, str]
) -> dict[str, object]:
    from tracebank_models.sparse_autoencoder.checkpoint import WEIGHTS

    config = dictionary.config
    side, _, site = config.sites[-1].partition("/")
    parts = site.split(".")
    size = config.d_sae // config.d_in
    return {
        "dictionary": f"{study.key}/{config.name}",
        **of_study(study),
        "side": side if len(config.sites) == 1 else "both",
        "model": model_of(study, side),
        "model_hash": hashes[side],
        "site": site,
        "layer": int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None,
        "size": {1: "small", 2: "big"}.get(size, f"{size}x"),
        "architecture": config.architecture,
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "init_seed": config.seed,
        "tokens": trained.tokens,
        "steps": trained.steps,
        "config": config.as_dict(),
        "weights_hash": content_of_files([trained.folder / config.name / WEIGHTS]),
        "path": str(trained.folder / config.name),
        "trained_at": datetime.now(UTC),
    }


def _figures(plan: DictionaryPlan, trained: "TrainedDictionaries", metrics: pl.DataFrame) -> dict[str, Figure]:
    """Means over the dictionaries of the plan's architecture, to be plotted over materialisations."""
    of_plan = metrics.filter(pl.col("dictionary").str.contains(f"-{plan.architecture}-0"))
    means = of_plan.group_by("metric").agg(pl.col("value").mean()).sort("metric")
    wanted = ("fvu", "l0", "dead_share", "kl_recovered")
    figures: dict[str, Figure] = {
        name: round(value, 4) for name, value in means.iter_rows() if name in wanted and value is not None
    }
    return figures | {
        "steps": trained.steps,
        "tokens": trained.tokens,
        "estimated_training_cpu_seconds": round(trained.seconds, 1),
    }
