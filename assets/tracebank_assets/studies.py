"""Reward studies as partitions, a key for each study and seed; and what every asset of a study has in common."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, wraps
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import msgspec
import polars as pl

from tracebank.resources import Stores
from tracebank.settings import Settings, SettingsError
from tracebank_assets.artifacts import DeclaredTable, artifact
from tracebank_assets.devices import prepared_device
from tracebank_assets.materialised import CONFIG, Materialised, materialised
from tracebank_assets.staleness import OutOfDate, out_of_date
from tracebank_models.language_model.corpora import ReviewCorpus
from tracebank_models.reward_probe.study import Study, ladder_studies
from tracebank_models.reward_probe.study_file import read_studies

if TYPE_CHECKING:
    import torch
    from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView

STUDIES: Final = dg.DynamicPartitionsDefinition(name="studies")
"""A partition for each study and seed that somebody asked for: `small-ppo-seed0`."""
SETTINGS: Final = "settings"
"""Metadata: hash of the settings of the study that it was made with."""
READS: Final = "settings_read"
"""Metadata: names of those settings."""
GPU_POOL: Final = "gpu"
_KEY: Final = re.compile(r"(?P<name>.+)-seed(?P<seed>\d{1,9})")
_TUNINGS: Final = ("ppo", "dpo")
_OTHER_MACHINES: Final = ("docker", "k8s", "celery", "ray")
"""Executors whose steps end by no fault of their own when a machine goes."""


@cache
def studies() -> dict[str, Study]:
    """The ladder's studies and those of the file that `TRACEBANK_STUDIES` names, each with seed 0.

    Raises:
        SettingsError: the file is not right.
    """
    path = Settings.load().studies
    try:
        return ladder_studies() | (read_studies(path) if path else {})
    except ValueError as error:
        raise SettingsError(f"TRACEBANK_STUDIES: {error}") from None


def study_of(context: dg.AssetExecutionContext) -> Study:
    """The study that a run is about, with its seed.

    Raises:
        dg.Failure: the partition's key names no study.
    """
    key = context.partition_key
    if (study := study_named(key)) is None:
        raise dg.Failure(f"partition: {key!r} is not allowed: NAME-seedN, NAME one of {', '.join(studies())}")
    return study


def study_named(key: str) -> Study | None:
    """The study of a partition's key, with its seed; None where the key is of none."""
    found = _KEY.fullmatch(key)
    known = found and studies().get(found["name"])
    return replace(known, seed=int(found["seed"])) if found and known else None


@contextmanager
def made_of_study(
    context: dg.AssetExecutionContext, stores: Stores
) -> "Iterator[tuple[Materialised, Study, torch.device]]":
    """Materialise an asset of a run's study, computed on the device of the settings: see `materialised`.

    Raises:
        dg.Failure: see `study_of`.
        ValueError: there is no such device here.
    """
    study = study_of(context)
    device = prepared_device(stores.settings, study.effort.threads)
    with materialised(context, stores) as made:
        made.device = str(device)
        yield made, study, device


def sharing_base(context: dg.AssetExecutionContext, base: str) -> dict[str, dict[str, str]]:
    """Partitions of an asset whose studies have a base, each with the metadata that assets of studies have."""
    made = context.instance.get_materialized_partitions(context.asset_key)
    found = {key: study for key in sorted(made - {context.partition_key}) if (study := study_named(key))}
    reads = context.assets_def.metadata_by_key[context.asset_key][READS]
    return {key: {SETTINGS: settings_of(study, reads)} for key, study in found.items() if study.base.name == base}


def of_study(study: Study) -> dict[str, str | int]:
    """The partition of a table that rows of a study and its seed are."""
    return {"study": study.name, "seed": study.seed}


def with_study(frame: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Rows with the columns that tell of which study and seed they are."""
    return frame.with_columns(study=pl.lit(study.name), seed=pl.lit(study.seed, pl.Int64))


def settings_of(study: Study, reads: Iterable[str]) -> str:
    """Hash of some settings of a study, wherever they were written, and of the files they name: others, other rows.

    Args:
        study: the study, with its seed.
        reads: names of fields of the study, and of its effort.

    Raises:
        ValueError: a file is not right.
    """
    said = {name: _setting(study, name) for name in reads}
    return sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:16]


def made_with(instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str) -> tuple[Any, Any]:
    """Config and hash of the settings that what stands of a partition was made with."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset, asset_partitions=[partition]), limit=1
    ).records
    made = records[0].asset_materialization if records else None
    told = made.metadata if made else {}
    config, settings = told.get(CONFIG), told.get(SETTINGS)
    return (config.value if config else {}), (settings.value if settings else None)


class StudyOutOfDate(OutOfDate):
    """Also true where a study has another value by now of a setting that what stands was made by."""

    def among(self, view: "AssetGraphView", asset: dg.AssetKey, partitions: Iterable[str]) -> set[str]:
        """Those partitions of an asset that are out of date; none of a study that is not known any more."""
        known = {key: study for key in partitions if (study := study_named(key))}
        stale = out_of_date(view, asset, known)
        reads = view.asset_graph.get(asset).metadata[READS]
        fresh = ((key, study) for key, study in known.items() if key not in stale)
        return stale | {
            key for key, study in fresh if made_with(view.instance, asset, key)[1] != settings_of(study, reads)
        }


def _setting(study: Study, name: str) -> object:
    if name == "data":
        return study.data.content_hash()
    if name == "base":
        return replace(study.base, corpus=ReviewCorpus()), study.base.corpus.content_hash()
    if name in _TUNINGS and name != study.method:
        return None
    return getattr(study if name in Study.__dataclass_fields__ else study.effort, name)


def _tags() -> dict[str, Any]:
    """Ask Kubernetes and Ray for a GPU, unless `TRACEBANK_DEVICE` says that none is wanted; others ignore it."""
    if Settings.load().device in ("cpu", "mps"):
        return {}
    limits = {"container_config": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}
    return {"dagster-k8s/config": limits, "dagster-ray/config": {"num_gpus": 1}}


def on_gpu() -> dict[str, Any]:
    """Options of an asset that computes models: on the GPU where there is one, tried again where machines may go."""
    return {"pool": GPU_POOL, "op_tags": _tags(), "retry_policy": _retries()}


def _retries() -> dg.RetryPolicy | None:
    """Two more tries on machines that may go away; here a step that failed fails again."""
    if Settings.load().executor not in _OTHER_MACHINES:
        return None
    return dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def study_artifact(
    group: str, *tables: DeclaredTable, reads: Sequence[str], **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@artifact` of what is made of models: a partition for each study and seed, on the GPU where there is one.

    Args:
        group: see `artifact`.
        tables: see `artifact`.
        reads: settings that it is made by, beside those that its deps are made by: where another value is asked for,
            it is made again; see `settings_of`.
        options: see `artifact`; they win over what assets of studies have in common.
    """
    common: dict[str, Any] = {
        "partitions_def": STUDIES,
        "kinds": {"torch"},
        **on_gpu(),
        "automation_condition": StudyOutOfDate.condition(),
    }

    def decorate(function: Callable[..., dg.MaterializeResult]) -> dg.AssetsDefinition:
        @wraps(function)
        def made(context: dg.AssetExecutionContext, **rest: Any) -> dg.MaterializeResult:
            settings = settings_of(study_of(context), reads)  # before it reads: files may be written meanwhile
            result = function(context, **rest)
            return result._replace(metadata={**(result.metadata or {}), SETTINGS: settings})

        return artifact(group, *tables, metadata={READS: list(reads)}, **common | options)(made)

    return decorate
