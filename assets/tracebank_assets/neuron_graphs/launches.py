"""Making graphs from commands: one run for each dictionary or layer, of what does not stand; the similarities last."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.data_version import CODE_VERSION_TAG, DATA_VERSION_TAG

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.materialised import CONFIG
from tracebank_assets.neuron_graphs.keys import GRAPHS, SCORES, SIMILARITIES
from tracebank_assets.neuron_graphs.units import MADE_OF, UNITS, units_of
from tracebank_assets.sparse_features.study_data import dictionaries_of
from tracebank_assets.studies import studies

UNITS_JOB: Final = dg.define_asset_job(
    "neuron_graphs",
    selection=dg.AssetSelection.assets(GRAPHS, SCORES),
    description="Graphs of a dictionary's units, or a layer's, and their scores.",
)
SIMILARITIES_JOB: Final = dg.define_asset_job(
    "unit_similarities",
    selection=dg.AssetSelection.assets(SIMILARITIES),
    description="Which units have the same graph.",
)
JOBS = [UNITS_JOB, SIMILARITIES_JOB]
"""Jobs of the group."""
DEMO: Final = {"substitutes": 2, "per_fifth": 4}
"""Config of the demo's graphs: of less text than is usual."""


def demo_units(relational: RelationalStore) -> dict[str, dict[str, Any]]:
    """What the demo has graphs made of: a layer of its base model, and 100 features of a dictionary of its study."""
    study = studies()["small-ppo"]
    first, *_ = dictionaries_of(relational, study, side="tuned", size="big", plan_only=True)
    return {f"{study.base.name}/layers.3.neurons": DEMO, first.dictionary: DEMO | {"units": 100}}


def make_graphs(
    settings: Settings, instance: dg.DagsterInstance, asked: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Make graphs and scores that do not stand yet, then similarities where any was made.

    Args:
        settings: of the home.
        instance: where runs are recorded.
        asked: config of `graphs` by the name of a dictionary, or `MODEL/layers.N.neurons`.

    Returns:
        What was made, by the same names.

    Raises:
        RunFailed: a step failed; what was made before it stands, and the same call goes on there.
        dg.Failure: a name is of no units.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    made_of = weights_and_texts(settings, list(asked))
    instance.add_dynamic_partitions(str(UNITS.name), list(asked))
    made: dict[str, list[str]] = {}
    for name, config in asked.items():
        wanted = _wanted(instance, name, dict(config), made_of[name])
        if wanted:
            ops = {GRAPHS.to_python_identifier(): dict(config)} if GRAPHS in wanted and config else {}
            run_job(str(UNITS_JOB.name), instance, partition_key=name, assets=wanted, ops=ops)
        made[name] = [key.path[-1] for key in wanted]
    if any(made.values()) or not instance.get_latest_materialization_event(SIMILARITIES):
        run_job(str(SIMILARITIES_JOB.name), instance)
    return made


def weights_and_texts(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """What units of names would be made of by now, see `Units.made_of`.

    Raises:
        dg.Failure: a name is of no units.
    """
    relational = open_relational(settings)
    try:
        return {name: units_of(relational, name).made_of() for name in names}
    finally:
        relational.close()


def _wanted(instance: dg.DagsterInstance, name: str, config: dict[str, Any], made_of: str) -> list[dg.AssetKey]:
    """Graphs that are missing or were made otherwise, by other code or of other weights; scores of other graphs."""
    from tracebank_assets.definitions import defs

    job = defs.resolve_job_def(str(UNITS_JOB.name))
    ops = dg.validate_run_config(job, {"ops": _ops(config)})["ops"]
    graphs, scores = (standing(instance, defs, key, name) for key in (GRAPHS, SCORES))
    full = ops[GRAPHS.to_python_identifier()]["config"]
    if graphs is None or (said(graphs, CONFIG), said(graphs, MADE_OF)) != (full, made_of):
        return [GRAPHS, SCORES]
    if scores is None or said(scores, MADE_OF) != (graphs.tags or {}).get(DATA_VERSION_TAG):
        return [SCORES]
    return []


def standing(
    instance: dg.DagsterInstance, defs: dg.Definitions, key: dg.AssetKey, name: str
) -> dg.AssetMaterialization | None:
    """What stands of a partition, where it was made by the code of now."""
    record = instance.get_latest_data_version_record(key, partition_key=name)
    made = record.asset_materialization if record else None
    code = defs.resolve_asset_graph().get(key).code_version
    return made if made is not None and (made.tags or {}).get(CODE_VERSION_TAG) == code else None


def _ops(config: dict[str, Any]) -> dict[str, Any]:
    return {GRAPHS.to_python_identifier(): {"config": config}}


def said(made: dg.AssetMaterialization, name: str) -> Any:
    """A figure of what was made; None where it has none of the name."""
    found = made.metadata.get(name)
    return found.value if found is not None else None
