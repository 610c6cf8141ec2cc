"""Which units fire on the same tokens after the same tokens, across layers, models, neurons and features.

Two units are `similar` where they share at least nine tenths of the larger set, of the tokens that they fire on and of
those before these alike; else one is a `subset` of the other where they share as much of the smaller sets. As in the
papers it counts for nothing where in a graph a token stands. Otherwise than in the released code, two units that need
no token before are alike in that.

Not all pairs are compared: so few tokens of the smaller set may be missing in the other that one of its rarest must be
shared, and only units that are listed under these are looked at, which loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

_ROLES = ("fires_on", "after")
_UNIT = ["dictionary", "feature"]
_BLOCK = 1 << 20
"""Comparisons that are held at once, at least those of one unit."""
_Ints = NDArray[np.int64]


class SimilarUnits(NamedTuple):
    """Pairs, and what bounds kept out of them."""

    pairs: pl.DataFrame
    """dictionary, feature, other_dictionary, other_feature, relation (`similar`, or `subset`: the other is, and has
    fewer tokens), fires_on_shared and after_shared (tokens), similarity (least share of the larger sets)."""
    left_out: pl.DataFrame
    """dictionary, feature, comparisons (how many it would have taken, where those were too many; else 0) and pairs (how
    many there were beyond the most similar)."""


@dataclass(frozen=True, slots=True)
class _Sets:
    """A set of tokens of each unit, as rows of ones; the rarer a token, the lower its number."""

    rows: csr_array
    sizes: _Ints
    """1 for an empty set: a token that stands for none is in it, so that two such are alike."""
    empty: NDArray[np.bool_]
    rarest: csr_array
    """Those of a row of which one must be in any set that shares enough of it."""
    lists: csr_array
    """Units of each token."""

    @classmethod
    def of(cls, found: pl.DataFrame, units: int, threshold: float) -> _Sets:
        unit, token = found["unit"].to_numpy().astype(np.int64), found["token"].to_numpy().astype(np.int64)
        empty = np.bincount(unit, minlength=units) == 0
        unit = np.concatenate([unit, np.flatnonzero(empty)])
        token = np.concatenate([token, np.zeros(int(empty.sum()), np.int64)])  # numbers of tokens begin with 1
        counts = np.bincount(token)
        rarity = np.argsort(np.argsort(counts, kind="stable"))
        rows = csr_array((np.ones(unit.size, np.int32), (unit, rarity[token])), shape=(units, counts.size))
        rows.sort_indices()
        sizes = np.diff(rows.indptr).astype(np.int64)
        place = np.arange(unit.size) - np.repeat(rows.indptr[:-1], sizes)
        first = place <= np.repeat(sizes - _needed(sizes, threshold), sizes)
        ends = np.concatenate([[0], np.cumsum(first)])[rows.indptr]
        rarest = csr_array((rows.data[first], rows.indices[first], ends), shape=rows.shape)
        return cls(rows, sizes, empty, rarest, rows.T.tocsr())

    def costs(self, lists: csr_array) -> _Ints:
        """How many units are listed under the rarest tokens of each."""
        listed = np.diff(lists.indptr)[self.rarest.indices]
        found: _Ints = np.add.reduceat(listed, self.rarest.indptr[:-1], dtype=np.int64)
        return found

    def shared(self, one: _Ints, other: _Ints) -> _Ints:
        """How many tokens are in both of two units, pair by pair."""
        return np.asarray(self.rows[one].multiply(self.rows[other]).sum(axis=1), np.int64)


def _needed(sizes: _Ints, threshold: float) -> _Ints:
    """How many of so many must be shared: 9 of 10, whatever the last bit of 0.9 says."""
    needed: _Ints = np.maximum(np.ceil(sizes * threshold - 1e-9), 1).astype(np.int64)
    return needed


def similar_units(
    tokens: pl.DataFrame, threshold: float = 0.9, *, most_compared: int = 20_000, most_pairs: int = 100
) -> SimilarUnits:
    """Compare units by their tokens.

    Args:
        tokens: `search.unit_tokens`, of any dictionaries.
        threshold: Share of tokens, above 0 and up to 1.
        most_compared: A unit does not look for those with as many tokens or more where more than this are listed under
            its rarest ones, which is so where it has none but the most common; others may still find it.
        most_pairs: Of those that a unit finds the most similar are kept.

    Raises:
        ValueError: A number is out of bounds.
    """
    if not 0 < threshold <= 1 or min(most_compared, most_pairs) < 1:
        raise ValueError(
            f"threshold: {threshold}, most_compared: {most_compared}, most_pairs: {most_pairs} are not allowed: above 0"
            " and up to 1, and whole numbers from 1"
        )
    units = tokens.select(_UNIT).unique().sort(_UNIT).with_row_index("unit")
    if units.is_empty():
        units = units.with_columns(comparisons=pl.lit(0), pairs=pl.lit(0))
        return SimilarUnits(_named(_NO_PAIRS, units), units.drop("unit"))
    found = tokens.join(units, on=_UNIT).select("unit", "role", token=pl.col("token").rank("dense")).unique()
    sets = [_Sets.of(found.filter(role=role), units.height, threshold) for role in _ROLES]
    comparisons, dropped = np.zeros((2, units.height), np.int64)
    parts = [_NO_PAIRS]
    for role, asking, asked in _ways(sets):
        lists = sets[role].lists[:, asked]
        costs = sets[role].costs(lists)
        too_many = asking & (costs > most_compared)
        comparisons[too_many] = costs[too_many]
        for block in _blocks(np.flatnonzero(asking & ~too_many), costs):
            one, place = (sets[role].rarest[block] @ lists).nonzero()
            pairs = _alike(sets, role, block[one], asked[place], threshold)
            best = pl.int_range(pl.len()).over("one") < most_pairs
            dropped += np.bincount(pairs.filter(~best)["one"].to_numpy(), minlength=units.height)
            parts.append(pairs.filter(best))
    left_out = units.with_columns(comparisons=pl.Series(comparisons), pairs=pl.Series(dropped))
    left_out = left_out.filter((pl.col("comparisons") > 0) | (pl.col("pairs") > 0))
    return SimilarUnits(_named(pl.concat(parts), units), left_out.drop("unit"))


def _ways(sets: list[_Sets]) -> Iterator[tuple[int, NDArray[np.bool_], _Ints]]:
    """Role, the units that look for others in it, and the units that they look among.

    A pair is found by the unit that has fewer tokens of a role. Each looks in the role where fewer are listed. Of two
    that so look in different roles each may have more tokens in its own: the last way finds those.
    """
    by_after = sets[1].costs(sets[1].lists) < sets[0].costs(sets[0].lists)
    every = np.arange(by_after.size)
    yield 0, ~by_after, every
    yield 1, by_after, every
    yield 1, ~by_after, np.flatnonzero(by_after)


def _blocks(units: _Ints, costs: _Ints) -> Iterator[_Ints]:
    """Units in groups that take about as many comparisons."""
    group = np.cumsum(costs[units]) // _BLOCK
    yield from np.split(units, np.flatnonzero(np.diff(group)) + 1)


_NO_PAIRS = pl.DataFrame(
    schema={
        "one": pl.Int64,
        "other": pl.Int64,
        "relation": pl.String,
        "fires_on_shared": pl.Int64,
        "after_shared": pl.Int64,
        "similarity": pl.Float64,
        "more": pl.Boolean,
    }
)


def _alike(sets: list[_Sets], role: int, one: _Ints, other: _Ints, threshold: float) -> pl.DataFrame:
    """Those pairs that are similar or a subset, sorted by unit, the most similar first; `more`: the other has more."""
    size = sets[role].sizes
    kept = (one != other) & (size[one] <= size[other])
    one, other = one[kept], other[kept]
    for which in (role, 1 - role):
        each = sets[which]
        smaller = np.minimum(each.sizes[one], each.sizes[other])
        kept = each.shared(one, other) >= _needed(smaller, threshold)
        one, other = one[kept], other[kept]
    shared = [each.shared(one, other) for each in sets]
    larger = [np.maximum(each.sizes[one], each.sizes[other]) for each in sets]
    similar = np.logical_and(*(n >= _needed(most, threshold) for n, most in zip(shared, larger, strict=True)))
    whole = sets[0].sizes * ~sets[0].empty + sets[1].sizes * ~sets[1].empty
    # The token that stands for none is none.
    told = [s - (each.empty[one] & each.empty[other]) for s, each in zip(shared, sets, strict=True)]
    return pl.DataFrame(
        {
            "one": one,
            "other": other,
            "relation": np.where(similar, "similar", "subset"),
            "fires_on_shared": told[0],
            "after_shared": told[1],
            "similarity": np.minimum(*(s / m for s, m in zip(shared, larger, strict=True))),
            "more": (whole[other] > whole[one]) | ((whole[other] == whole[one]) & (other < one)),
        },
        schema=_NO_PAIRS.schema,
    ).sort("one", "similarity", "other", descending=[False, True, False])


def _named(pairs: pl.DataFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Pairs once each, the unit with more tokens first, under the names of the units."""
    turned = pairs.with_columns(
        unit=pl.when("more").then("other").otherwise("one"), other=pl.when("more").then("one").otherwise("other")
    )
    names = units.select(pl.col("unit").cast(pl.Int64), *_UNIT)
    others = names.rename({"unit": "other", "dictionary": "other_dictionary", "feature": "other_feature"})
    found = turned.unique(["unit", "other"]).join(names, on="unit").join(others, on="other").sort("unit", "other")
    return found.select(*_UNIT, *others.columns[1:], *_NO_PAIRS.columns[2:6])
