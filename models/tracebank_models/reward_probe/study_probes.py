"""Every probe of a study, of its base and of its tuned model, and what the tuned one knows more; as rows.

Each model is read through its own dictionaries, once for all probes, and both read the same texts. A reward that the
base carries already was not taught by tuning: what tuning taught is the difference. How probes are fitted is said by
`word_probe`, `replication` and `preference_probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.reward_probe.agreement import WIDENING, Measured
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple, triple_texts
from tracebank_models.reward_probe.emitted_words import emitted_words
from tracebank_models.reward_probe.preference_probe import Pairs, held_out_preferences, told
from tracebank_models.reward_probe.probe_tables import (
    PREFERENCE,
    REPLICATION,
    REWARD,
    WORDS,
    ProbedModel,
    ProbeTables,
    difference_rows,
    probe_table,
    reward_rows,
    weight_rows,
)
from tracebank_models.reward_probe.replication import replicate, split_triples
from tracebank_models.reward_probe.representations import SPARSE, Representations, represented
from tracebank_models.reward_probe.word_probe import ProbedWords, WordCodes, WordProbeSettings, probe_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tracebank_models.language_model.direct_preference import PreferencePair
    from tracebank_models.language_model.prompts import PromptSource

_EMISSION_SEED: Final = 7_001


@dataclass(frozen=True, slots=True)
class ProbedReader:
    """A model with the dictionaries that it is read through."""

    subject: ProbedModel
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    coders: Mapping[str, SparseCoder]
    """By site."""
    prompts: PromptSource
    """What the model continues, so that the words it writes can be counted."""


@dataclass(frozen=True, slots=True)
class StudyProbeSettings:
    """How much is done."""

    words: WordProbeSettings
    """Its seed and draws are those of the preference probe too."""
    emitted_texts: int = 512
    """Continuations of each model whose words are counted."""
    random_probes: int = 20
    """Of the replication."""


@dataclass(frozen=True, slots=True)
class _Side:
    """All probes of one model, and those that are compared with the other's: by task and representation."""

    tables: ProbeTables
    compared: Mapping[tuple[str, str], tuple[str, Measured]]
    """Name and figures of each."""


def probe_study(
    sides: Mapping[str, ProbedReader],
    triples: Sequence[ContrastiveTriple],
    lexicon: Mapping[str, float],
    settings: StudyProbeSettings,
    *,
    pairs: Sequence[PreferencePair] = (),
    progress: Callable[[int, int], None] | None = None,
) -> ProbeTables:
    """All probes of both sides, `base` and `tuned`, with their controls and the differences tuned less base.

    Args:
        sides: What is read, by side.
        triples: Contrastive triples.
        lexicon: Valence of words.
        settings: How much is done.
        pairs: Answers of which one is preferred; without any there is no preference probe.
        progress: Told how many texts of triples are read, and how many there are.

    Raises:
        ValueError: See the functions that are called.
    """
    answers = Pairs.of(sides["base"].tokenizer, pairs) if pairs else None
    found = {
        side: _probed(reader, triples, lexicon, answers, settings, _counting(progress, at, len(sides)))
        for at, (side, reader) in enumerate(sides.items())
    }
    base, tuned = found["base"].compared, found["tuned"].compared
    taught = [
        difference_rows(name, base[what][0], measured.less(base[what][1])) for what, (name, measured) in tuned.items()
    ]
    return ProbeTables.joined([*(side.tables for side in found.values()), *taught])


def _counting(progress: Callable[[int, int], None] | None, at: int, sides: int) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, count: progress(at * count + done, sides * count)


def _probed(
    reader: ProbedReader,
    triples: Sequence[ContrastiveTriple],
    lexicon: Mapping[str, float],
    answers: Pairs | None,
    settings: StudyProbeSettings,
    progress: Callable[[int, int], None] | None,
) -> _Side:
    model, tokenizer, subject = reader.model, reader.tokenizer, reader.subject
    read = represented(model, tokenizer, triple_texts(triples), reader.coders, over="last", progress=progress)
    words = probe_representations(triples, read, lexicon, settings.words)
    often = emitted_words(model, tokenizer, reader.prompts, texts=settings.emitted_texts, seed=_EMISSION_SEED)
    tables = [
        word_tables(subject, words, read),
        *_replicated(subject, triples, read, lexicon, settings.random_probes, often),
    ]
    compared = {(REWARD, one): (subject.probe(REWARD, "ridge", one), found.measured) for one, found in words.items()}
    if answers is not None:
        means = represented(model, tokenizer, answers.texts, reader.coders, over="mean")
        for kind, one, measured, table in _preferences(subject, answers, means, lexicon, settings.words):
            tables.append(table)
            if kind == "logistic":
                compared[PREFERENCE, one] = subject.probe(PREFERENCE, kind, one), measured
    return _Side(ProbeTables.joined(tables), compared)


