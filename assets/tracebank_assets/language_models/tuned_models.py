"""Making the tuned model of a study: tuned here, or loaded; the rows of its catalogue, and what it is worth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from tracebank_assets.language_models.catalogue import Origin, loaded_from, model_row, require_one_tokenizer
from tracebank_assets.language_models.curves import step_bar
from tracebank_assets.language_models.tuning_tasks import tuning_task
from tracebank_assets.materialised import Figure
from tracebank_models.reward_probe.study import ModelSource, Study
from tracebank_schemas.language_model import LanguageModel

if TYPE_CHECKING:
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.language_model.policy_evaluation import PolicyEvaluation
    from tracebank_models.language_model.tuning import TuningConfiguration


@dataclass(frozen=True, slots=True)
class TunedModels:
    """A tuned model with its checkpoints."""

    models: list[dict[str, object]]
    """Rows of `language_models`; the last is the tuned model."""
    evaluations: "list[PolicyEvaluation]"
    chosen: int
    """Step of the tuned model."""
    curve: pl.DataFrame | None = None
    """Rows of the training."""
    figures: dict[str, Figure] = field(default_factory=dict)


def tuned_here(
    study: Study, settings: "TuningConfiguration", parent: "LoadedModel", base: LanguageModel, folder: Path
) -> TunedModels:
    """Tune the base of a study, or go on where a killed tuning was.

    Args:
        study: that it is for.
        settings: of its method.
        parent: the base; it is changed in place.
        base: its row, which is the tuned model's where the untuned one is kept.
        folder: where checkpoints go.

    Raises:
        ValueError: see `tracebank_models.language_model.tuning.tune`.
    """
    from tracebank_models.language_model.loading import load_language_model
    from tracebank_models.language_model.tuning import tune

    with step_bar(f"{study.method.upper()} of {study.key}", settings.steps) as on_step:
        done = tune(parent, tuning_task(study, str(parent.model.device)), settings, folder, on_step)
    found: dict[int, tuple[str, str | None]] = {step: (str(path), None) for step, path in done.checkpoints}
    if not done.chosen:
        found[0] = base.path, None if Path(base.path).is_dir() else base.revision
    rows = []
    for step in sorted(found, key=lambda step: (step == done.chosen, step)):
        path, revision = found[step]
        name = study.key if step == done.chosen else f"{study.key}@{step}"
        loaded = load_language_model(path, revision, parent=parent.facts, label=name, device=str(parent.model.device))
        rows.append(model_row(loaded.facts, Origin(study.method, step, study.base.name, path)))
    figures: dict[str, Figure] = {"chosen_step": done.chosen, "pairs": done.pairs, "ties": done.ties}
    return TunedModels(rows, done.evaluations, done.chosen, done.curve, figures)


def tuned_elsewhere(
    study: Study, settings: "TuningConfiguration", parent: "LoadedModel", source: ModelSource
) -> TunedModels:
    """Load the tuned model of a study, and measure it as one that was tuned here.

    Raises:
        ValueError: it cannot be used beside its base.
        dg.Failure: its tokenizer is another one.
    """
    from tracebank_models.language_model.layer_divergence import check_pair
    from tracebank_models.language_model.loading import load_language_model
    from tracebank_models.language_model.tuning import evaluate_pair
    from tracebank_models.reward_probe.study_needs import check_model

    loaded = load_language_model(
        source.source, source.revision, parent=parent.facts, label=study.key, device=str(parent.model.device)
    )
    check_model(loaded, study.effort, study.data.lexicon().word_valences())
    check_pair(parent.model, loaded.model)
    require_one_tokenizer(study.key, loaded.facts.tokenizer_hash, study.base.name, parent.facts.tokenizer_hash)
    found = evaluate_pair(parent, loaded, tuning_task(study, str(parent.model.device)), settings.held_out_prompts)
    return TunedModels([model_row(loaded.facts, loaded_from(source))], found, 1)
