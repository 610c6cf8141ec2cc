"""What a study would run on, read and counted before anything runs: documents, reward, words, pairs and triples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tracebank_models.language_model.corpora import Part, ReviewCorpus
from tracebank_models.language_model.corpus import Document
from tracebank_models.language_model.rewards import ClassifierEntry, LexiconEntry, ScoresEntry
from tracebank_models.reward_probe.study import Study
from tracebank_models.reward_probe.study_triples import TEXTS_PER_TRIPLE, triples_of

_PROMPTS = frozenset({"tuning", "evaluation", "emission", "preferences"})
"""Parts that prompts are drawn from."""
TUNING_DOCUMENTS = 2_000
"""Most documents that prompts of tuning are cut from."""
EVALUATION_DOCUMENTS = 1_000
"""Most documents that held-out prompts are cut from."""
SAMPLED_AT_ONCE = 64
"""Prompts of a batch of sampled pairs."""
SPARE_PROMPTS = 4
"""So many documents for each prompt of an ablation: short ones and starts that were there before are left out."""


def study_report(study: Study) -> list[tuple[str, str]]:
    """What it is about and what is said of it, line by line. Loads no language model.

    Raises:
        ValueError: Something that the study names is not right; the line begins with the study's path.
    """
    try:
        return [*_models(study), *_rewards(study), *_documents(study), *_pairs(study)]
    except ValueError as error:
        raise ValueError(f"studies.{study.name}: {error}") from None


def wanted_documents(study: Study) -> dict[Part, int]:
    """Most documents that are read of each part."""
    effort = study.effort
    sampled = study.method == "dpo" and study.data.samples_pairs
    endless = isinstance(study.data.corpus, ReviewCorpus)
    return {
        "tuning": 0 if study.method == "loaded" else TUNING_DOCUMENTS,
        "evaluation": EVALUATION_DOCUMENTS,
        "capture": effort.documents,
        "comparison": effort.loss_documents,
        "triples": effort.triples * (2 if endless else TEXTS_PER_TRIPLE),
        "emission": effort.ablation_prompts,
        "preferences": SAMPLED_AT_ONCE * effort.preference_batches if sampled else 0,
        "ablation": SPARE_PROMPTS * effort.ablation_prompts,
    }


def _models(study: Study) -> Iterator[tuple[str, str]]:
    base, tuned = study.base, study.tuned
    if not base.trained_here:
        yield "base", f"{base.source}, loaded"
    elif isinstance(base.corpus, ReviewCorpus):
        yield "base", f"{base.source}, trained here"
    else:
        count = len(base.corpus.documents("pretraining", 10**9))
        yield "base", f"{base.source}, trained here on {count:,} documents of {Path(base.corpus.path).name}"
    yield "tuned", f"{tuned.source}, loaded" if tuned else f"by {study.method.upper()}"
    yield "seeds", ", ".join(map(str, study.seeds))


def _rewards(study: Study) -> Iterator[tuple[str, str]]:
    data, lexicon = study.data, study.data.lexicon()
    words = f"{len(lexicon.word_valences()):,} words of lexicon {lexicon.name!r}"
    match data.reward:
        case LexiconEntry(scale=scale, clip=clip):
            own = data.reward.lexicon()
            yield "reward", f"valences of lexicon {own.name!r}, summed, over {scale:g}, within \u00b1{clip:g}"
        case ScoresEntry(path=path):
            yield (
                "reward",
                f"scores of {Path(path).name}: they rank its answers; other texts have the reward of the words",
            )
        case ClassifierEntry(model=model):
            yield "reward", f"classifier {model}: it has no valences of words, those below stand in"
    triples = triples_of(data, lexicon, study.effort.triples, seed=0)
    yield "words", f"probes, triples and ablations are about {words}"
    yield "triples", f"{len(triples):,} of {study.effort.triples:,}"


def _documents(study: Study) -> Iterator[tuple[str, str]]:
    if isinstance(study.data.corpus, ReviewCorpus):
        yield "documents", "product reviews, made as they are asked for"
        return
    yield "documents", Path(study.data.corpus.path).name
    for part, most in wanted_documents(study).items():
        if most:
            _check_prompts(part, study.data.documents(part, most))
            yield f"  {part}", f"{len(study.data.documents(part, most)):,} of at most {most:,}"


def _check_prompts(part: Part, documents: Sequence[Document]) -> None:
    from tracebank_models.language_model.prompts import PromptLengths

    shortest = PromptLengths().document_characters
    if part in _PROMPTS and all(len(document.text) <= shortest for document in documents):
        raise ValueError(f"corpus: no document for {part} has more than {shortest} characters; allowed: longer ones")


def _pairs(study: Study) -> Iterator[tuple[str, str]]:
    if not study.compares_answers:
        return
    found = study.data.preference_texts()
    if found is None:
        yield (
            "pairs",
            f"{SAMPLED_AT_ONCE * study.effort.preference_batches:,} sampled from the base, ranked by the reward",
        )
        return
    tuning, probe = study.data.pairs("tuning") or [], study.data.pairs("probe") or []
    yield "pairs", f"{len(tuning):,} to tune on, {len(probe):,} for the preference probe"
    if found.left_out:
        yield "  left out", ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items())
    batch = study.effort.dpo.batch_size
    if study.method == "dpo" and len(tuning) < batch:
        raise ValueError(
            f"dpo.batch_size: {batch} is not allowed; allowed: at most {len(tuning)}, the pairs to tune on"
        )
