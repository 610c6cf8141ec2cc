"""Asset `probes`: how much the tuned model knows of the reward, and how much of that its base knew before."""

from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.sparse_features.keys import DICTIONARIES, GROUP
from tracebank_assets.sparse_features.probe_checks import PROBE_CHECKS, knows_more
from tracebank_assets.sparse_features.probe_rows import write_probes
from tracebank_assets.sparse_features.study_data import model_of
from tracebank_assets.sparse_features.study_readers import (
    Dictionaries,
    advancing,
    small_dictionaries,
    study_triples,
)
from tracebank_assets.studies import study_artifact, study_of
from tracebank_models.reward_probe.study import SIDES, Study
from tracebank_schemas.reward_probe import Probe, ProbeDifference, ProbeMetric, ProbeWeight, ReconstructedReward

if TYPE_CHECKING:
    from tracebank_models.language_model.corpora import Part
    from tracebank_models.language_model.direct_preference import PreferencePair
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.language_model.prompts import PromptSource
    from tracebank_models.reward_probe.probe_tables import ProbeTables
    from tracebank_models.reward_probe.study_probes import ProbedReader, StudyProbeSettings

_PREFERENCE_SEED: Final = 9_001
"""Of prompts and answers: none of them is one that the model was tuned on."""


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
    from tracebank_models.reward_probe.study_probes import probe_study

    study = study_of(context)
    device = prepared_device(stores.settings, study.effort.threads)
    lexicon = study.data.lexicon()
    with materialised(context, stores) as made:
        made.device = str(device)
        models = {side: load_catalogued(stores.relational, model_of(study, side), device) for side in SIDES}
        read = {side: small_dictionaries(stores.relational, study, side, device) for side in SIDES}
        made.inputs |= {side: loaded.facts.weights_hash for side, loaded in models.items()}
        made.inputs |= {name: version for one in read.values() for name, version in one.versions.items()}
        triples = study_triples(study, lexicon, study.effort.triples)
        pairs = _pairs(study, models["base"]) if study.compares_answers else []
        readers = {side: _reader(study, models[side], read[side]) for side in SIDES}
        with track(f"Probes of {study.key}", total=2 * 3 * len(triples)) as advance:
            found = probe_study(
                readers, triples, lexicon.word_valences(), _settings(study), pairs=pairs, progress=advancing(advance)
            )
        write_probes(made, study, (REWARD, REPLICATION, PREFERENCE), found)
    return made.result(_figures(found), [knows_more(_primary(found))])


def _settings(study: Study) -> "StudyProbeSettings":
    from tracebank_models.reward_probe.study_probes import StudyProbeSettings
    from tracebank_models.reward_probe.word_probe import WordProbeSettings

    effort = study.effort
    return StudyProbeSettings(WordProbeSettings(study.seed), 4 * effort.ablation_prompts, effort.random_probes)


def _reader(study: Study, loaded: "LoadedModel", read: Dictionaries) -> "ProbedReader":
    from tracebank_models.reward_probe.probe_tables import ProbedModel
    from tracebank_models.reward_probe.study_probes import ProbedReader

    subject = ProbedModel(study.key, study.name, study.seed, loaded.facts.model, read.names)
    prompts = _prompts(study, loaded, "emission", study.effort.ablation_prompts)
    return ProbedReader(subject, loaded.model, loaded.tokenizer, read.coders, prompts)


def _prompts(study: Study, loaded: "LoadedModel", part: "Part", count: int) -> "PromptSource":
    from tracebank_models.language_model.corpus import corpus_frame
    from tracebank_models.language_model.prompts import PromptSource

    reviews = corpus_frame(study.data.documents(part, count))
    return PromptSource(loaded.tokenizer, reviews, seed=_PREFERENCE_SEED)


def _pairs(study: Study, base: "LoadedModel") -> "list[PreferencePair]":
    """Pairs as those that tuning learned from, but none of those: of a file, or answers of the base model."""
    from tracebank_models.language_model.direct_preference import sampled_preferences
    from tracebank_models.language_model.preference_sets import encoded_pairs
    from tracebank_models.language_model.text_limits import context_length
    from tracebank_models.language_model.training_settings import CLEAR_GAP
    from tracebank_models.reward_probe.study_report import wanted_documents

    if texts := study.data.pairs("probe"):
        return encoded_pairs(base.tokenizer, texts, context_length(base.model))

    batches = study.effort.preference_batches
    prompts = _prompts(study, base, "preferences", wanted_documents(study)["preferences"])
    reward = study.data.reward_function(str(base.model.device))
    return sampled_preferences(
        base.model, base.tokenizer, prompts, reward, batches, seed=_PREFERENCE_SEED, smallest_gap=CLEAR_GAP
    )


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
