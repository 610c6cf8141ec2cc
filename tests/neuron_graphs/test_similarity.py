"""Pairs of units by inverted lists against all pairs compared, and what bounds keep out."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from tracebank_models.neuron_graphs.similarity import similar_units

Units = dict[tuple[str, int], tuple[set[str], set[str]]]
NINE = Fraction(9, 10)


def _frame(units: Units) -> pl.DataFrame:
    rows = [
        (*unit, role, token, None)
        for unit, sets in units.items()
        for role, tokens in zip(("fires_on", "after"), sets, strict=True)
        for token in sorted(tokens)
    ]
    schema = {
        "dictionary": pl.String,
        "feature": pl.Int32,
        "role": pl.String,
        "token": pl.String,
        "fires_on": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _shares(one: set[str], other: set[str]) -> tuple[Fraction, Fraction]:
    """Of the larger set, and of the smaller one, in whole numbers."""
    if not one and not other:
        return Fraction(1), Fraction(1)
    shared = len(one & other)
    return Fraction(shared, max(len(one), len(other))), Fraction(shared, max(min(len(one), len(other)), 1))


def _brute(units: Units) -> dict[frozenset[tuple[str, int]], tuple[str, float]]:
    found = {}
    for (one, sets), (other, others) in itertools.combinations(units.items(), 2):
        shares = [_shares(mine, its) for mine, its in zip(sets, others, strict=True)]
        of_larger, of_smaller = zip(*shares, strict=True)
        if min(of_smaller) >= NINE:
            relation = "similar" if min(of_larger) >= NINE else "subset"
            found[frozenset((one, other))] = relation, float(min(of_larger))
    return found


def _zipf(count: int, seed: int) -> Units:
    """Random units, a third of them near another one: as it is, or with more, fewer or other tokens."""
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, 61)
    words = np.array([f"w{number}" for number in range(60)])

    def drawn(least: int, most: int) -> set[str]:
        return set(random.choice(words, random.integers(least, most + 1), replace=False, p=share / share.sum()))

    units: Units = {}
    for number in range(count):
        sets = drawn(1, 12), drawn(0, 15)
        if number % 3 == 2:
            near = list(units.values())[random.integers(number)]
            sets = near[0] | drawn(0, 2), near[1] - drawn(0, 2)
            if random.random() < 0.5:
                sets = near[0] - drawn(0, 1) or near[0], near[1] | drawn(0, 4)
        units[f"m/layers.{number % 3}.neurons", number] = sets
    return units


@pytest.mark.parametrize("seed", range(3))
def test_inverted_lists_find_what_comparing_all_pairs_finds(seed: int) -> None:
    units = _zipf(200, seed)
    expected = _brute(units)
    assert {relation for relation, _ in expected.values()} == {"similar", "subset"}
    found = similar_units(_frame(units))
    assert found.left_out.is_empty()
    assert found.pairs.height == len(expected)
    for row in found.pairs.iter_rows(named=True):
        unit, other = (row["dictionary"], row["feature"]), (row["other_dictionary"], row["other_feature"])
        relation, similarity = expected[frozenset((unit, other))]
        assert (row["relation"], row["similarity"]) == (relation, pytest.approx(similarity))
        shared = [len(mine & its) for mine, its in zip(units[unit], units[other], strict=True)]
        assert [row["fires_on_shared"], row["after_shared"]] == shared
        assert sum(map(len, units[other])) <= sum(map(len, units[unit]))


def test_units_that_look_in_different_roles_are_found_where_each_has_more_tokens_in_its_own() -> None:
    """One has more tokens before, the other more that it fires on; all others make the rest common."""
    common = {f"c{number}" for number in range(3)}
    units: Units = {
        ("a", 0): (common, {"x", "y", "z"}),
        ("b", 0): (common | {"p", "q"}, {"x"}),
        **{("c", number): (common | {f"n{number}"}, {"x", f"m{number}"}) for number in range(30)},
    }
    assert frozenset((("a", 0), ("b", 0))) in _brute(units)
    found = similar_units(_frame(units)).pairs
    assert found.height == len(_brute(units))
    assert (
        found.filter(dictionary="b", other_dictionary="a").height
        + found.filter(dictionary="a", other_dictionary="b").height
        == 1
    )


def test_nine_of_ten_are_enough_and_a_unit_without_context_is_no_subset_of_one_with() -> None:
    ten = {str(number) for number in range(10)}
    units: Units = {
        ("a", 0): (ten, set()),
        ("b", 0): (ten - {"0"}, set()),
        ("c", 0): (ten - {"0", "1"}, set()),
        ("d", 0): (ten, {"x"}),
    }
    rows = (
        similar_units(_frame(units)).pairs.select("dictionary", "other_dictionary", "relation", "after_shared").rows()
    )
    assert rows == [("a", "b", "similar", 0), ("a", "c", "subset", 0), ("b", "c", "subset", 0)]


def test_what_bounds_keep_out_is_told() -> None:
    units: Units = {("the", number): ({"the"}, {"of"}) for number in range(40)} | {
        ("rare", number): ({"rare"}, {"of"}) for number in range(2)
    }
    found = similar_units(_frame(units), most_compared=30)
    assert found.pairs.select("dictionary", "feature", "other_feature").rows() == [("rare", 0, 1)]
    assert found.left_out.select("dictionary", "comparisons", "pairs").unique().rows() == [("the", 40, 0)]
    assert found.left_out.height == 40
    few = similar_units(_frame(units), most_pairs=5)
    assert few.left_out.filter(dictionary="the")["pairs"].to_list() == [34] * 40
    assert few.pairs.height <= 40 * 5 + 1


def test_no_units_make_no_pairs_and_bad_bounds_are_refused() -> None:
    found = similar_units(_frame({}))
    assert found.pairs.is_empty()
    assert found.pairs.columns == similar_units(_frame(_zipf(5, 0))).pairs.columns
    assert found.left_out.columns == ["dictionary", "feature", "comparisons", "pairs"]
    with pytest.raises(ValueError, match="threshold: 0"):
        similar_units(_frame({}), 0)
