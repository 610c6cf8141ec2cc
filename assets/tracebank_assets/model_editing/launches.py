"""Editing facts from commands: model and cases where they are missing, the layer, then a run for each editor."""

from collections.abc import Sequence
from typing import Any, Final

import dagster as dg
from sqlalchemy import select

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank_assets.language_models.launches import make_models
from tracebank_assets.model_editing.edits import EDITS
from tracebank_assets.model_editing.keys import CASES, LAYERS
from tracebank_assets.model_editing.keys import EDITS as EDITS_KEY
from tracebank_schemas.model_editing import EditCase, EditLayer

CASES_JOB: Final = dg.define_asset_job(
    "edit_cases", selection=dg.AssetSelection.assets(CASES), description="Facts to edit."
)
LAYERS_JOB: Final = dg.define_asset_job(
    "edit_layers", selection=dg.AssetSelection.assets(LAYERS), description="The layer that facts are edited in."
)
EDITS_JOB: Final = dg.define_asset_job(
    "edits", selection=dg.AssetSelection.assets(EDITS_KEY), description="Facts edited into a model by one editor."
)
JOBS = [CASES_JOB, LAYERS_JOB, EDITS_JOB]
"""Jobs of the group."""
DEMO_MODEL: Final = "world_demo"
DEMO_EDITORS: Final = ("ft_l", "rome", "r_rome")
DEMO: Final[dict[str, Any]] = {"count": 50}
"""Config of the demo's edits."""
DEMO_LAYERS: Final[dict[str, Any]] = {"facts": 5, "layers": [0, 1], "documents": 500}
"""Config of the demo's choice of a layer."""


def edit_facts(
    settings: Settings,
    instance: dg.DagsterInstance,
    model: str,
    editors: Sequence[str],
    config: dict[str, Any] | None = None,
    layers: dict[str, Any] | None = None,
) -> None:
    """Edit facts into a model by several editors; what is done is not done again.

    Args:
        settings: of the home.
        instance: where runs are recorded.
        model: name of a plan, id of the Hub, or folder.
        editors: names of editors.
        config: of `edits`.
        layers: config of `layers`, where the layer is not chosen yet.

    Raises:
        RunFailed: a step failed; what was made before it stands.
    """
    from tracebank_assets.runs import run_job  # needs the code location, which finds this module

    asked = config or {}
    dataset = asked.get("dataset") or model
    make_models(settings, instance, [model])
    has_cases, has_layer = _standing(settings, model, dataset)
    if not has_cases:
        run_job(str(CASES_JOB.name), instance, ops={CASES.to_python_identifier(): {"dataset": dataset}})
    if not has_layer:
        ops = {LAYERS.to_python_identifier(): {"dataset": dataset, **(layers or {})}}
        run_job(str(LAYERS_JOB.name), instance, partition_key=model, ops=ops)
    names = [f"{model}/{editor}" for editor in editors]
    instance.add_dynamic_partitions(str(EDITS.name), names)
    ops = {EDITS_KEY.to_python_identifier(): dict(asked)} if asked else {}
    for name in names:
        run_job(str(EDITS_JOB.name), instance, partition_key=name, ops=ops)


def _standing(settings: Settings, model: str, dataset: str) -> tuple[bool, bool]:
    """Whether there are cases of the data set, and a layer of the model."""
    relational = open_relational(settings)
    try:
        with relational.reading() as session:
            cases = session.scalar(select(EditCase.item).where(EditCase.dataset == dataset).limit(1))
            layer = session.scalar(select(EditLayer.layer).where(EditLayer.model == model).limit(1))
            return cases is not None, layer is not None
    finally:
        relational.close()
