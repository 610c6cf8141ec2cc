"""One random number generator for compiled code: xoshiro256++ of Blackman and Vigna, seeded by a hash of names.

Its own, so that the numbers do not change with the version of a library and each stream can be named by what it is
for. Nothing here knows what the numbers are used for.
"""

from __future__ import annotations

import hashlib
import math
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

RandomState: TypeAlias = NDArray[np.uint64]
"""The four words of a generator; functions here advance it in place."""

_TWO_TO_MINUS_53 = 1.0 / 9007199254740992.0


def random_state(*name: object) -> RandomState:
    """A generator that depends on nothing but its name.

    Args:
        name: What the stream is for, for example `(seed, "orders", venue, symbol)`.

    Returns:
        State of shape (4,).
    """
    digest = hashlib.blake2b("\x1f".join(str(part) for part in name).encode(), digest_size=32).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


@njit(cache=True, error_model="numpy")
def next_word(state: RandomState) -> np.uint64:
    """The next 64 random bits."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    total = s0 + s3
    word: np.uint64 = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
    return word


@njit(cache=True, error_model="numpy")
def uniform(state: RandomState) -> float:
    """A number in (0, 1), neither end included."""
    return (float(next_word(state) >> np.uint64(11)) + 0.5) * _TWO_TO_MINUS_53


@njit(cache=True, error_model="numpy")
def exponential(state: RandomState) -> float:
    """An exponential number of mean 1."""
    return -math.log(uniform(state))


@njit(cache=True, error_model="numpy")
def normal(state: RandomState) -> float:
    """A standard normal number (Box and Muller)."""
    return math.sqrt(-2.0 * math.log(uniform(state))) * math.cos(2.0 * math.pi * uniform(state))


@njit(cache=True, error_model="numpy")
def fill_uniform(state: RandomState, out: NDArray[np.float64]) -> None:
    """Fill a vector with numbers in (0, 1)."""
    for index in range(out.size):
        out[index] = uniform(state)


@njit(cache=True, error_model="numpy")
def fill_exponential(state: RandomState, out: NDArray[np.float64]) -> None:
    """Fill a vector with exponential numbers of mean 1."""
    for index in range(out.size):
        out[index] = exponential(state)