def probe_representations(
    triples: Sequence[ContrastiveTriple],
    read: Representations,
    lexicon: Mapping[str, float],
    settings: WordProbeSettings,
) -> dict[str, ProbedWords]:
    """The probe of words' valences on each representation of `triple_texts(triples)` at the last token.

    Raises:
        ValueError: See `WordCodes.of`.
    """
    found = {name: WordCodes.of(triples, codes, lexicon) for name, codes in read.codes.items()}
    with _as_many_threads_as_torch():
        return {name: probe_words(words, settings) for name, words in found.items()}


def _as_many_threads_as_torch() -> AbstractContextManager[object]:
    """For scikit-learn, whose matrices are small here: more threads only wait for each other."""
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[object] = threadpool_limits(torch.get_num_threads())
    return limited


def word_tables(
    subject: ProbedModel, words: Mapping[str, ProbedWords], read: Representations, task: str = REWARD
) -> ProbeTables:
    """Rows of a probe of words on each representation, with its controls where it has any.

    Args:
        subject: The model.
        words: By representation, what came of it.
        read: What was read.
        task: `reward`, or `dynamics` for one checkpoint among many.
    """
    tables = []
    for one, found in words.items():
        count, inputs = found.read.codes.shape
        for kind, figures in found.figures().items():
            fitted = 0 if kind == "random" else count
            tables.append(probe_table(subject, task, kind, one, figures, inputs=inputs, rows=(fitted, count)))
        name = subject.probe(task, "ridge", one)
        tables.append(reward_rows(name, found.rewards()))
        if one == SPARSE:
            tables.append(weight_rows(subject, name, found.weights, read.features))
        if one == SPARSE and len(found.shuffled):
            sign = found.draws.measured(np.sign(found.read.valences)).figures()
            tables.append(probe_table(subject, task, "sign", WORDS, sign, rows=(0, count)))
    return ProbeTables.joined(tables)


def _replicated(
    subject: ProbedModel,
    triples: Sequence[ContrastiveTriple],
    read: Representations,
    lexicon: Mapping[str, float],
    random_probes: int,
    emitted: Mapping[str, int],
) -> Iterator[ProbeTables]:
    train, test = split_triples(len(triples))
    for one, codes in read.codes.items():
        for probe in replicate(triples, codes, lexicon, random_probes=random_probes, emitted=emitted):
            trained = probe.kind == "ridge"
            number, rows = (None, 2 * len(train)) if trained else (probe.number, 0)
            yield probe_table(
                subject, REPLICATION, probe.kind, one, probe.figures,
                number=number, inputs=codes.shape[1], rows=(rows, 2 * len(test)),
            )  # fmt: skip
            if trained:
                yield reward_rows(subject.probe(REPLICATION, probe.kind, one), probe.rewards)


def _preferences(
    subject: ProbedModel,
    answers: Pairs,
    read: Representations,
    lexicon: Mapping[str, float],
    settings: WordProbeSettings,
) -> Iterator[tuple[str, str, Measured, ProbeTables]]:
    """Kind, representation, figures and rows of the trained probes, and of what needs no model."""
    seed, draws, count = settings.seed, settings.draws, len(answers.texts)
    for one, codes in read.codes.items():
        with _as_many_threads_as_torch():
            scores, weights = held_out_preferences(codes.double().numpy(), answers.prompts, seed=seed)
        measured = told(scores, answers.prompts, seed=seed, draws=draws).widened(WIDENING)
        table = probe_table(
            subject, PREFERENCE, "logistic", one, measured.figures(), inputs=codes.shape[1], rows=(count, count)
        )
        if one == SPARSE:
            name = subject.probe(PREFERENCE, "logistic", one)
            table = ProbeTables.joined([table, weight_rows(subject, name, weights, read.features)])
        yield "logistic", one, measured, table
    for kind, scores in answers.controls(lexicon).items():
        measured = told(scores, answers.prompts, seed=seed, draws=draws, middle=float(np.median(scores)))
        yield kind, WORDS, measured, probe_table(subject, PREFERENCE, kind, WORDS, measured.figures(), rows=(0, count))
