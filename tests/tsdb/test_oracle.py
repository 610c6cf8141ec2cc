"""The oracle against answers worked out by hand, and against itself on rows in another order."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_benchmarks.tsdb.comparison import answer_schema, compare
from tracebank_benchmarks.tsdb.data import example_parameters, small_data_sets
from tracebank_benchmarks.tsdb.oracle import PLANS, answer
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS, Parameters

from .rows import MIDNIGHT, NO_BOOK, NO_TRADES, at, book, trades

DAY: Parameters = {"start": MIDNIGHT, "end": at(86_400)}


def rows(workload: str, parameters: Parameters, *frames: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The answer's rows, in the order of its key."""
    found = answer(BY_ID[workload], parameters, *frames)
    return pl.DataFrame(found).sort(BY_ID[workload].key).rows()


def test_every_read_has_a_plan() -> None:
    assert set(PLANS) == {workload.id for workload in READS}
    assert len(READS) == 28


def test_volume_per_minute_has_the_mean_of_the_minutes_with_rows() -> None:
    data = trades(
        (0, "A", "x", 1, 10.0, 1.0),
        (59.999, "A", "x", 2, 10.0, 2.0),
        (180, "A", "y", 3, 10.0, 5.0),
        (181, "B", "y", 4, 10.0, 7.0),
        (240, "A", "x", 5, 10.0, 100.0),
    )
    asked = {"symbols": ("A", "B"), "start": MIDNIGHT, "end": at(240)}
    found = rows("R1", asked, data, NO_BOOK)
    assert found == [("A", at(0), 3.0, 4.0), ("A", at(180), 5.0, 4.0), ("B", at(180), 7.0, 7.0)]
    assert rows("R2", asked, data, NO_BOOK)[0] == ("A", at(0), 10.0, 3.0, 2)


def test_spread_in_units_and_basis_points() -> None:
    quotes = book((0, "A", "x", 1, 99.0, 101.0), (1, "A", "x", 2, 199.0, 201.0))
    [(symbol, spread, bps)] = rows("R4", {"symbols": ("A",), **DAY}, NO_TRADES, quotes)
    assert (symbol, spread) == ("A", 2.0)
    assert bps == pytest.approx(1e4 * (2 / 100 + 2 / 200) / 2)


def test_best_of_venues_carries_each_venue_along() -> None:
    quotes = book(
        (0, "A", "x", 1, 10.0, 12.0),
        (1, "A", "y", 2, 11.0, 14.0),
        (1, "A", "x", 3, 9.0, 10.0),
        (1, "B", "y", 4, 50.0, 51.0),
        (2, "A", "y", 5, 8.0, 9.5),
    )
    found = rows("R5", {"symbol": "A", **DAY}, NO_TRADES, quotes)
    assert found == [(1, 10.0, 12.0), (2, 11.0, 12.0), (3, 11.0, 10.0), (5, 9.0, 9.5)]
    later = {"symbol": "A", "start": at(1), "end": at(2)}
    assert rows("R5", later, NO_TRADES, quotes) == [(2, 11.0, 14.0), (3, 11.0, 10.0)]


def test_returns_skip_buckets_without_rows_and_go_by_seq() -> None:
    quotes = book(
        (0, "A", "x", 1, 99.0, 101.0),
        (299, "A", "x", 2, 199.0, 201.0),
        (299, "A", "y", 3, 99.0, 101.0),
        (900, "A", "x", 4, 109.0, 111.0),
        (1200, "A", "x", 5, 99.0, 101.0),
    )
    asked = {"symbols": ("A", "B"), **DAY}
    first, second, third = rows("R6", asked, NO_TRADES, quotes)
    assert first == ("A", at(0), 100.0, None)
    assert second[:3] == ("A", at(900), 110.0)
    assert second[3] == pytest.approx(math.log(1.1))
    assert third[3] == pytest.approx(-math.log(1.1))
    [(symbol, volatility, n)] = rows("R8", asked, NO_TRADES, quotes)
    assert (symbol, n) == ("A", 2)
    assert volatility == pytest.approx(math.sqrt(2) * math.log(1.1))


def test_a_symbol_without_a_return_has_no_row_and_one_return_has_no_deviation() -> None:
    data = trades((0, "A", "x", 1, 10.0, 1.0), (1, "B", "x", 2, 1.0, 1.0), (400, "B", "x", 3, 2.0, 1.0))
    asked = {"symbols": ("A", "B"), **DAY}
    assert rows("R7", asked, data, NO_BOOK) == [("B", None, 1)]
    [(symbol, realised, deviation, n)] = rows("R22", DAY, data, NO_BOOK)
    assert (symbol, deviation, n) == ("B", None, 1)
    assert realised == pytest.approx(math.log(2))


