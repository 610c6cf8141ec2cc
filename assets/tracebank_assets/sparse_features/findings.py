"""What studies found, for commands: figures of each seed, and their mean and spread over the seeds."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute

from tracebank.cli.grid import NUMBER, Grid
from tracebank.stores.relational import RelationalStore
from tracebank_models.reward_probe.agreement import PRIMARY
from tracebank_models.reward_probe.study import Study
from tracebank_schemas.reward_probe import Ablation, Probe, ProbeDifference, ProbeMetric
from tracebank_schemas.sparse_autoencoder import DictionaryMetric, SparseAutoencoder

_MERITS = {
    "fvu": "FVU, variance unexplained",
    "l0": "L0, features that fire a token",
    "kl_recovered": "KL recovered",
}

_HELD = {"features": "features at zero", "features_error_kept": "features at zero, error kept"}
"""Conditions of the ablation: in the dictionaries' reconstruction, and in the model's own outputs."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of a study, over its seeds."""

    what: str
    mean: float
    spread: float | None
    """Standard deviation over the seeds; None of one seed."""
    seeds: int
    is_difference: bool = False


def seeds_of(relational: RelationalStore) -> dict[str, list[int]]:
    """The seeds of each study that dictionaries were trained for."""
    query = select(SparseAutoencoder.study, SparseAutoencoder.seed).distinct()
    found: dict[str, list[int]] = defaultdict(list)
    with relational.reading() as session:
        for study, seed in sorted(row._tuple() for row in session.execute(query)):
            found[study].append(seed)
    return dict(found)


def study_rows(studies: Sequence[Study], seeds: Mapping[str, list[int]]) -> list[dict[str, str | int | list[int]]]:
    """Every study, with its base model, how that is tuned, and the seeds that were run."""
    return [
        {
            "study": study.name,
            "base_model": study.base.name,
            "tuned_by": study.tuned.name if study.tuned else study.method.upper(),
            "documents": study.effort.documents,
            "seeds": seeds.get(study.name, []),
        }
        for study in studies
    ]


def studies_table(studies: Sequence[Study], seeds: Mapping[str, list[int]]) -> Grid:
    """The same for a terminal."""
    grid = Grid("study", "base model", "tuned by", ("documents", NUMBER), "seeds", title="Reward studies")
    for row, study in zip(study_rows(studies, seeds), studies, strict=True):
        run = ", ".join(map(str, seeds.get(study.name, [])))
        grid.add_row(str(row["study"]), str(row["base_model"]), str(row["tuned_by"]), f"{row['documents']:,}", run)
    return grid


def findings(relational: RelationalStore, study: str) -> list[Finding]:
    """What a study found: dictionaries, the trained probe beside its controls, and the ablation beside its own."""
    return [
        *_over_seeds(_dictionaries(relational, study)),
        *_over_seeds(_probes(relational, study)),
        *_over_seeds(_ablations(relational, study, "rank p among random draws", Ablation.rank_p)),
        *_over_seeds(_taught(relational, study), is_difference=True),
        *_over_seeds(_ablations(relational, study, "valence of the next token", Ablation.effect), is_difference=True),
    ]


def study_table(study: str, found: Sequence[Finding]) -> Grid:
    """The same for a terminal."""
    title = f"Reward study {study}: what tuning taught, read through sparse autoencoders"
    grid = Grid("what", ("mean", NUMBER), ("± over seeds", NUMBER), ("n", NUMBER), title=title)
    for is_difference, entries in itertools.groupby(found, lambda entry: entry.is_difference):
        for one in entries:
            mean = f"{one.mean:+.3f}" if is_difference else f"{one.mean:.3f}"
            grid.add_row(one.what, mean, "" if one.spread is None else f"{one.spread:.3f}", str(one.seeds))
        grid.add_section()
    return grid


_Figure = tuple[str, int, float | None]
"""What, seed and value."""


def _over_seeds(figures: Iterable[_Figure], *, is_difference: bool = False) -> list[Finding]:
    """One value a seed: the median of several; then mean and spread of the seeds."""
    by_seed: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for what, seed, value in figures:
        if value is not None and math.isfinite(value):
            by_seed[what][seed].append(value)
    found = []
    for what, seeds in by_seed.items():
        values = [median(of_seed) for of_seed in seeds.values()]
        found.append(
            Finding(what, fmean(values), stdev(values) if len(values) > 1 else None, len(values), is_difference)
        )
    return found


def _dictionaries(relational: RelationalStore, study: str) -> list[_Figure]:
    """Of the small ones, which probes read, of every layer of both models."""
    query = (
        select(DictionaryMetric.metric, SparseAutoencoder.seed, DictionaryMetric.value)
        .join(SparseAutoencoder, SparseAutoencoder.dictionary == DictionaryMetric.dictionary)
        .where(
            SparseAutoencoder.study == study,
            SparseAutoencoder.architecture == "tied_relu",
            SparseAutoencoder.size == "small",
            DictionaryMetric.metric.in_(_MERITS),
        )
    )
    with relational.reading() as session:
        rows = [row._tuple() for row in session.execute(query)]
    rows.sort(key=lambda row: list(_MERITS).index(row[0]))
    return [(f"dictionaries: {_MERITS[metric]}, median", seed, value) for metric, seed, value in rows]


def _probes(relational: RelationalStore, study: str) -> list[_Figure]:
    """What each model knows of held-out words beyond their sign."""
    figures = _known(ProbeMetric).where(Probe.study == study)
    with relational.reading() as session:
        rows = [row._tuple() for row in session.execute(figures)]
    return [
        (f"tau within a sign, new words, {reads.replace('_', ' ')}, {_side(study, seed, model)}", seed, value)
        for reads, model, seed, value in rows
    ]


def _taught(relational: RelationalStore, study: str) -> list[_Figure]:
    """What the tuned model knows more than its base."""
    differences = _known(ProbeDifference).where(Probe.study == study)
    with relational.reading() as session:
        rows = [row._tuple() for row in session.execute(differences)]
    return [(f"the same, tuned less base, {reads.replace('_', ' ')}", seed, value) for reads, _, seed, value in rows]


def _known(table: type[ProbeMetric] | type[ProbeDifference]) -> Select[str, str, int, float | None]:
    """The figure that was named to count, of the ridge probes on words."""
    query = select(Probe.representation, Probe.model, Probe.seed, table.value).join(table, table.probe == Probe.probe)
    query = query.where(Probe.task == "reward", Probe.kind == "ridge", table.metric == PRIMARY)
    return query.order_by(Probe.representation.desc(), Probe.model, Probe.seed)


def _side(study: str, seed: int, model: str) -> str:
    return "tuned" if model == f"{study}-seed{seed}" else "base"


def _ablations(
    relational: RelationalStore, study: str, told: str, column: InstrumentedAttribute[float | None]
) -> list[_Figure]:
    """Of the chosen features."""
    query = (
        select(Ablation.condition, Ablation.seed, column)
        .where(Ablation.study == study, Ablation.rank_p.is_not(None))
        .order_by(Ablation.condition, Ablation.seed)
    )
    with relational.reading() as session:
        rows = [row._tuple() for row in session.execute(query)]
    return [(f"{_HELD[condition]}: {told}", seed, value) for condition, seed, value in rows]
