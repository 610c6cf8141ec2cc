"""Every probe of one model of a study, from the model itself: its texts are read once, then all probes are fitted.

The tuned model is read through its own dictionaries, and so is the base: a reward that the base carries already was
not taught by tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.emitted_words import emitted_words
from tracebank_models.reward_probe.fitted_probes import preference_tables, reward_tables, unseen_word_tables
from tracebank_models.reward_probe.preference_texts import preference_texts
from tracebank_models.reward_probe.probe import triple_texts
from tracebank_models.reward_probe.probe_tables import ProbedModel, ProbeTables
from tracebank_models.reward_probe.representations import represented

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tracebank_models.language_model.direct_preference import PreferencePair
    from tracebank_models.language_model.prompts import PromptSource

_EMISSION_SEED = 7_001


@dataclass(frozen=True, slots=True)
class ProbedReader:
    """A model with the dictionaries that it is read through."""

    subject: ProbedModel
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    coders: Mapping[str, SparseCoder]
    """By site."""


def probe_model(
    reader: ProbedReader,
    triples: Sequence[ContrastiveTriple],
    lexicon: Mapping[str, float],
    prompts: PromptSource,
    *,
    emitted_texts: int,
    random_probes: int,
    pairs: Sequence[PreferencePair] = (),
    progress: Callable[[int, int], None] | None = None,
) -> ProbeTables:
    """The reward probe split by triple and by word, with controls; and the preference probe where pairs are given.

    Args:
        reader: What is read.
        triples: Contrastive triples.
        lexicon: Valence of words.
        prompts: What the model continues, so that the words it writes can be counted.
        emitted_texts: How many continuations.
        random_probes: Probes of chance for each representation and split.
        pairs: Answers of which one is preferred; without any there is no preference probe.
        progress: Told how many texts of the triples are read, and how many there are.

    Raises:
        ValueError: See the functions that are called.
    """
    model, tokenizer, subject = reader.model, reader.tokenizer, reader.subject
    often = emitted_words(model, tokenizer, prompts, texts=emitted_texts, seed=_EMISSION_SEED)
    texts = triple_texts(triples)
    read = represented(model, tokenizer, texts, reader.coders, over="last", progress=progress)
    tables = [
        reward_tables(subject, triples, read, lexicon, random_probes=random_probes, emitted=often),
        unseen_word_tables(subject, triples, read, lexicon, random_probes=random_probes, emitted=often),
    ]
    if pairs:
        answers = represented(model, tokenizer, preference_texts(tokenizer, pairs), reader.coders, over="mean")
        tables.append(preference_tables(subject, answers))
    return ProbeTables.joined(tables)
