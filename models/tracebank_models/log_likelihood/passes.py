"""Forward passes that score continuations: each after its own context, or all of a context after its keys and values.

Sequences here fit the model, and none is empty.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from tracebank_models.language_model.sampling import padding_tolerance
from tracebank_models.language_model.taken_positions import log_probabilities_of, logits_at
from tracebank_models.language_model.text_limits import embedding_rows
from tracebank_models.language_model.token_blocks import padded_batch

from .batches import length_batches
from .mode import scoring

Ids = Sequence[int]
Said = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Log-probabilities of tokens, and whether each is the likeliest."""
_PADDING: Final = 0
"""Any id that has a vector: no number depends on it."""
_MOST_LOGITS: Final = 1 << 26
"""Of a forward pass: 256 MiB in fp32."""
_MOST_CACHED: Final = 1 << 28
"""Bytes of keys and values of contexts that are kept at once, and as many for the continuations of a pass."""
_OF_KEYS: Final = (DynamicLayer, DynamicSlidingWindowLayer)
"""Layers of a cache that hold keys and values alone."""
_CACHED_BYTES: Final[WeakKeyDictionary[PreTrainedModel, int]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class ScoredTokens:
    """Continuations of a batch; the tokens of all follow each other."""

    rows: NDArray[np.int64]
    """Which continuations."""
    log_probabilities: NDArray[np.float64]
    greedy: NDArray[np.bool_]


def most_logits(model: PreTrainedModel) -> int:
    """Positions of a forward pass at which logits are made."""
    return max(1, _MOST_LOGITS // embedding_rows(model))


def score_whole(
    model: PreTrainedModel, contexts: Sequence[Ids], continuations: Sequence[Ids], batch_tokens: int
) -> Iterator[ScoredTokens]:
    """Score each continuation in one sequence with its context.

    Args:
        model: A causal language model.
        contexts: One for each continuation.
        continuations: What is scored.
        batch_tokens: Most tokens of a forward pass.
    """
    taken = _lengths(continuations)
    read = _lengths(contexts) + taken - 1  # the last token is only predicted
    for rows in length_batches(read, taken, batch_tokens, most_logits(model)):
        sequences = [(*contexts[row], *continuations[row])[:-1] for row in rows]
        ids, mask = _padded(model, sequences)
        places = torch.arange(ids.shape[1]) >= torch.from_numpy(read[rows] - taken[rows])[:, None]
        with scoring(model):
            logits, _ = logits_at(model, ids, mask, places.to(ids.device) & mask.bool())
            found = _said(logits, _flat(model, [continuations[row] for row in rows]))
        yield ScoredTokens(rows, *found)


def score_shared(
    model: PreTrainedModel, contexts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], batch_tokens: int
) -> Iterator[ScoredTokens]:
    """Score all continuations of each context after its keys and values, which are computed once.

    Args:
        model: One for which `shares_contexts` says so.
        contexts: Different ones.
        continuations: Those of each context; they are numbered through in this order.
        batch_tokens: Most tokens of a forward pass.
    """
    counts = np.array([len(some) for some in continuations], dtype=np.int64)
    first, lengths = np.cumsum(counts) - counts, _lengths(contexts)
    for batch in length_batches(lengths, np.ones_like(lengths), _most_cached(model), most_logits(model)):
        rows = np.concatenate([first[one] + np.arange(counts[one]) for one in batch])
        owners = np.repeat(np.arange(len(batch)), counts[batch])
        texts = list(chain.from_iterable(continuations[one] for one in batch))
        those = [contexts[one] for one in batch]
        with scoring(model):
            found = _after_contexts(model, those, texts, owners, batch_tokens, _most_cached(model))
        yield ScoredTokens(rows, *found)


def _after_contexts(
    model: PreTrainedModel,
    contexts: Sequence[Ids],
    continuations: Sequence[Ids],
    owners: NDArray[np.int64],
    batch_tokens: int,
    most_cached: int,
) -> Said:
    """Of the tokens of continuations, each of the context that owns it."""
    lengths = _lengths(continuations)
    starts = np.cumsum(lengths) - lengths
    values, greedy = np.empty(lengths.sum()), np.empty(lengths.sum(), dtype=np.bool_)
    cache, mask, logits, places = _read_all(model, contexts, batch_tokens)
    owners, most = places[owners], most_logits(model)
    for first in range(0, len(owners), most):
        part = slice(first, first + most)
        targets = _flat(model, [ids[:1] for ids in continuations[part]])
        values[starts[part]], greedy[starts[part]] = _said(logits[_rows(model, owners[part])], targets)
    longer = np.flatnonzero(lengths > 1)
    width, rest = mask.shape[1], lengths[longer] - 1
    for some in length_batches(width + rest, rest, most_cached, min(batch_tokens, most)):
        rows = longer[some]
        spots = np.concatenate([np.arange(starts[row] + 1, starts[row] + lengths[row]) for row in rows])
        said = _continue(model, cache, mask, [continuations[row] for row in rows], owners[rows])
        values[spots], greedy[spots] = said
    return values, greedy


def _read_all(
    model: PreTrainedModel, contexts: Sequence[Ids], batch_tokens: int
) -> tuple[Cache, Tensor, Tensor, NDArray[np.int64]]:
    """`_read` of as many contexts at once as a pass may hold, put together, and where each context is then.

    Continuations of many contexts are at hand then, so that those read together are of nearly one length.
    """
    lengths = _lengths(contexts)
    batches = list(length_batches(lengths, np.ones_like(lengths), batch_tokens, batch_tokens))
    parts = [_read(model, [contexts[row] for row in rows]) for rows in batches]
    caches, masks, logits = zip(*parts, strict=True)
    width = int(lengths.max())
    mask = torch.cat([nn.functional.pad(one, (width - one.shape[1], 0)) for one in masks])
    return _together(caches), mask, torch.cat(logits), np.argsort(np.concatenate(batches))


def _together(caches: Sequence[Cache]) -> Cache:
    """Caches of several batches as one, each padded on the left to the longest."""
    whole = copy.copy(max(caches, key=lambda cache: cache.get_seq_length()))
    whole.layers = []
    for layers in zip(*(cache.layers for cache in caches), strict=True):
        longest = copy.copy(max(layers, key=lambda layer: layer.get_seq_length()))
        width = longest.keys.shape[-2]
        for name in ("keys", "values"):
            parts = [getattr(layer, name) for layer in layers]
            padded = [nn.functional.pad(part, (0, 0, width - part.shape[-2], 0)) for part in parts]
            setattr(longest, name, torch.cat(padded))
        whole.layers.append(longest)
    return whole


def _read(model: PreTrainedModel, contexts: Sequence[Ids]) -> tuple[Cache | None, Tensor, Tensor]:
    """Keys and values of contexts, padded on the left so that continuations are next to them; mask; last logits."""
    ids, mask = _padded(model, contexts, left=True)
    last = torch.zeros_like(mask, dtype=torch.bool)
    last[:, -1] = True
    logits, out = logits_at(model, ids, mask, last, use_cache=True)
    return getattr(out, "past_key_values", None), mask, logits


def _continue(
    model: PreTrainedModel, cache: Cache, mask: Tensor, continuations: Sequence[Ids], owners: NDArray[np.int64]
) -> Said:
    """What is said about all tokens of continuations but the first, after cached contexts."""
    ids, own = _padded(model, [ids[:-1] for ids in continuations])
    rows = _rows(model, owners)
    both = torch.cat((mask[rows], own), dim=1)
    past = _selected(cache, rows)
    logits, _ = logits_at(model, ids, both, own.bool(), past_key_values=past, use_cache=True)
    return _said(logits, _flat(model, [ids[1:] for ids in continuations]))


def _selected(cache: Cache, rows: Tensor) -> Cache:
    """Some rows of a cache, which stays as it is."""
    selected = copy.copy(cache)
    selected.layers = [copy.copy(layer) for layer in cache.layers]
    selected.batch_select_indices(rows)
    return selected


def last_distributions(
    model: PreTrainedModel, contexts: Sequence[Ids], batch_tokens: int
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Rows of contexts, and log-probabilities after their last tokens, fp32 [rows, vocabulary]."""
    lengths = _lengths(contexts)
    for rows in length_batches(lengths, np.ones_like(lengths), batch_tokens, most_logits(model)):
        ids, mask = _padded(model, [contexts[row] for row in rows])
        last = torch.arange(ids.shape[1], device=ids.device) == mask.sum(dim=1, keepdim=True) - 1
        with scoring(model):
            logits, _ = logits_at(model, ids, mask, last)
            found = torch.log_softmax(logits.float(), dim=-1)
        yield rows, found


def shares_contexts(model: PreTrainedModel) -> bool:
    """Whether continuations can be read after keys and values of their contexts, padded; tried once for each model.

    Not where layers keep other states, as in state-space models: these do not go on for several tokens. Not where
    padding before a context is taken for tokens.
    """
    if model not in _CACHED_BYTES:
        _CACHED_BYTES[model] = _tried(model)
    return _CACHED_BYTES[model] > 0


def _most_cached(model: PreTrainedModel) -> int:
    return _MOST_CACHED // _CACHED_BYTES[model]


def _tried(model: PreTrainedModel) -> int:
    """Bytes of keys and values for each token; 0 where they cannot be shared."""
    ids = [number % embedding_rows(model) for number in range(11, 20)]
    contexts, continuations = [ids[:5], ids[:3]], [ids[5:8], ids[3:9]]
    with scoring(model):
        layers = getattr(_read(model, contexts)[0], "layers", None)
        if not layers or any(type(layer) not in _OF_KEYS for layer in layers):
            return 0
        beside, _ = _after_contexts(model, contexts, continuations, np.arange(2), 64, 64)
    alone = [next(score_whole(model, [one], [two], 1)) for one, two in zip(contexts, continuations, strict=True)]
    moved = np.abs(np.concatenate([one.log_probabilities for one in alone]) - beside).max()
    sizes = (part.nbytes // part.shape[0] // part.shape[-2] for layer in layers for part in (layer.keys, layer.values))
    return sum(sizes) if moved <= padding_tolerance(model) else 0


def _padded(model: PreTrainedModel, sequences: Sequence[Ids], left: bool = False) -> tuple[Tensor, Tensor]:
    ids, mask = padded_batch([np.array(ids, dtype=np.int32) for ids in sequences], _PADDING, left)
    return ids.to(model.device), mask.to(model.device)


def _flat(model: PreTrainedModel, sequences: Sequence[Ids]) -> Tensor:
    return torch.tensor(list(chain.from_iterable(sequences)), device=model.device)


def _rows(model: PreTrainedModel, numbers: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(numbers).to(model.device)


def _lengths(sequences: Sequence[Ids]) -> NDArray[np.int64]:
    return np.array([len(ids) for ids in sequences], dtype=np.int64)


def _said(logits: Tensor, targets: Tensor) -> Said:
    """Of the target of each position."""
    found = log_probabilities_of(logits, targets)
    return found.cpu().numpy(), (logits.argmax(dim=-1) == targets).cpu().numpy()
