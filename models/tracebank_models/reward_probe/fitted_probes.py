"""All probes of one model, from codes that were read already: of the reward, of unseen words, of preferences.

Fitting is `probe`'s, `unseen_words`' and `linear_probes`'; here every fit becomes rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple
from tracebank_models.reward_probe.linear_probes import LinearProbe
from tracebank_models.reward_probe.probe import (
    RewardProbe,
    fit_preference_probe,
    fit_reward_probes,
    probe_weights,
    split_triples,
)
from tracebank_models.reward_probe.probe_tables import (
    METRIC_SCHEMA,
    PREFERENCE,
    PROBE_SCHEMA,
    REWARD,
    REWARD_SCHEMA,
    SPLIT_SEED,
    UNSEEN_WORDS,
    WEIGHT_SCHEMA,
    ProbedModel,
    ProbeTables,
    of_probe,
)
from tracebank_models.reward_probe.representations import SPARSE, Representations
from tracebank_models.reward_probe.unseen_words import fit_unseen_words, held_out_words, unseen_words_metric


def reward_tables(
    subject: ProbedModel,
    triples: Sequence[ContrastiveTriple],
    read: Representations,
    lexicon: Mapping[str, float],
    *,
    task: str = REWARD,
    random_probes: int,
    emitted: Mapping[str, int] | None = None,
) -> ProbeTables:
    """The paper's probe, split by triple, with its controls.

    Args:
        subject: The model.
        triples: The triples.
        read: Their texts (see `triple_texts`) at the last token.
        lexicon: Valence of words.
        task: `reward`, or `dynamics` for one checkpoint among many.
        random_probes: Probes of chance for each representation.
        emitted: How often the model emits each word.

    Raises:
        ValueError: See `fit_reward_probes`.
    """
    found = fit_reward_probes(
        triples, read.codes, lexicon, seed=SPLIT_SEED, random_probes=random_probes, emitted=emitted
    )
    train, test = split_triples(len(triples), seed=SPLIT_SEED)
    known = {word for number in train.tolist() for word in (triples[number].positive, triples[number].negative)}
    tables = [
        _reward_table(
            subject, task, one, read, (2 * len(train), 2 * len(test)), unseen_words_metric(one.rewards, known)
        )
        for one in found
    ]
    return ProbeTables.joined(tables)


def unseen_word_tables(
    subject: ProbedModel,
    triples: Sequence[ContrastiveTriple],
    read: Representations,
    lexicon: Mapping[str, float],
    *,
    random_probes: int,
    emitted: Mapping[str, int] | None = None,
) -> ProbeTables:
    """The same probe with its controls, split by word; arguments are those of `reward_tables`."""
    held_out = held_out_words(triples, seed=SPLIT_SEED)
    found = fit_unseen_words(
        triples, read.codes, lexicon, held_out, seed=SPLIT_SEED, random_probes=random_probes, emitted=emitted
    )
    tested = sum(word in held_out for triple in triples for word in (triple.positive, triple.negative))
    rows = 2 * len(triples) - tested, tested
    return ProbeTables.joined(
        _reward_table(subject, UNSEEN_WORDS, one, read, rows, unseen_words_metric(one.rewards, [])) for one in found
    )


def _reward_table(
    subject: ProbedModel,
    task: str,
    one: RewardProbe,
    read: Representations,
    rows: tuple[int, int],
    unseen: pl.DataFrame,
) -> ProbeTables:
    name = subject.probe(task, one.kind, one.representation, one.seed)
    fitted = one.kind == "ridge"
    inputs = len(one.probe.weights)
    probe = (
        name, subject.study, subject.model, task, one.kind, one.representation, one.seed, inputs,
        rows[0] if fitted else 0, rows[1],
    )  # fmt: skip
    metrics = pl.concat([one.metrics, unseen])
    return ProbeTables(
        pl.DataFrame([probe], schema=PROBE_SCHEMA, orient="row"),
        of_probe(name, metrics, METRIC_SCHEMA),
        _weights(subject, name, one.probe, one.representation, read) if fitted else pl.DataFrame(schema=WEIGHT_SCHEMA),
        of_probe(name, one.rewards, REWARD_SCHEMA) if fitted else pl.DataFrame(schema=REWARD_SCHEMA),
    )


def preference_tables(subject: ProbedModel, read: Representations) -> ProbeTables:
    """The logistic probe that tells preferred answers from others, on each representation.

    Args:
        subject: The model.
        read: Means over texts: first every preferred one, then, in the same order, every other one.

    Raises:
        ValueError: See `fit_preference_probe`.
    """
    return ProbeTables.joined(_preference_table(subject, name, read) for name in read.codes)


def _preference_table(subject: ProbedModel, representation: str, read: Representations) -> ProbeTables:
    chosen, rejected = read.codes[representation].chunk(2)
    probe, accuracy = fit_preference_probe(chosen, rejected, seed=SPLIT_SEED)
    name = subject.probe(PREFERENCE, "logistic", representation)
    counts = dict(accuracy.select("split", "count").iter_rows())
    row = (
        name, subject.study, subject.model, PREFERENCE, "logistic", representation, SPLIT_SEED,
        chosen.shape[1], counts["train"], counts["test"],
    )  # fmt: skip
    metric = pl.col("split").replace_strict({"train": "train_accuracy", "test": "accuracy"})
    metrics = accuracy.select(metric.alias("metric"), value="accuracy", p_value=pl.lit(None), count="count")
    return ProbeTables(
        pl.DataFrame([row], schema=PROBE_SCHEMA, orient="row"),
        of_probe(name, metrics, METRIC_SCHEMA),
        _weights(subject, name, probe, representation, read),
        pl.DataFrame(schema=REWARD_SCHEMA),
    )


def _weights(
    subject: ProbedModel, name: str, probe: LinearProbe, representation: str, read: Representations
) -> pl.DataFrame:
    if representation != SPARSE:
        return pl.DataFrame(schema=WEIGHT_SCHEMA)
    found = probe_weights(probe, read.features)
    dictionary = pl.col("site").replace_strict(dict(subject.dictionaries), return_dtype=pl.String)
    return of_probe(name, found.with_columns(dictionary.alias("dictionary")), WEIGHT_SCHEMA)