def test_book_at_a_time_takes_the_highest_seq_of_a_tie() -> None:
    quotes = book(
        (1, "A", "x", 1, 10.0, 12.0),
        (2, "A", "y", 2, 20.0, 22.0),
        (2, "A", "x", 3, 30.0, 32.0),
        (2, "B", "x", 4, 40.0, 42.0),
        (3, "A", "x", 5, 50.0, 52.0),
    )
    moments = (("A", at(2)), ("A", at(1.999)), ("A", at(0.5)), ("A", at(99)), ("C", at(99)))
    found = rows("R10", {"moments": moments}, NO_TRADES, quotes)
    assert [row[:3] for row in found] == [("A", at(1.999), 10.0), ("A", at(2), 30.0), ("A", at(99), 50.0)]
    names = answer_schema(BY_ID["R10"]).names
    assert found[1][names.index("bid_price_9")] == 21.0
    assert found[1][names.index("ask_price_9")] == 41.0
    assert found[1][names.index("ask_qty_9")] == 1.0


def test_market_at_a_time_has_nulls_where_there_is_nothing() -> None:
    data = trades((1, "A", "x", 1, 5.0, 1.0), (1, "A", "y", 2, 6.0, 1.0))
    quotes = book((2, "A", "x", 1, 10.0, 12.0))
    moments = (("A", at(0)), ("A", at(1)), ("A", at(2)), ("B", at(2)))
    found = rows("R13", {"moments": moments}, data, quotes)
    assert found == [
        ("A", at(0), None, None, None),
        ("A", at(1), 6.0, None, None),
        ("A", at(2), 6.0, 10.0, 12.0),
        ("B", at(2), None, None, None),
    ]


def test_trades_as_of_the_book_of_the_window() -> None:
    data = trades((0, "A", "x", 1, 5.0, 1.0), (5, "A", "x", 2, 5.0, 1.0), (9, "A", "y", 3, 5.0, 1.0))
    quotes = book(
        (1, "A", "x", 10, 1.0, 2.0),
        (5, "A", "y", 11, 3.0, 4.0),
        (5, "A", "x", 12, 5.0, 6.0),
        (9.001, "A", "x", 13, 7.0, 8.0),
    )
    whole = {"symbols": ("A",), **DAY}
    assert rows("R14", whole, data, quotes) == [(1, None, None, None), (2, 12, 5.0, 6.0), (3, 12, 5.0, 6.0)]
    late = {"symbols": ("A",), "start": at(6), "end": at(10)}
    assert rows("R14", late, data, quotes) == [(3, None, None, None)]


def test_statistics_per_minute_of_the_clock() -> None:
    data = trades(
        (50, "A", "x", 1, 1.0, 1.0),
        (61, "A", "x", 2, 2.0, 1.0),
        (62, "A", "x", 3, 4.0, 1.0),
        (63, "A", "y", 4, 9.0, 1.0),
    )
    found = rows("R16", {"venue": "x", "start": at(30), "end": at(90)}, data, NO_BOOK)
    assert found[0] == ("A", at(0), 1, 1.0, None, 1.0, 1.0)
    assert found[1] == ("A", at(60), 2, 3.0, pytest.approx(math.sqrt(2)), 2.0, 4.0)


def test_time_until_a_multiple_has_traded() -> None:
    data = trades(
        (0, "A", "x", 1, 100.0, 2.0),
        (1, "B", "x", 2, 1.0, 50.0),
        (2, "A", "y", 3, 10.0, 3.0),
        (2, "A", "x", 4, 20.0, 1.0),
        (3, "A", "x", 5, 40.0, 4.0),
        (4, "A", "x", 6, 80.0, 31.0),
        (5, "A", "x", 7, 80.0, 1.0),
    )
    found = rows("R17", {"seqs": (1, 6, 2), "end": at(5)}, data, NO_BOOK)
    assert found[:3] == [
        (1, 2, at(2), pytest.approx((3 * 10 + 20) / 4)),
        (1, 4, at(3), pytest.approx((30 + 20 + 160) / 8)),
        (1, 20, None, None),
    ]
    assert found[3:] == [(seq, multiple, None, None) for seq in (2, 6) for multiple in (2, 4, 20)]
    [_, _, (seq, multiple, reached, vwap)] = rows("R17", {"seqs": (1,), "end": at(6)}, data, NO_BOOK)
    assert (seq, multiple, reached) == (1, 20, at(5))
    assert vwap == pytest.approx((30 + 20 + 160 + 80 * 32) / 40)


def test_volume_curve_is_a_mean_over_symbols_and_days() -> None:
    data = trades(
        (0, "A", "x", 1, 1.0, 1.0),
        (60, "A", "x", 2, 1.0, 3.0),
        (61, "B", "x", 3, 1.0, 2.0),
        (86_400 + 60, "A", "x", 4, 1.0, 5.0),
    )
    asked = {"symbols": ("A", "B"), "start": MIDNIGHT, "end": at(2 * 86_400)}
    assert rows("R18", asked, data, NO_BOOK) == [(0, 0.25), (1, pytest.approx((0.75 + 1 + 1) / 3))]


