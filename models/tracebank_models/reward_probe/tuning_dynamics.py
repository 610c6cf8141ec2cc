"""What the tuned model's features, and a probe on them, were at each checkpoint on the way from base to tuned.

The dictionaries are those of the end: a feature is followed back through tuning, not found anew at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.activity import feature_activity, feature_states
from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.language_model.tokenizer import tokenizer_hash
from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple, triple_texts
from tracebank_models.reward_probe.probe_tables import DYNAMICS, ProbedModel, ProbeTables
from tracebank_models.reward_probe.representations import represented
from tracebank_models.reward_probe.study_probes import probe_representations, word_tables
from tracebank_models.reward_probe.word_probe import WordProbeSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model on the way, loaded only when its turn comes."""

    model: str
    step: int
    """Of tuning; 0 is the base."""
    load: Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerBase]]


@dataclass(frozen=True, slots=True)
class TuningDynamics:
    """What was found at all checkpoints."""

    features: pl.DataFrame
    """Columns of `feature_dynamics`: model, dictionary, feature, step, density, mean_activation, state."""
    probes: ProbeTables
    """A ridge probe on each representation of each checkpoint."""


def follow_tuning(
    checkpoints: Iterable[Checkpoint],
    key: str,
    study: str,
    coders: Mapping[str, SparseCoder],
    dictionaries: Mapping[str, str],
    texts: Sequence[str],
    triples: Sequence[ContrastiveTriple],
    lexicon: Mapping[str, float],
    *,
    max_tokens: int,
    seed: int = 0,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> TuningDynamics:
    """Look at each checkpoint through the same dictionaries; one model is in memory at a time.

    Args:
        checkpoints: In the order of tuning, all with one tokenizer.
        key: Of the study and its seed: what names of probes begin with.
        study: Name of the study.
        coders: The tuned model's dictionary of each site.
        dictionaries: Its full name.
        texts: What features are counted on.
        triples: What the probes are fitted on, in the same folds at every checkpoint.
        lexicon: Valence of words.
        max_tokens: Where the texts are cut.
        seed: The study's: of the probes' folds and draws.
        on_checkpoint: Told when a checkpoint is done.

    Raises:
        ValueError: There is no checkpoint, or one has another tokenizer; see also the functions that are called.
    """
    corpus: TokenCorpus | None = None
    seen: list[tuple[Checkpoint, pl.DataFrame]] = []
    probes: list[ProbeTables] = []
    for checkpoint in checkpoints:
        model, tokenizer = checkpoint.load()
        if corpus is None:
            corpus = TokenCorpus.from_texts(texts, tokenizer, max_tokens=max_tokens)
        corpus.check_model(model, tokenizer_hash(tokenizer))
        seen.append((checkpoint, feature_activity(model, corpus, coders)))
        read = represented(model, tokenizer, triple_texts(triples), coders, over="last")
        words = probe_representations(triples, read, lexicon, WordProbeSettings(seed, controls=0))
        subject = ProbedModel(key, study, seed, checkpoint.model, dictionaries)
        probes.append(word_tables(subject, words, read, DYNAMICS))
        if on_checkpoint is not None:
            on_checkpoint(checkpoint)
    if not seen:
        raise ValueError(f"checkpoints: study {study!r} has none: allowed is at least one")
    return TuningDynamics(_feature_rows(seen, dictionaries), ProbeTables.joined(probes))


def _feature_rows(seen: Sequence[tuple[Checkpoint, pl.DataFrame]], dictionaries: Mapping[str, str]) -> pl.DataFrame:
    states = feature_states([frame for _, frame in seen])
    dictionary = pl.col("site").replace_strict(dict(dictionaries), return_dtype=pl.String).alias("dictionary")
    columns = "feature", "step", "density", "mean_activation", "state"
    return pl.concat(
        frame.with_columns(pl.lit(checkpoint.step, pl.Int64).alias("step")).select(
            pl.lit(checkpoint.model).alias("model"), dictionary, *columns
        )
        for (checkpoint, _), frame in zip(seen, states, strict=True)
    )
