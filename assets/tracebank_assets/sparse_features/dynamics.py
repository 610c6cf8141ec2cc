"""Asset `dynamics`: features and probes of every checkpoint between the base and the tuned model."""

from typing import TYPE_CHECKING, Final

import dagster as dg

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.language_models.catalogue import catalogued, checkpoints_of, load_catalogued
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.materialised import Figure
from tracebank_assets.sparse_features.keys import DICTIONARIES, GROUP
from tracebank_assets.sparse_features.probes import write_probes
from tracebank_assets.sparse_features.study_data import small_dictionaries
from tracebank_assets.studies import made_of_study, study_artifact
from tracebank_models.reward_probe.study import HELD_OUT, Study
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.reward_probe import FeatureDynamic, Probe

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tracebank_models.reward_probe.tuning_dynamics import Checkpoint, TuningDynamics

MOST_TRIPLES: Final = 300
"""Of the study's triples, for the probe of each checkpoint."""
_HELD_OUT_REVIEWS: Final = 96
"""A few thousand tokens to count features on."""


@study_artifact(
    GROUP,
    FeatureDynamic,
    Probe,
    deps=[BASE, TUNED, DICTIONARIES],
    reads=("data", "seed", "documents", "max_tokens", "triples", "dictionaries"),
)
def dynamics(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """The tuned model's small dictionaries on each checkpoint: which features fire there, and what a probe reads.

    Probes have the task `dynamics`, the same triples and the same split at every checkpoint, step 0 being the base.
    """
    from tracebank_models.reward_probe import probe_tables

    with made_of_study(context, stores) as (made, study, device):
        found = _followed(stores, study, device)
        mine = FeatureDynamic.dictionary.startswith(f"{study.key}/", autoescape=True)
        made.into(FeatureDynamic, mine).write(found.features)
        write_probes(made, study, [probe_tables.DYNAMICS], found.probes)
    return made.result(_figures(found))


def _models(stores: Stores, study: Study) -> list[LanguageModel]:
    """The base and the checkpoints, each model once: the last checkpoint is the tuned model itself."""
    rows = [catalogued(stores.relational, study.base.name), *checkpoints_of(stores.relational, study.key)]
    by_weights: dict[str, LanguageModel] = {}
    for row in sorted(rows, key=lambda row: "@" in row.model):
        by_weights.setdefault(row.weights_hash, row)
    return [row for row in rows if by_weights[row.weights_hash] is row]


def _followed(stores: Stores, study: Study, device: "torch.device") -> "TuningDynamics":
    from tracebank_models.reward_probe.probed_study import study_triples
    from tracebank_models.reward_probe.tuning_dynamics import follow_tuning

    models = _models(stores, study)
    coders, names = small_dictionaries(stores.relational, study, "tuned", device)
    texts = [document.text for document in study.captured_documents(HELD_OUT)[:_HELD_OUT_REVIEWS]]
    with track(f"Dynamics of {study.key}", total=len(models)) as advance:
        return follow_tuning(
            [_checkpoint(stores, study, row, device) for row in models],
            study.key,
            study.name,
            coders,
            names,
            texts,
            study_triples(study, MOST_TRIPLES),
            study.data.lexicon().word_valences(),
            max_tokens=study.effort.max_tokens,
            seed=study.seed,
            on_checkpoint=lambda _checkpoint: advance(1),
        )


def _checkpoint(stores: Stores, study: Study, row: LanguageModel, device: "torch.device") -> "Checkpoint":
    from tracebank_models.reward_probe.tuning_dynamics import Checkpoint

    def load() -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
        loaded = load_catalogued(stores.relational, row.model, device)
        return loaded.model, loaded.tokenizer

    # A tuned model from elsewhere does not say how many steps it took: it is one step away from its base.
    step = 0 if row.model == study.base.name else (row.step if row.step is not None else 1)
    return Checkpoint(row.model, step, load)


def _figures(found: "TuningDynamics") -> dict[str, Figure]:
    counts = found.features["state"].value_counts()
    taus = found.probes.probes.filter(representation="sparse_codes").join(
        found.probes.metrics.filter(metric="kendall_tau"), on="probe", maintain_order="left"
    )
    by_model = {model: round(tau, 4) for model, tau in taus.select("model", "value").iter_rows() if tau is not None}
    states = {str(state): int(count) for state, count in counts.iter_rows()}
    return {"checkpoints": found.features["model"].n_unique(), "kendall_tau": by_model, "states": states}
