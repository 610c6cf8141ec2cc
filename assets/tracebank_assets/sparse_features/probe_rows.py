"""Writing probes and reading a probe's weights: relational rows of one study, some of its tasks at a time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from sqlalchemy import select

from tracebank.stores.relational import RelationalStore
from tracebank_assets.materialised import Materialised
from tracebank_models.reward_probe.study import Study
from tracebank_schemas.reward_probe import Probe, ProbeDifference, ProbeMetric, ProbeWeight, ReconstructedReward

if TYPE_CHECKING:
    from tracebank_models.reward_probe.probe_tables import ProbeTables


def write_probes(made: Materialised, study: Study, tasks: Sequence[str], tables: "ProbeTables") -> None:
    """Put probes of some tasks in the place of those that the study had of these tasks; others stay."""
    of_tasks = (Probe.study == study.name) & (Probe.seed == study.seed) & Probe.task.in_(tasks)
    old = select(Probe.probe).where(of_tasks)
    made.into(ProbeDifference, ProbeDifference.probe.in_(old)).write(tables.differences)
    made.into(ProbeMetric, ProbeMetric.probe.in_(old)).write(tables.metrics)
    made.into(ProbeWeight, ProbeWeight.probe.in_(old)).write(tables.weights)
    made.into(ReconstructedReward, ReconstructedReward.probe.in_(old)).write(tables.rewards)
    made.into(Probe, of_tasks).write(tables.probes)


def weights_of(relational: RelationalStore, probe: str, dictionaries: Mapping[str, str]) -> pl.DataFrame:
    """Weights of a probe: columns site, feature and weight.

    Args:
        relational: the catalogue.
        probe: the probe.
        dictionaries: full name of the dictionary of each site.

    Raises:
        dg.Failure: the probe is not there, or it was fitted on other dictionaries.
    """
    query = select(ProbeWeight.dictionary, ProbeWeight.feature, ProbeWeight.weight).where(ProbeWeight.probe == probe)
    with relational.reading() as session:
        rows = list(map(tuple, session.execute(query)))
    if {name for name, _, _ in rows} != set(dictionaries.values()):
        raise dg.Failure(f"probe {probe!r} was not fitted on these dictionaries; materialise sparse_features/probes")
    sites = {name: site for site, name in dictionaries.items()}
    schema = {"dictionary": pl.String, "feature": pl.Int32, "weight": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    site = pl.col("dictionary").replace_strict(sites, return_dtype=pl.String).alias("site")
    return frame.select(site, "feature", "weight")
