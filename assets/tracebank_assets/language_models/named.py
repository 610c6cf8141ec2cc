"""Asset `language_models/named`: models that belong to no study, by their names."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.holds import held
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models import checks
from tracebank_assets.language_models.catalogue import Origin, loaded_from, model_row, models_of
from tracebank_assets.language_models.curves import long_curve, step_bar
from tracebank_assets.language_models.keys import GROUP
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.studies import on_gpu, studies
from tracebank_models.reward_probe.study import ModelSource
from tracebank_schemas.language_model import TRAINING_CURVES, LanguageModel

if TYPE_CHECKING:
    import torch

    from tracebank_models.language_model.base_training import BaseModel
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.language_model.training_loop import OnStep

    Train = Callable[[Path, OnStep, torch.device], BaseModel]

MODELS: Final = dg.DynamicPartitionsDefinition(name="models")
"""A partition for each model that somebody asked for: `code-1m`, `world_neox`, `openai-community/gpt2-xl`."""


class NamedConfig(dg.Config):
    """How a model of a plan is trained; models from elsewhere are loaded as they are."""

    steps: int | None = Field(default=None, ge=1, description="Steps of pretraining; empty takes the plan's.")
    revision: str | None = Field(default=None, description="Of a model of the Hub; empty takes its newest.")


@artifact(
    GROUP,
    LanguageModel,
    TRAINING_CURVES,
    checks=checks.BASE_CHECKS,
    partitions_def=MODELS,
    **on_gpu(),
    kinds={"torch"},
)
def named(context: dg.AssetExecutionContext, config: NamedConfig, stores: Stores) -> dg.MaterializeResult:
    """A model: trained here by a plan of its name, or loaded from the Hub or a folder of that name.

    Plans are the ladder of models of code (`code-…`) and models of worlds of facts (`world_…`). A killed training goes
    on from its last checkpoint.
    """
    # Models of plans are small, and others are only loaded here.
    name, device = context.partition_key, prepared_device(stores.settings, threads=1)
    if name in {study.base.name for study in studies().values()}:
        raise dg.Failure(f"models: {name!r} is the base model of a study; materialise language_models/base for it")
    with (
        held(stores.settings.home, f"models/{name}"),
        materialised(context, stores, LanguageModel, models_of(name)) as made,
    ):
        made.device = str(device)
        loaded, origin, curve = _model(name, config, stores.settings.home / GROUP, device)
        if curve is not None:
            made.into(TRAINING_CURVES, {"run": name}).write(long_curve(curve, run=name, method=origin.method))
        made.write([model_row(loaded.facts, origin)])
    figures: dict[str, Figure] = {"parameters": loaded.facts.parameters, "path": origin.path}
    return made.result(figures, checks.base_checks(loaded, curve))


def _model(
    name: str, config: NamedConfig, folder: Path, device: "torch.device"
) -> "tuple[LoadedModel, Origin, pl.DataFrame | None]":
    from tracebank_models.language_model.loading import load_language_model
    from tracebank_models.language_model.training_loop import checkpoints

    plan = _plan(name, config.steps)
    if plan is None:
        loaded = load_language_model(name, config.revision, label=name, device=str(device))
        return loaded, loaded_from(ModelSource(name, name)), None
    steps, train = plan
    with step_bar(f"pretraining {name}", steps) as on_step:
        made = train(folder, on_step, device)
    assert made.folder is not None
    step, path = checkpoints(made.folder)[-1]
    loaded = load_language_model(str(path), label=name, device=str(device))
    return loaded, Origin("pretraining", step, f"plan {name}", str(path)), made.curve


def _plan(name: str, steps: int | None) -> "tuple[int, Train] | None":
    """Steps of a plan, and what carries it out; None where no plan has the name."""
    from tracebank_models.identifier_swaps.ladder import LADDER, ladder_models, ladder_plan
    from tracebank_models.language_model.base_training import train_base_model
    from tracebank_models.language_model.recipes import WORLD_RECIPES

    if name in LADDER:

        def climb(folder: Path, on_step: "OnStep", device: "torch.device") -> "BaseModel":
            ((_, made),) = ladder_models(folder, [name], steps, on_step, device)
            return made

        return ladder_plan(name, steps).pretraining.steps, climb
    if name in WORLD_RECIPES:
        recipe = WORLD_RECIPES[name]
        fitting = dataclasses.replace(recipe.pretraining, steps=steps or recipe.pretraining.steps)
        recipe = dataclasses.replace(recipe, pretraining=fitting)
        return fitting.steps, lambda folder, on_step, device: train_base_model(
            recipe, None, folder / name, on_step, device
        )
    return None
