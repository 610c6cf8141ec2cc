"""A whole reward study in one go, for commands: train, tune, capture, dictionaries, and what they tell."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl
from rich.console import Console
from sqlalchemy import func, select

from tracebank.cli.grid import NUMBER, Grid
from tracebank.progress import track
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.automation import BASE_JOB, TUNE_JOB
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.sparse_features.automation import CAPTURE_JOB, DICTIONARIES_JOB, READ_JOB
from tracebank_assets.sparse_features.keys import DICTIONARIES, FEATURES
from tracebank_models.reward_probe.agreement import PRIMARY
from tracebank_models.reward_probe.study import CORPUS_SHARDS, Study
from tracebank_schemas.reward_probe import Ablation, Probe, ProbeDifference, ProbeMetric
from tracebank_schemas.sparse_autoencoder import DictionaryMetric, SparseAutoencoder

DEMO: Mapping[str, Mapping[str, int]] = {
    BASE.to_python_identifier(): {"steps": 80},
    TUNED.to_python_identifier(): {"steps": 16, "checkpoint_every": 8},
    DICTIONARIES.to_python_identifier(): {"epochs": 1},
    FEATURES.to_python_identifier(): {"stored_tokens": 1_024},
}
"""Config of the demo's study: less of everything than the study's own settings, enough to see each part work."""


def run_study(
    study: Study,
    settings: Settings,
    instance: dg.DagsterInstance,
    console: Console,
    config: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Materialise every asset of both groups for a study, and show what came of it.

    Args:
        study: the study.
        settings: where the stores are.
        instance: where runs are recorded.
        console: where the findings are shown.
        config: by asset, see their config classes.

    Raises:
        RunFailed: a step failed; what was made before it stands, and the same call goes on there.
    """
    from tracebank_assets.runs import run_job  # it needs the code location, which finds this module

    shards = [dg.MultiPartitionKey({"study": study.name, "shard": str(shard)}) for shard in range(CORPUS_SHARDS)]
    runs: list[tuple[dg.UnresolvedAssetJobDefinition, str, dg.AssetKey | None]] = [
        (BASE_JOB, study.base.name, BASE),
        (TUNE_JOB, study.name, TUNED),
        *((CAPTURE_JOB, shard, None) for shard in shards),
        (DICTIONARIES_JOB, study.name, DICTIONARIES),
        (READ_JOB, study.name, FEATURES),
    ]
    with track(f"reward study {study.name}", len(runs)) as advance:
        for job, partition, asked in runs:
            name = asked.to_python_identifier() if asked else ""
            ops = {name: dict(config[name])} if config and name in config else None
            run_job(str(job.name), instance, partition_key=partition, ops=ops)
            advance(1)
    store = open_relational(settings)
    try:
        console.print(study_table(study.name, findings(store, study.name)))
    finally:
        store.close()


def study_rows(studies: Sequence[Study]) -> list[dict[str, str | int]]:
    """Every study, with its base model and how that is tuned."""
    return [
        {
            "study": study.name,
            "base_model": study.base.source,
            "tuned_by": study.tuned.source if study.tuned else study.method.upper(),
            "documents": study.effort.documents,
        }
        for study in studies
    ]


def studies_table(studies: Sequence[Study]) -> Grid:
    """The same for a terminal."""
    grid = Grid("study", "base model", "tuned by", ("documents", NUMBER), title="Reward studies")
    for row in study_rows(studies):
        grid.add_row(str(row["study"]), str(row["base_model"]), str(row["tuned_by"]), f"{row['documents']:,}")
    return grid


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of a study."""

    what: str
    value: float
    p_value: float | None = None
    is_difference: bool = False


def findings(relational: RelationalStore, study: str) -> list[Finding]:
    """What a study found: dictionaries, the trained probe beside its controls, and the ablation beside its own."""
    return [
        *_dictionaries(relational, study),
        *_probes(relational, study),
        *_ablations(relational, study),
    ]


def study_table(study: str, found: Sequence[Finding]) -> Grid:
    """The same for a terminal."""
    title = f"Reward study {study}: what tuning taught, read through sparse autoencoders"
    grid = Grid("what", ("value", NUMBER), ("p", NUMBER), title=title)
    for is_difference, entries in itertools.groupby(found, lambda entry: entry.is_difference):
        for one in entries:
            value = f"{one.value:+.3f}" if is_difference else f"{one.value:.3f}"
            grid.add_row(one.what, value, "" if one.p_value is None else f"{one.p_value:.2g}")
        grid.add_section()
    return grid


def _dictionaries(relational: RelationalStore, study: str) -> list[Finding]:
    """Medians over the two sizes of every layer of both models."""
    names = {
        "fvu": "FVU, variance unexplained",
        "l0": "L0, features that fire a token",
        "kl_recovered": "KL recovered",
    }
    query = (
        select(DictionaryMetric.metric, DictionaryMetric.value)
        .join(SparseAutoencoder, SparseAutoencoder.dictionary == DictionaryMetric.dictionary)
        .where(
            SparseAutoencoder.study == study,
            SparseAutoencoder.architecture == "tied_relu",
            DictionaryMetric.metric.in_(names),
        )
    )
    with relational.reading() as session:
        rows = list(map(tuple, session.execute(query)))
    found = pl.DataFrame(rows, schema={"metric": pl.String, "value": pl.Float64}, orient="row")
    medians = dict(found.group_by("metric").agg(pl.col("value").median()).iter_rows())
    return [
        Finding(f"dictionaries: {label}, median", medians[name]) for name, label in names.items() if name in medians
    ]


def _probes(relational: RelationalStore, study: str) -> list[Finding]:
    """What each model knows of held-out words beyond their sign, and what the tuned one knows more."""
    of_study = (Probe.study == study, Probe.task == "reward", Probe.kind == "ridge")
    columns = Probe.representation, Probe.model, ProbeMetric.value, ProbeMetric.p_value
    figures = select(*columns).join(ProbeMetric, ProbeMetric.probe == Probe.probe)
    figures = figures.where(*of_study, ProbeMetric.metric == PRIMARY).order_by(columns[0].desc(), columns[1])
    row = ProbeDifference
    more = select(Probe.representation, row.value, row.low, row.high, row.p_value)
    more = more.join(row, row.probe == Probe.probe).where(*of_study, row.metric == PRIMARY)
    with relational.reading() as session:
        known = [line._tuple() for line in session.execute(figures)]
        taught = [line._tuple() for line in session.execute(more.order_by(Probe.representation.desc()))]
    return [
        *(
            Finding(f"tau within a sign, new words, {reads.replace('_', ' ')} of {model}", value, p_value)
            for reads, model, value, p_value in known
            if value is not None
        ),
        *(
            Finding(f"tuned less base, {reads.replace('_', ' ')} ({low:+.3f} to {high:+.3f})", value, p_value, True)
            for reads, value, low, high, p_value in taught
            if value is not None and low is not None
        ),
    ]


def _ablations(relational: RelationalStore, study: str) -> list[Finding]:
    query = (
        select(Ablation.condition, func.avg(Ablation.difference), func.max(Ablation.features))
        .where(Ablation.study == study, Ablation.condition != "none")
        .group_by(Ablation.condition)
        .order_by(Ablation.condition)
    )
    with relational.reading() as session:
        rows = [tuple(row) for row in session.execute(query)]
    return [
        Finding(
            f"reward less the untouched model's: {condition.replace('_', ' ')} ({features} at zero)",
            value,
            is_difference=True,
        )
        for condition, value, features in rows
    ]
