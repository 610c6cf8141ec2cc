"""Launching reward studies from commands: one run for a study and seed, of what is out of date and what hangs on it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.sparse_features.automation import STUDY_JOB
from tracebank_assets.sparse_features.keys import ABLATIONS, DICTIONARIES, FEATURES
from tracebank_assets.staleness import view_of
from tracebank_assets.studies import STUDIES, StudyOutOfDate, made_with
from tracebank_models.reward_probe.study import Study

Configs = Mapping[dg.AssetKey, Mapping[str, Any]]
"""What is asked of assets, see their config classes; what is not named has its default."""

DEMO: Configs = {
    BASE: {"steps": 80},
    TUNED: {"steps": 24, "checkpoint_every": 8},
    DICTIONARIES: {"demonstration": True},
    FEATURES: {"stored_tokens": 1_024},
    ABLATIONS: {"draws": 60, "texts": 24},
}
"""Config of the demo's study: less of everything than the study's own settings, enough to see each part work."""


def run_study(study: Study, instance: dg.DagsterInstance, config: Configs | None = None) -> list[dg.AssetKey]:
    """Make what of a study is not up to date, in one run; nothing where all is.

    Args:
        study: the study, with its seed.
        instance: where the run is recorded.
        config: what is asked of assets.

    Returns:
        What was made.

    Raises:
        RunFailed: a step failed; what was made before it stands, and the same call goes on there.
    """
    from tracebank_assets.definitions import defs
    from tracebank_assets.runs import run_job  # both need the code location, which finds this module

    instance.add_dynamic_partitions(str(STUDIES.name), [study.key])
    ops = {key.to_python_identifier(): dict(values) for key, values in (config or {}).items()}
    wanted = to_make(study, defs, instance, ops)
    if wanted:
        asked = {op: values for op, values in ops.items() if op in {key.to_python_identifier() for key in wanted}}
        run_job(str(STUDY_JOB.name), instance, partition_key=study.key, assets=wanted, ops=asked)
    return sorted(wanted)


def to_make(
    study: Study, defs: dg.Definitions, instance: dg.DagsterInstance, ops: Mapping[str, Mapping[str, Any]]
) -> set[dg.AssetKey]:
    """Assets that are missing or stale, or were made with other settings than are asked for; and what hangs on them.

    Args:
        study: the study, with its seed.
        defs: the code location.
        instance: where its runs are recorded.
        ops: config by op.
    """
    job, view = defs.resolve_job_def(str(STUDY_JOB.name)), view_of(defs, instance)
    whole = dg.validate_run_config(job, {"ops": {op: {"config": dict(values)} for op, values in ops.items()}})
    found = set()
    for asset in job.asset_layer.selected_asset_keys:
        config = whole["ops"][asset.to_python_identifier()].get("config") or {}
        if StudyOutOfDate().among(view, asset, [study.key]) or made_with(instance, asset, study.key)[0] != config:
            found.add(asset)
    graph = view.asset_graph
    return set(dg.AssetSelection.assets(*found).downstream().resolve(graph)) & job.asset_layer.selected_asset_keys
