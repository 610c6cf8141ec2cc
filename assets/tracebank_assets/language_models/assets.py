"""Assets of group `language_models`: base models, models tuned with a known reward, and how far their layers moved."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.holds import held
from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models import checks
from tracebank_assets.language_models.catalogue import (
    Origin,
    catalogued,
    checkpoints_of,
    load_catalogued,
    loaded_from,
    model_row,
    models_of,
)
from tracebank_assets.language_models.curves import long_curve, step_bar
from tracebank_assets.language_models.keys import BASE, GROUP, TUNED
from tracebank_assets.language_models.tuned_models import tuned_elsewhere, tuned_here
from tracebank_assets.language_models.tuning_tasks import evaluation_rows, tuning_configuration
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.studies import made_of_study, sharing_base, study_artifact, study_of
from tracebank_models.reward_probe.study import ModelSource, Study
from tracebank_schemas.language_model import (
    TRAINING_CURVES,
    LanguageModel,
    LayerDivergence,
    PolicyEvaluation,
    TensorDivergence,
)

if TYPE_CHECKING:
    import torch

    from tracebank_models.language_model.layer_divergence import Batch
    from tracebank_models.language_model.loading import LoadedModel


class BaseConfig(dg.Config):
    """How a base model of the ladder is trained; models from elsewhere are loaded as they are."""

    steps: int | None = Field(default=None, description="Steps of pretraining; empty takes the recipe's.")


class TunedConfig(dg.Config):
    """How a model is tuned; loaded ones are taken as they are."""

    steps: int | None = Field(default=None, description="Steps of tuning; empty takes the study's.")
    beta: float | None = Field(default=None, description="Price of KL, held with PPO; empty takes the study's.")
    checkpoint_every: int | None = Field(default=None, description="Steps between checkpoints; empty: the study's.")


@study_artifact(GROUP, LanguageModel, TRAINING_CURVES, checks=checks.BASE_CHECKS, reads=("base",))
def base(context: dg.AssetExecutionContext, config: BaseConfig, stores: Stores) -> dg.MaterializeResult:
    """A base model: trained here from text found on any machine, or loaded from the Hub or a folder.

    Studies of one base share it: what is trained is found, and not trained again. Where it becomes another, what other
    studies made of it is out of date. A killed training goes on from its last checkpoint.
    """
    from tracebank_models.language_model.lexicon import load_vader_lexicon
    from tracebank_models.reward_probe.study_needs import check_model

    source = study_of(context).base
    # Pretraining's batches are large enough to share, whatever the model's size.
    device = prepared_device(stores.settings)
    with held(stores.settings.home, f"models/{source.name}"):
        with materialised(context, stores, LanguageModel, models_of(source.name)) as made:
            made.device = str(device)
            loaded, origin, curve = _base(source, config, _folder(stores, source.name), device)
            if not source.trained_here:
                check_model(loaded, source.effort, load_vader_lexicon().word_valences())
            if curve is not None:
                rows = long_curve(curve, run=source.name, method=origin.method)
                made.into(TRAINING_CURVES, {"run": source.name}).write(rows)
            made.write([model_row(loaded.facts, origin)])
        made.stands_for(sharing_base(context, source.name))
    figures: dict[str, Figure] = {"parameters": loaded.facts.parameters, "path": origin.path}
    return made.result(figures | _last(curve), checks.base_checks(loaded, curve))


def _folder(stores: Stores, name: str) -> Path:
    return stores.settings.home / GROUP / name


def _base(
    source: ModelSource, config: BaseConfig, folder: Path, device: "torch.device"
) -> "tuple[LoadedModel, Origin, pl.DataFrame | None]":
    from tracebank_models.language_model.base_training import train_base_model
    from tracebank_models.language_model.loading import load_language_model
    from tracebank_models.language_model.recipes import RECIPES
    from tracebank_models.language_model.training_loop import checkpoints

    if not source.trained_here:
        loaded = load_language_model(source.source, source.revision, label=source.name, device=str(device))
        return loaded, loaded_from(source), None
    recipe = RECIPES[source.source]
    recipe = dataclasses.replace(recipe, pretraining=source.pretraining or recipe.pretraining)
    if config.steps is not None:
        recipe = dataclasses.replace(recipe, pretraining=dataclasses.replace(recipe.pretraining, steps=config.steps))
    with step_bar(f"pretraining {source.name}", recipe.pretraining.steps) as on_step:
        made = train_base_model(recipe, source.corpus, folder, on_step, device)
    assert made.folder is not None
    step, path = checkpoints(made.folder)[-1]
    loaded = load_language_model(str(path), label=source.name, device=str(device))
    return loaded, Origin("pretraining", step, f"recipe {source.source}", str(path)), made.curve


def _last(curve: pl.DataFrame | None) -> dict[str, Figure]:
    """The last value of each measurement of a training, to be plotted over materialisations."""
    if curve is None:
        return {}
    found = {name: curve[name].drop_nulls() for name in curve.columns if name != "seconds"}
    figures: dict[str, Figure] = {name: round(float(values[-1]), 5) for name, values in found.items() if len(values)}
    return figures | {"training_seconds": round(float(curve["seconds"].sum()), 1)}


@study_artifact(
    GROUP,
    LanguageModel,
    TRAINING_CURVES,
    PolicyEvaluation,
    checks=checks.TUNED_CHECKS,
    deps=[BASE],
    reads=("method", "tuned", "data", "seed", "ppo", "dpo", "preference_batches"),
)
def tuned(context: dg.AssetExecutionContext, config: TunedConfig, stores: Stores) -> dg.MaterializeResult:
    """A model tuned with a reward that is known word by word, with checkpoints on the way; or one loaded as it is.

    The tuned model is the checkpoint whose reward on held-out prompts is most worth its KL; where none is worth it, the
    untuned model is kept, and the check says so.
    """
    from tracebank_models.reward_probe.study_needs import check_model, check_space, needed_bytes
    from tracebank_models.reward_probe.study_report import study_report

    with made_of_study(context, stores) as (made, study, device):
        settings = tuning_configuration(study, {**config.model_dump(), "seed": study.seed})
        parent = load_catalogued(stores.relational, study.base.name, device)
        made.inputs["data"] = study.data.content_hash()
        study_report(study)  # all that is read, before anything is trained on a part of it
        check_model(parent, study.effort, study.data.lexicon().word_valences())
        check_space(stores.settings.home, needed_bytes(parent, study.effort, study.method))
        if study.tuned is None:
            base_row = catalogued(stores.relational, study.base.name)
            done = tuned_here(study, settings, parent, base_row, _folder(stores, study.key))
        else:
            done = tuned_elsewhere(study, settings, parent, study.tuned)
        if done.curve is not None:
            rows = long_curve(done.curve, run=study.key, method=study.method, seed=study.seed)
            made.into(TRAINING_CURVES, {"run": study.key}).write(rows)
        made.into(LanguageModel, models_of(study.key)).write(done.models)
        evaluations = evaluation_rows(done.evaluations, study, settings, "tuned", done.chosen)
        made.into(PolicyEvaluation, {"model": study.key, "asset": "tuned"}).write(evaluations)
    figures = done.figures | {"checkpoints": len(done.models), "path": str(done.models[-1]["path"])}
    return made.result(figures | _last(done.curve), checks.tuned_checks(done.evaluations, settings.kl_budget))


@study_artifact(
    GROUP,
    LayerDivergence,
    TensorDivergence,
    checks=checks.DIVERGENCE_CHECKS,
    deps=[BASE, TUNED],
    reads=("data", "loss_documents", "max_tokens"),
)
def layer_divergences(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """How far each layer of a tuned model, and of its checkpoints, is from the base's: weights, activations, outputs.

    Activations and outputs are measured on reviews that neither model was trained on. What one swapped layer does to
    the output is measured for the tuned model alone.
    """
    from tracebank_models.language_model.tuning_divergence import tuning_divergence

    with made_of_study(context, stores) as (made, study, device):
        parent = load_catalogued(stores.relational, study.base.name, device)
        names = [row.model for row in checkpoints_of(stores.relational, study.key)]
        models = (load_catalogued(stores.relational, name, device) for name in names)
        with track(f"comparing layers of {study.key}", len(names)) as advance:
            frame, tensors = tuning_divergence(parent, models, study.key, _batches(study, parent), advance)
        for table, rows in ((LayerDivergence, frame), (TensorDivergence, tensors)):
            checkpoint = table.model.startswith(f"{study.key}@", autoescape=True)
            made.into(table, (table.model == study.key) | checkpoint).write(rows)
    final = frame.filter(pl.col("model") == study.key, pl.col("definition") == "weight_l2_sum").sort("layer")
    figures: dict[str, Figure] = {
        "weight_l2_sum": dict(zip(final["layer"].cast(pl.String), final["value"], strict=True))
    }
    return made.result(figures, checks.divergence_checks(frame))


def _batches(study: Study, parent: "LoadedModel") -> "list[Batch]":
    """Texts that neither model was trained on."""
    from tracebank_models.language_model.token_blocks import padded_texts

    texts = [document.text for document in study.data.documents("comparison", study.effort.loss_documents)]
    return padded_texts(parent.tokenizer, texts, study.effort.max_tokens)
