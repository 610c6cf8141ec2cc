"""From stored rows to ticks: what counts, in which order, what breaks a stretch, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from tracebank_models.market.synthetic_exchange import SyntheticMarket, simulate
from tracebank_models.order_book_features.reading import LONGEST_PAUSE_S, Clock, read_ticks


@pytest.fixture(scope="module")
def book() -> pl.DataFrame:
    rows = simulate(SyntheticMarket(duration_s=20, venues=("synthetic_a",)), "SYNBTC", "synthetic_a").book
    assert len(rows) == 200
    return rows


def changed(book: pl.DataFrame, row: int, **values: Any) -> pl.DataFrame:
    """The book with some values of one row changed."""
    there = pl.int_range(pl.len()) == row
    return book.with_columns(
        pl.when(there).then(pl.lit(value, book.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def test_the_ticks_are_the_rows(book: pl.DataFrame) -> None:
    ticks = read_ticks(book.sample(fraction=1.0, shuffle=True, seed=1))
    assert (ticks.venue, ticks.symbol, ticks.clock) == ("synthetic_a", "SYNBTC", "local")
    assert np.array_equal(ticks.times, book["local_ts"].dt.epoch("ns").to_numpy())
    assert not ticks.segment.any()
    for side in ("bid", "ask"):
        for what in ("price", "qty"):
            names = [f"{side}_{what}_{level}" for level in range(10)]
            assert np.array_equal(getattr(ticks, f"{side}_{what}"), book.select(names).to_numpy())
    by_exchange = read_ticks(book, clock="exchange")
    assert np.array_equal(by_exchange.times, book["ts"].dt.epoch("ns").to_numpy())


@pytest.mark.parametrize("values", [{"state": "stale"}, {"state": "partial"}, {"ask_qty_9": None}])
def test_a_row_that_is_not_whole_is_left_out_and_breaks_the_stretch(book: pl.DataFrame, values: dict[str, Any]) -> None:
    ticks = read_ticks(changed(book, 50, **values))
    assert len(ticks) == 199
    assert np.array_equal(ticks.segment, np.repeat([0, 1], [50, 149]))
    assert not read_ticks(changed(book, 0, **values)).segment.any()


def test_fewer_levels_need_fewer_levels(book: pl.DataFrame) -> None:
    ticks = read_ticks(changed(book, 50, ask_qty_9=None), levels=9)
    assert len(ticks) == 200
    assert ticks.ask_qty.shape == (200, 9)
    assert not ticks.segment.any()


def test_a_skipped_update_breaks_the_stretch_of_its_own_book(book: pl.DataFrame) -> None:
    seq = book["seq"]
    for got_seq in (seq[49] + 1, seq[50]):
        gaps = gaps_of(book, got_seq)
        assert np.array_equal(read_ticks(book, gaps).segment, np.repeat([0, 1], [50, 150]))


def gaps_of(book: pl.DataFrame, got_seq: int) -> pl.DataFrame:
    """A gap of this book, of its symbol's sister, and of the same symbol elsewhere."""
    return pl.DataFrame(
        {
            "venue": ["synthetic_a", "synthetic_a", "synthetic_b"],
            "symbol": ["SYNBTC", "SYNETH", "SYNBTC"],
            "got_seq": [got_seq, book["seq"][80], book["seq"][90]],
        }
    )


def test_a_long_pause_breaks_the_stretch(book: pl.DataFrame) -> None:
    for pause_s, segments in ((LONGEST_PAUSE_S - 1, 1), (LONGEST_PAUSE_S + 1, 2)):
        later = pl.when(pl.int_range(pl.len()) >= 50).then(pl.duration(seconds=pause_s)).otherwise(pl.duration())
        moved = book.with_columns(pl.col("ts", "local_ts") + later)
        assert read_ticks(moved).segment[-1] == segments - 1


def test_a_row_that_came_after_a_younger_one_was_old(book: pl.DataFrame) -> None:
    late = changed(book, 50, local_ts=book["local_ts"][52])
    late = changed(late, 51, local_ts=book["local_ts"][90])
    ticks = read_ticks(late)
    # Row 50 came with row 52, of the same local time, so just before it; row 51 after rows 52 to 89.
    assert len(ticks) == 199
    assert not ticks.segment.any()
    assert (np.diff(ticks.times) >= 0).all()
    kept = np.delete(np.arange(200), 51)
    assert np.array_equal(ticks.bid_qty[:, 0], book["bid_qty_0"].to_numpy()[kept])
    assert len(read_ticks(late, clock="exchange")) == 200


def two_symbols(book: pl.DataFrame) -> pl.DataFrame:
    return changed(book, 3, symbol="SYNETH")


@pytest.mark.parametrize(
    ("change", "clock", "line"),
    [
        (lambda book: book.drop("bid_qty_7"), "local", "book: no column bid_qty_7; needed: "),
        (lambda book: book.clear(), "local", "book: it has no rows"),
        (two_symbols, "local", "book: rows of 2 instruments (SYNBTC at synthetic_a, SYNETH at synthetic_a); allowed: "),
        (
            lambda book: book.with_columns(ask_price_9=pl.lit(None, pl.Float64)),
            "local",
            "book: none of 200 rows is whole with 10 levels a side",
        ),
        (
            lambda book: changed(book, 3, bid_price_2=float("nan")),
            "exchange",
            "bid_price_2: nan at 2024-08-08T00:00:00.300",
        ),
        (lambda book: changed(book, 3, ask_qty_0=0.0), "exchange", "ask_qty_0: 0.0 at 2024-08-08T00:00:00.300"),
        (lambda book: changed(book, 3, bid_price_0=1e9), "exchange", "bid_price_0: 1000000000.0 at 2024-08-08T"),
        (
            lambda book: changed(book, 3, local_ts=None),
            "local",
            "clock: 'local' is not allowed: 1 rows have no such time; perhaps 'exchange'",
        ),
        (lambda book: changed(book, 3, clock="local"), "exchange", "clock: 'exchange' is not allowed: 1 rows have"),
        (lambda book: book, "atomic", "clock: 'atomic' is not allowed; allowed: local, exchange"),
    ],
)
def test_a_book_that_cannot_be_read_is_refused(book: pl.DataFrame, change: Any, clock: Clock, line: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as refusal:
        read_ticks(change(book), clock=clock)
    assert str(refusal.value).startswith(line)
