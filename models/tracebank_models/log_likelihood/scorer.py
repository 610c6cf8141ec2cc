"""Scores pairs of a context and a continuation: batches as they are done, the whole in order, or token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import check_settings
from tracebank_models.language_model.text_limits import context_length, embedding_rows

from .passes import ScoredTokens, last_distributions, score_shared, score_whole, shares_contexts


class TokenPair(NamedTuple):
    """Token ids of a context, and of the continuation whose likelihood after it is asked for."""

    context: tuple[int, ...]
    """Empty only where the model has a start token, which then stands for it."""
    continuation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScorerSettings:
    """How pairs are scored; what comes out depends on `too_long` alone."""

    batch_tokens: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] | None = None
    """Most tokens that a forward pass reads, padding among them; a longer pair goes alone. None: 2,048 on a CPU, whose
    caches hold no more, else 16,384."""
    share_contexts: bool = True
    """Whether pairs of one context share its keys and values, where the model has such."""
    too_long: Literal["refuse", "report"] = "refuse"
    """Whether pairs longer than the model's context are an error, or have NaN for their log-likelihood."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is not allowed; the line names it, its value and what is allowed.
        """
        check_settings(self)

    def tokens_on(self, device: torch.device) -> int:
        """`batch_tokens` on a device."""
        return self.batch_tokens or (2048 if device.type == "cpu" else 16_384)


@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores of some pairs, an array each."""

    index: NDArray[np.int64]
    """Place of the pair among those that were given."""
    log_likelihood: NDArray[np.float64]
    """Sum over the continuation's tokens, nats; NaN where the pair is longer than the model's context."""
    tokens: NDArray[np.int64]
    """Of the continuation."""
    greedy: NDArray[np.bool_]
    """Whether every token of the continuation was the likeliest."""


Progress = Callable[[int], None]
"""Told how many more pairs are done."""


def score_pairs(
    model: PreTrainedModel,
    pairs: Sequence[TokenPair],
    settings: ScorerSettings | None = None,
    progress: Progress | None = None,
) -> Iterator[PairScores]:
    """Score pairs, each finished batch as it comes, long ones first; every pair is in one batch.

    Args:
        model: A causal language model; its mode is put back.
        pairs: Contexts and continuations.
        settings: How; None takes the defaults.
        progress: Told how many more pairs are done.

    Raises:
        ValueError: A continuation is empty, so is a context of a model without a start token, an id has no vector, or
            a pair is longer than the model's context and is to be refused.
    """
    for done, lengths in _finished(model, pairs, settings or ScorerSettings()):
        starts = np.cumsum(lengths) - lengths
        sums = np.add.reduceat(done.log_probabilities, starts)
        yield PairScores(done.rows, sums, lengths, np.logical_and.reduceat(done.greedy, starts))
        if progress is not None:
            progress(len(done.rows))


def scored(
    model: PreTrainedModel,
    pairs: Sequence[TokenPair],
    settings: ScorerSettings | None = None,
    progress: Progress | None = None,
) -> PairScores:
    """Score pairs, all in the order in which they are given; see `score_pairs`."""
    none = PairScores(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))
    parts = [none, *score_pairs(model, pairs, settings, progress)]
    whole: list[Any] = [np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(PairScores)]
    order = np.argsort(whole[0])
    return PairScores(*(column[order] for column in whole))


