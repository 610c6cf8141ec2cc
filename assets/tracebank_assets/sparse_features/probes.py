"""Asset `probes`: what linear probes read of the reward out of the tuned model, and out of the base as a control."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.sparse_features.keys import DICTIONARIES, GROUP
from tracebank_assets.sparse_features.probe_checks import PROBE_CHECKS, above_random
from tracebank_assets.sparse_features.probe_rows import write_probes
from tracebank_assets.sparse_features.study_data import model_of
from tracebank_assets.sparse_features.study_readers import (
    Dictionaries,
    advancing,
    rounded,
    small_dictionaries,
    study_triples,
)
from tracebank_assets.studies import study_artifact, study_of
from tracebank_models.reward_probe.study import SIDES, Study
from tracebank_schemas.reward_probe import Probe, ProbeMetric, ProbeWeight, ReconstructedReward

if TYPE_CHECKING:
    from tracebank_models.language_model.corpora import Part
    from tracebank_models.language_model.direct_preference import PreferencePair
    from tracebank_models.language_model.lexicon import Lexicon
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.language_model.prompts import PromptSource
    from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
    from tracebank_models.reward_probe.probe_tables import ProbeTables

_PREFERENCE_SEED: Final = 9_001
"""Of prompts and answers: none of them is one that the model was tuned on."""


@study_artifact(
    GROUP, Probe, ProbeMetric, ProbeWeight, ReconstructedReward, checks=PROBE_CHECKS, deps=[BASE, TUNED, DICTIONARIES]
)
def probes(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Linear probes on small dictionaries' codes (2310.08164), with chance, raw activations and the base as controls.

    Task `reward` is the paper's split by triple, `unseen_words` the same probe split by word, and `preference` the
    logistic probe on pairs of answers, of studies that tune on such pairs.
    """
    from tracebank_models.reward_probe.probe_tables import PREFERENCE, REWARD, UNSEEN_WORDS, ProbeTables

    study = study_of(context)
    device = prepared_device(stores.settings, study.effort.threads)
    lexicon = study.data.lexicon()
    with materialised(context, stores) as made:
        made.device = str(device)
        sides = {side: load_catalogued(stores.relational, model_of(study, side), device) for side in SIDES}
        read = {side: small_dictionaries(stores.relational, study, side, device) for side in SIDES}
        made.inputs |= {side: loaded.facts.weights_hash for side, loaded in sides.items()}
        made.inputs |= {name: version for one in read.values() for name, version in one.versions.items()}
        triples = study_triples(study, lexicon, study.effort.triples)
        pairs = _pairs(study, sides["base"]) if study.compares_answers else []
        found = {side: _probed(study, sides[side], read[side], triples, pairs, lexicon) for side in SIDES}
        write_probes(made, study, (REWARD, UNSEEN_WORDS, PREFERENCE), ProbeTables.joined(found.values()))
    taus = _random_taus(found["tuned"])
    trained = _tau(study, found["tuned"], "tuned", REWARD, "sparse_codes")
    return made.result(_figures(study, found, len(triples), taus), [above_random(trained, taus)])


def _probed(
    study: Study,
    loaded: "LoadedModel",
    read: Dictionaries,
    triples: "Sequence[ContrastiveTriple]",
    pairs: "Sequence[PreferencePair]",
    lexicon: "Lexicon",
) -> "ProbeTables":
    from tracebank_models.reward_probe.probe_tables import ProbedModel
    from tracebank_models.reward_probe.study_probes import ProbedReader, probe_model

    effort = study.effort
    subject = ProbedModel(study.key, loaded.facts.model, read.names)
    reader = ProbedReader(subject, loaded.model, loaded.tokenizer, read.coders)
    with track(f"Probes of {subject.model}", total=3 * len(triples)) as advance:
        return probe_model(
            reader,
            triples,
            lexicon.word_valences(),
            _prompts(study, loaded, "emission", effort.ablation_prompts),
            emitted_texts=4 * effort.ablation_prompts,
            random_probes=effort.random_probes,
            pairs=pairs,
            progress=advancing(advance),
        )


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


def _tau(study: Study, found: "ProbeTables", side: str, task: str, representation: str) -> float | None:
    from tracebank_models.reward_probe.probe_tables import ProbedModel

    subject = ProbedModel(study.key, model_of(study, side), {})
    return found.metric(subject.probe(task, "ridge", representation), "kendall_tau")[0]


def _random_taus(found: "ProbeTables") -> list[float | None]:
    chance = found.probes.filter(task="reward", kind="random", representation="sparse_codes")
    taus: list[float | None] = (
        found.metrics.join(chance, on="probe", how="semi").filter(metric="kendall_tau")["value"].to_list()
    )
    return taus


def _figures(
    study: Study, found: "dict[str, ProbeTables]", triples: int, random_taus: Sequence[float | None]
) -> dict[str, Figure]:
    from tracebank_models.reward_probe.probe_tables import PREFERENCE, REWARD, UNSEEN_WORDS, ProbedModel

    figures: dict[str, float | None] = {"best_random_tau": max((abs(one or 0.0) for one in random_taus), default=None)}
    for side, tables in found.items():
        subject = ProbedModel(study.key, model_of(study, side), {})
        name = subject.probe(REWARD, "ridge", "sparse_codes")
        figures[f"{side}_tau"], figures[f"{side}_tau_p"] = tables.metric(name, "kendall_tau")
        figures[f"{side}_sign_share"], _ = tables.metric(name, "sign_share")
        figures[f"{side}_raw_tau"] = _tau(study, tables, side, REWARD, "raw_activations")
        figures[f"{side}_unseen_words_tau"] = _tau(study, tables, side, UNSEEN_WORDS, "sparse_codes")
        if study.compares_answers:
            preference = subject.probe(PREFERENCE, "logistic", "sparse_codes")
            figures[f"{side}_preference_accuracy"], _ = tables.metric(preference, "accuracy")
    return {"triples": triples, **rounded(figures)}
