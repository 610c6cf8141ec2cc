"""Causal attention of short windows on one thread of a CPU, dropout included, forward and backward.

For a hundred ticks and heads of six numbers, torch's ways spend their time on matrices of weights, on zeros after the
present, and on random numbers; here a tick's weights stay in the cache, none is made for what it may not see, and what
is dropped is a hash of where it stands, made again in the backward pass instead of kept.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

_Floats = NDArray[np.float32]
_LOG2E: Final = np.float32(1.4426950408889634)
_LEAST: Final = np.float32(-126.0)
# 2^x on [-0.5, 0.5]: powers of ln 2 over factorials; the error is below float32's own.
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(np.log(2) ** k / np.prod(np.arange(1.0, k + 1))) for k in range(1, 7))
_ONE: Final = np.float32(1.0)
_HALF: Final = np.float32(0.5)


@njit(cache=True, inline="always")
def row_seed(seed: int, row: int) -> Any:
    """A start for the hashes of one row."""
    mixed = np.uint64(seed) + np.uint64(row) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint32((mixed ^ (mixed >> np.uint64(31))) & np.uint64(0xFFFFFFFF))


@njit(cache=True, inline="always")
def hashed(start: Any, at: int) -> Any:
    """32 random bits of a place in a row (the last steps of MurmurHash3)."""
    bits = np.uint32(start + np.uint32(at) * np.uint32(0x9E3779B1))
    bits = np.uint32(np.uint32(bits ^ np.uint32(bits >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    bits = np.uint32(np.uint32(bits ^ np.uint32(bits >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(bits ^ np.uint32(bits >> np.uint32(16)))


@njit(cache=True, inline="always")
def _kept(kept: _Floats, count: int, start: Any, limit: Any, scale: Any) -> None:
    """What each weight of a row is multiplied by: 0 or `scale`."""
    for at in range(count):
        kept[at] = scale if hashed(start, at) >= limit else np.float32(0.0)


@njit(cache=True, inline="always")
def _exponentials(values: _Floats, less: Any, count: int, whole: NDArray[np.int32], power: _Floats) -> None:
    """`exp(value - less)` in place, of what is at most a little above 0; `whole` and `power` share memory."""
    for at in range(count):
        scaled = max((values[at] - less) * _LOG2E, _LEAST)
        nearest = np.floor(scaled + _HALF)
        part = scaled - nearest
        whole[at] = (np.int32(nearest) + np.int32(127)) << np.int32(23)
        poly = _C5 + part * _C6
        poly = _C4 + part * poly
        poly = _C3 + part * poly
        poly = _C2 + part * poly
        poly = _C1 + part * poly
        values[at] = _ONE + part * poly
    for at in range(count):
        values[at] *= power[at]


@njit(cache=True, inline="always")
def _scores(scores: _Floats, count: int, query: _Floats, keys: _Floats) -> None:
    for at in range(count):
        scores[at] = query[0] * keys[0, at]
    for part in range(1, len(query)):
        for at in range(count):
            scores[at] += query[part] * keys[part, at]


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def attend(packed: _Floats, out: _Floats, sums: _Floats, seed: int, limit: Any, scale: Any) -> None:
    """Attend.

    Args:
        packed: `[b, ticks, 3, heads, parts]`: queries, keys, values.
        out: `[b, ticks, heads, parts]`, filled.
        sums: `[b, heads, ticks]`, filled with the logarithm of each row's sum of exponentials.
        seed: Of what is dropped.
        limit: Hashes below it drop their weight, a uint32; 0 drops none.
        scale: What kept weights are multiplied by.
    """
    windows, ticks, _, heads, parts = packed.shape
    root = np.float32(1 / np.sqrt(parts))
    keys, values = np.empty((parts, ticks), np.float32), np.empty((parts, ticks), np.float32)
    scores, kept, query = np.empty(ticks, np.float32), np.empty(ticks, np.float32), np.empty(parts, np.float32)
    whole = np.empty(ticks, np.int32)
    power = whole.view(np.float32)
    for window in range(windows):
        for head in range(heads):
            for tick in range(ticks):
                for part in range(parts):
                    keys[part, tick] = packed[window, tick, 1, head, part]
                    values[part, tick] = packed[window, tick, 2, head, part]
            for tick in range(ticks):
                count = tick + 1
                for part in range(parts):
                    query[part] = packed[window, tick, 0, head, part] * root
                _scores(scores, count, query, keys)
                most = scores[0]
                for at in range(count):
                    most = max(most, scores[at])
                _exponentials(scores, most, count, whole, power)
                total = np.float32(0.0)
                for at in range(count):
                    total += scores[at]
                sums[window, head, tick] = most + np.log(total)
                if limit:
                    _kept(kept, count, row_seed(seed, (window * heads + head) * ticks + tick), limit, scale)
                    for at in range(count):
                        scores[at] *= kept[at]
                for part in range(parts):
                    added = np.float32(0.0)
                    for at in range(count):
                        added += scores[at] * values[part, at]
                    out[window, tick, head, part] = added / total


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def attend_backward(
    packed: _Floats,
    out: _Floats,
    sums: _Floats,
    gradient: _Floats,
    packed_gradient: _Floats,
    seed: int,
    limit: Any,
    scale: Any,
) -> None:
    """Gradients of what `attend` made.

    Args:
        packed: As `attend` was given.
        out: As it made.
        sums: As it made.
        gradient: Of `out`.
        packed_gradient: Of `packed`, filled.
        seed: As `attend` was given.
        limit: Likewise.
        scale: Likewise.
    """
    windows, ticks, _, heads, parts = packed.shape
    root = np.float32(1 / np.sqrt(parts))
    keys, values = np.empty((parts, ticks), np.float32), np.empty((parts, ticks), np.float32)
    of_keys, of_values = np.empty((parts, ticks), np.float32), np.empty((parts, ticks), np.float32)
    weights, kept, query = np.empty(ticks, np.float32), np.ones(ticks, np.float32), np.empty(parts, np.float32)
    pulled, came = np.empty(ticks, np.float32), np.empty(parts, np.float32)
    whole = np.empty(ticks, np.int32)
    power = whole.view(np.float32)
    for window in range(windows):
        for head in range(heads):
            for tick in range(ticks):
                for part in range(parts):
                    keys[part, tick] = packed[window, tick, 1, head, part]
                    values[part, tick] = packed[window, tick, 2, head, part]
                    of_keys[part, tick] = np.float32(0.0)
                    of_values[part, tick] = np.float32(0.0)
            for tick in range(ticks):
                count = tick + 1
                own = np.float32(0.0)
                for part in range(parts):
                    query[part] = packed[window, tick, 0, head, part] * root
                    came[part] = gradient[window, tick, head, part]
                    own += came[part] * out[window, tick, head, part]
                _scores(weights, count, query, keys)
                _exponentials(weights, sums[window, head, tick], count, whole, power)
                _scores(pulled, count, came, values)
                if limit:
                    _kept(kept, count, row_seed(seed, (window * heads + head) * ticks + tick), limit, scale)
                for part in range(parts):
                    for at in range(count):
                        of_values[part, at] += weights[at] * kept[at] * came[part]
                for at in range(count):
                    pulled[at] = weights[at] * (pulled[at] * kept[at] - own)
                for part in range(parts):
                    added = np.float32(0.0)
                    for at in range(count):
                        added += pulled[at] * keys[part, at]
                        of_keys[part, at] += pulled[at] * query[part]
                    packed_gradient[window, tick, 0, head, part] = added * root
            for tick in range(ticks):
                for part in range(parts):
                    packed_gradient[window, tick, 1, head, part] = of_keys[part, tick]
                    packed_gradient[window, tick, 2, head, part] = of_values[part, tick]


@njit(cache=True)
def drop(values: _Floats, out: _Floats, seed: int, limit: Any, scale: Any) -> None:
    """Drop values `[rows, n]`: those whose hash is below `limit` become 0, the others are multiplied by `scale`."""
    rows, count = values.shape
    for row in range(rows):
        start = row_seed(seed, row)
        for at in range(count):
            out[row, at] = values[row, at] * (scale if hashed(start, at) >= limit else np.float32(0.0))