def token_log_probabilities(
    model: PreTrainedModel, pairs: Sequence[TokenPair], settings: ScorerSettings | None = None
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Place of each pair and the log-probabilities (nats) of its continuation's tokens, as they come.

    Raises:
        ValueError: See `score_pairs`.
    """
    for done, lengths in _finished(model, pairs, settings or ScorerSettings()):
        parts = np.split(done.log_probabilities, np.cumsum(lengths)[:-1])
        yield from zip(done.rows.tolist(), parts, strict=True)


def last_log_probabilities(
    model: PreTrainedModel, contexts: Sequence[tuple[int, ...]], settings: ScorerSettings | None = None
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
    """The distribution of the token after each context, as batches come.

    Returns:
        Places of the contexts, and log-probabilities, fp32 [contexts of the batch, vocabulary], on the model's device.

    Raises:
        ValueError: See `score_pairs`; pairs that are too long are refused.
    """
    whole = [_started(model, context, f"contexts: number {row}") for row, context in enumerate(contexts)]
    _check_ids(model, whole)
    too_long = _too_long(model, np.array([len(one) for one in whole], dtype=np.int64))
    _refuse_long(model, "contexts", too_long)
    yield from last_distributions(model, whole, (settings or ScorerSettings()).tokens_on(model.device))


def encoded_pair(tokenizer: PreTrainedTokenizerBase, context: str, continuation: str) -> TokenPair:
    """Token ids of a context and its continuation, cut where the tokens of the context alone end.

    Blanks at the end of the context go to the continuation, as most tokenizers put them into the next word's token. A
    start token stands first where the tokenizer puts one before a text.

    Raises:
        ValueError: The continuation is empty, or a token would hold characters of both.
    """
    blanks = len(context) - len(context.rstrip())
    if blanks:
        context, continuation = context[:-blanks], context[-blanks:] + continuation
    before, whole = (_ids(tokenizer, text) for text in (context, context + continuation))
    if whole[: len(before)] != before or len(whole) == len(before):
        raise ValueError(
            f"continuation: {continuation[:40]!r} after {context[-40:]!r} does not begin with a token of its own;"
            " allowed: one that does (let it begin with a blank or a new line, or let the context end earlier)"
        )
    start = tuple(one for one in tokenizer("")["input_ids"][:1] if one == tokenizer.bos_token_id)
    return TokenPair(start + before, whole[len(before) :])


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _finished(
    model: PreTrainedModel, pairs: Sequence[TokenPair], settings: ScorerSettings
) -> Iterator[tuple[ScoredTokens, NDArray[np.int64]]]:
    """Batches that are done, with the tokens of each of their pairs."""
    contexts = [_started(model, pair.context, f"pairs: context of pair {row}") for row, pair in enumerate(pairs)]
    continuations = [pair.continuation for pair in pairs]
    if () in continuations:
        row = continuations.index(())
        raise ValueError(f"pairs: continuation of pair {row} is empty; allowed: at least one token")
    _check_ids(model, contexts)
    _check_ids(model, continuations)
    lengths = np.array([len(ids) for ids in continuations], dtype=np.int64)
    too_long = _too_long(model, lengths - 1 + np.array([len(ids) for ids in contexts], dtype=np.int64))
    if settings.too_long == "refuse":
        _refuse_long(model, "pairs", too_long)
    if len(too_long):
        count = lengths[too_long].sum()
        yield ScoredTokens(too_long, np.full(count, np.nan), np.zeros(count, dtype=np.bool_)), lengths[too_long]
    kept = np.setdiff1d(np.arange(len(pairs)), too_long)
    for done in _passes(model, contexts, continuations, kept, settings):
        yield done, lengths[done.rows]


def _passes(
    model: PreTrainedModel,
    contexts: Sequence[tuple[int, ...]],
    continuations: Sequence[tuple[int, ...]],
    kept: NDArray[np.int64],
    settings: ScorerSettings,
) -> Iterator[ScoredTokens]:
    """Score the pairs that are kept: those of one context together, the others alone."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row in kept.tolist():
        groups.setdefault(contexts[row], []).append(row)
    shared = {context: rows for context, rows in groups.items() if len(rows) > 1} if settings.share_contexts else {}
    if shared and not shares_contexts(model):
        shared = {}
    alone = [row for row in kept.tolist() if contexts[row] not in shared]
    most = settings.tokens_on(model.device)
    first, second = [contexts[row] for row in alone], [continuations[row] for row in alone]
    for done in score_whole(model, first, second, most):
        yield replace(done, rows=np.array(alone)[done.rows])
    if shared:
        together = np.array(list(chain.from_iterable(shared.values())))
        several = [[continuations[row] for row in rows] for rows in shared.values()]
        for done in score_shared(model, list(shared), several, most):
            yield replace(done, rows=together[done.rows])


def _started(model: PreTrainedModel, context: tuple[int, ...], name: str) -> tuple[int, ...]:
    """A context, or the start token in place of an empty one."""
    if context:
        return tuple(context)
    start = getattr(model.config, "bos_token_id", None)
    if not isinstance(start, int):
        raise ValueError(f"{name} is empty; allowed: at least one token, as the model has no start token")
    return (start,)


def _check_ids(model: PreTrainedModel, sequences: Sequence[tuple[int, ...]]) -> None:
    rows = embedding_rows(model)
    for number, ids in enumerate(sequences):
        if min(ids) < 0 or max(ids) >= rows:
            wrong = next(one for one in ids if not 0 <= one < rows)
            raise ValueError(f"pairs: id {wrong} of pair {number} is not allowed; allowed: 0 to {rows - 1}")


def _too_long(model: PreTrainedModel, read: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of which a model would have to read more tokens than it can."""
    most = context_length(model)
    return np.flatnonzero(read > most) if most is not None else np.empty(0, dtype=np.int64)


def _refuse_long(model: PreTrainedModel, name: str, rows: NDArray[np.int64]) -> None:
    if len(rows):
        raise ValueError(
            f"{name}: {len(rows)} are longer than the model's context, {context_length(model)} tokens, first number"
            f" {rows[0]}; allowed: shorter ones, or too_long = 'report', which counts them"
        )
