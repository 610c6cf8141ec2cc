"""All probes of a study, out of what its settings say: its words, triples, prompts, and pairs of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.language_model.corpora import Part
from tracebank_models.language_model.corpus import corpus_frame
from tracebank_models.language_model.direct_preference import PreferencePair, sampled_preferences
from tracebank_models.language_model.loading import LoadedModel
from tracebank_models.language_model.preference_sets import encoded_pairs
from tracebank_models.language_model.prompts import PromptSource
from tracebank_models.language_model.text_limits import context_length
from tracebank_models.language_model.training_settings import CLEAR_GAP
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.probe_tables import ProbedModel, ProbeTables
from tracebank_models.reward_probe.study import Study
from tracebank_models.reward_probe.study_probes import ProbedReader, StudyProbeSettings, probe_study
from tracebank_models.reward_probe.study_report import wanted_documents
from tracebank_models.reward_probe.study_triples import triples_of
from tracebank_models.reward_probe.word_probe import WordProbeSettings

Reader = tuple[LoadedModel, Mapping[str, SparseCoder], Mapping[str, str]]
"""A model, and by site the dictionaries that it is read through and their full names."""
_TRIPLE_SEED: Final = 42
_PREFERENCE_SEED: Final = 9_001
"""Of prompts and answers: none of them is one that the model was tuned on."""


def study_triples(study: Study, limit: int | None = None) -> list[ContrastiveTriple]:
    """The first triples of a study: the same ones whoever asks, so that fewer are a part of more.

    Raises:
        ValueError: See `triples_of`.
    """
    return triples_of(study.data, study.data.lexicon(), study.effort.triples, seed=_TRIPLE_SEED)[:limit]


def probes_of_study(
    study: Study,
    readers: Mapping[str, Reader],
    triples: Sequence[ContrastiveTriple],
    progress: Callable[[int, int], None] | None = None,
) -> ProbeTables:
    """Probes of both sides, and what the tuned one knows more: see `probe_study`.

    Args:
        study: Says what is read, and how much.
        readers: By side, base and tuned.
        triples: Of the study.
        progress: Told how many texts of triples are read, and how many there are.

    Raises:
        ValueError: See `probe_study`.
    """
    effort = study.effort
    settings = StudyProbeSettings(WordProbeSettings(study.seed), 4 * effort.ablation_prompts, effort.random_probes)
    pairs = _pairs(study, readers["base"][0]) if study.compares_answers else []
    sides = {side: _reader(study, *reader) for side, reader in readers.items()}
    words = study.data.lexicon().word_valences()
    return probe_study(sides, triples, words, settings, pairs=pairs, progress=progress)


def _reader(
    study: Study, loaded: LoadedModel, coders: Mapping[str, SparseCoder], names: Mapping[str, str]
) -> ProbedReader:
    subject = ProbedModel(study.key, study.name, study.seed, loaded.facts.model, names)
    prompts = _prompts(study, loaded, "emission", study.effort.ablation_prompts)
    return ProbedReader(subject, loaded.model, loaded.tokenizer, coders, prompts)


def _prompts(study: Study, loaded: LoadedModel, part: Part, count: int) -> PromptSource:
    return PromptSource(loaded.tokenizer, corpus_frame(study.data.documents(part, count)), seed=_PREFERENCE_SEED)


def _pairs(study: Study, base: LoadedModel) -> list[PreferencePair]:
    """Pairs as those that tuning learned from, but none of those: of a file, or answers of the base model."""
    if texts := study.data.pairs("probe"):
        return encoded_pairs(base.tokenizer, texts, context_length(base.model))
    prompts = _prompts(study, base, "preferences", wanted_documents(study)["preferences"])
    reward, batches = study.data.reward_function(str(base.model.device)), study.effort.preference_batches
    return sampled_preferences(
        base.model, base.tokenizer, prompts, reward, batches, seed=_PREFERENCE_SEED, smallest_gap=CLEAR_GAP
    )
