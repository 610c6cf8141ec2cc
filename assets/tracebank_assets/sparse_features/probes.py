"""Asset `probes`: how much the tuned model knows of the reward, and how much of that its base knew before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import select

from tracebank.progress import advancing, track
from tracebank.resources import Stores
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.materialised import Figure, Materialised
from tracebank_assets.sparse_features.keys import DICTIONARIES, GROUP
from tracebank_assets.sparse_features.probe_checks import PROBE_CHECKS, knows_more
from tracebank_assets.sparse_features.study_data import model_of, small_dictionaries
from tracebank_assets.studies import made_of_study, study_artifact
from tracebank_models.reward_probe.study import SIDES, Study
from tracebank_schemas.reward_probe import Probe, ProbeDifference, ProbeMetric, ProbeWeight, ReconstructedReward

if TYPE_CHECKING:
    from tracebank_models.reward_probe.probe_tables import ProbeTables


@study_artifact(
    GROUP,
    Probe,
    ProbeMetric,
    ProbeDifference,
    ProbeWeight,
    ReconstructedReward,
    checks=PROBE_CHECKS,
    reads=(
        "method",
        "data",
        "seed",
        "triples",
        "random_probes",
        "ablation_prompts",
        "preference_batches",
        "dictionaries",
    ),
    deps=[BASE, TUNED, DICTIONARIES],
)
def probes(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Linear probes on small dictionaries' codes of the tuned model and of its base, and the difference of the two.

    Task `reward` is the valence of words that no probe has seen, with sign, shuffled valences, random probes and raw
    activations as controls; `replication` the split of 2310.08164; `preference` the logistic probe on pairs of answers,
    of studies that tune on such pairs.
    """
    from tracebank_models.reward_probe.probe_tables import PREFERENCE, REPLICATION, REWARD
    from tracebank_models.reward_probe.probed_study import probes_of_study, study_triples

    with made_of_study(context, stores) as (made, study, device):
        models = {side: load_catalogued(stores.relational, model_of(study, side), device) for side in SIDES}
        readers = {side: (models[side], *small_dictionaries(stores.relational, study, side, device)) for side in SIDES}
        triples = study_triples(study)
        with track(f"Probes of {study.key}", total=2 * 3 * len(triples)) as advance:
            found = probes_of_study(study, readers, triples, advancing(advance))
        write_probes(made, study, (REWARD, REPLICATION, PREFERENCE), found)
    return made.result(_figures(found), [knows_more(_primary(found))])


def write_probes(made: Materialised, study: Study, tasks: Sequence[str], tables: "ProbeTables") -> None:
    """Put probes of some tasks in the place of those that the study had of these tasks; others stay."""
    of_tasks = (Probe.study == study.name) & (Probe.seed == study.seed) & Probe.task.in_(tasks)
    old = select(Probe.probe).where(of_tasks)
    made.into(ProbeDifference, ProbeDifference.probe.in_(old)).write(tables.differences)
    made.into(ProbeMetric, ProbeMetric.probe.in_(old)).write(tables.metrics)
    made.into(ProbeWeight, ProbeWeight.probe.in_(old)).write(tables.weights)
    made.into(ReconstructedReward, ReconstructedReward.probe.in_(old)).write(tables.rewards)
    made.into(Probe, of_tasks).write(tables.probes)


def _primary(found: "ProbeTables") -> dict[str, Any]:
    """The difference that was declared to count."""
    from tracebank_models.reward_probe.agreement import PRIMARY
    from tracebank_models.reward_probe.probe_tables import REWARD

    return found.compared().filter(task=REWARD, representation="sparse_codes", metric=PRIMARY).row(0, named=True)


def _figures(found: "ProbeTables") -> dict[str, Figure]:
    """What each side knows and the differences, with their intervals as a table; numbers of sparse codes for plots."""
    lines = ["| task | reads | metric | base | tuned | tuned less base | p |", "|" + "---|" * 7]
    figures: dict[str, Figure] = {}
    for row in found.compared().iter_rows(named=True):
        said = {name: "" if row[name] is None else f"{row[name]:.3f}" for name in ("base", "tuned", "value", "p_value")}
        interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
        cells = [row["task"], row["representation"], row["metric"], said["base"], said["tuned"]]
        lines.append(f"| {' | '.join([*cells, said['value'] + interval, said['p_value']])} |")
        if row["representation"] == "sparse_codes":
            for name, what in (("base", "base"), ("tuned", "tuned"), ("value", "difference")):
                if row[name] is not None:
                    figures[f"{row['task']}_{row['metric']}_{what}"] = round(row[name], 4)
    return {"words": int(_primary(found)["count"]), **figures, "compared": dg.MetadataValue.md("\n".join(lines))}