def test_cost_of_a_sweep() -> None:
    quotes = book((0, "A", "x", 1, 9.0, 10.0), (1, "A", "x", 2, 9.0, 10.0), ask_qty_0=[0.5, 100.0])
    found = rows("R20", {"symbol": "A", "qty": 2.0, **DAY}, NO_TRADES, quotes)
    assert found == [(1, pytest.approx((0.5 * 10 + 11 + 0.5 * 12) / 2)), (2, 10.0)]
    held = {"symbol": "A", "qty": 9.5, "start": MIDNIGHT, "end": at(1)}
    assert rows("R20", held, NO_TRADES, quotes) == [(1, pytest.approx((5 + sum(range(11, 20))) / 9.5))]
    assert rows("R20", held | {"qty": 9.75}, NO_TRADES, quotes) == [(1, None)]


def test_order_flow_imbalance() -> None:
    quotes = book(
        (0, "A", "x", 1, 10.0, 12.0),
        (0.1, "A", "x", 2, 10.0, 12.0),
        (0.2, "A", "y", 3, 99.0, 100.0),
        (1.0, "A", "x", 4, 11.0, 12.0),
        (1.5, "A", "x", 5, 9.0, 11.0),
        (3.0, "A", "x", 6, 9.0, 13.0),
        bid_qty_0=[1.0, 3.0, 7.0, 5.0, 2.0, 2.0],
        ask_qty_0=[1.0, 4.0, 7.0, 6.0, 8.0, 9.0],
    )
    found = rows("R21", {"symbol": "A", "venue": "x", **DAY}, NO_TRADES, quotes)
    same_prices = (3 - 1) - (4 - 1)
    bid_up, both_down = 5 - (6 - 4), -5 - 8
    ask_up = (2 - 2) + 8
    assert found == [(at(0), same_prices), (at(1), bid_up + both_down), (at(3), ask_up)]


def test_correlation_of_minutes_that_both_have() -> None:
    growth = {"A": (1, 2, 4, 2, 1), "B": (1, 4, 16, 4, 1), "C": (1, 0.5, 0.25, 0.5, 1), "D": (1, 2, 4, 8, 16)}
    data = trades(
        *((60.0 * minute, symbol, "x", 10 * minute + which, float(prices[minute]), 1.0)
          for minute in range(5) for which, (symbol, prices) in enumerate(growth.items()))
    )  # fmt: skip
    found = rows("R23", {"symbols": ("A", "B", "C", "D"), **DAY}, data, NO_BOOK)
    assert [row[:2] for row in found] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [row[2] for row in found] == pytest.approx([1.0, -1.0, -1.0])
    assert {row[3] for row in found} == {4}
    some = data.filter(~((pl.col("symbol") == "B") & pl.col("seq").is_in([11, 21, 31])))
    assert rows("R23", {"symbols": ("A", "B"), **DAY}, some, NO_BOOK) == []


def test_last_minutes_before_a_time() -> None:
    data = trades(*((60.0 * minute + 5, "AB"[minute % 2], "x", minute, float(minute), 1.0) for minute in range(8)))
    found = rows("R26", {"end": at(60 * 6 + 5)}, data, NO_BOOK)
    assert found == [(at(60 * minute), float(minute)) for minute in range(1, 6)]


def test_runs_of_equal_price() -> None:
    prices = (5, 5, 6, 6, 6, 5, 5, 7)
    data = trades(*((float(n), "A", "x", 10 * n, float(price), 1.0) for n, price in enumerate(prices)))
    data = pl.concat([data, trades((2.5, "A", "y", 25, 9.0, 1.0), (2.6, "B", "x", 26, 9.0, 1.0))])
    asked = {"symbol": "A", "venue": "x", **DAY}
    assert rows("R28", asked | {"length": 2}, data, NO_BOOK) == [(0, 5.0, 2), (20, 6.0, 3), (50, 5.0, 2)]
    assert rows("R28", asked | {"length": 3}, data, NO_BOOK) == [(20, 6.0, 3)]
    assert rows("R28", asked | {"length": 1, "start": at(3), "end": at(5)}, data, NO_BOOK) == [(30, 6.0, 2)]


@given(small_data_sets(60), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_does_not_matter(data: tuple[pl.DataFrame, pl.DataFrame], seed: int) -> None:
    shuffled = [frame.sample(fraction=1, shuffle=True, seed=seed) for frame in data]
    for workload in READS:
        parameters = example_parameters(workload, *data, seed)
        expected = answer(workload, parameters, *data)
        assert expected.schema == answer_schema(workload)
        assert compare(workload, expected, answer(workload, parameters, *shuffled)) == [], workload.id


def test_a_parameter_of_a_wrong_kind_is_named() -> None:
    with pytest.raises(TypeError, match="parameter end='soon' is no time"):
        answer(BY_ID["R26"], {"end": "soon"}, NO_TRADES, NO_BOOK)
