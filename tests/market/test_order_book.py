"""The rebuilt book against a plain dictionary, the exchange's sequence rules, and prices as ticks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tracebank_models.market.carried_book import CarriedBook
from tracebank_models.market.chunks import DECODED, DepthEvents
from tracebank_models.market.order_book import IGNORED_AS, REMEMBERED_EVENTS, Fate
from tracebank_models.market.order_books import BookRows, OrderBooks
from tracebank_models.market.price_ticks import PriceScale, decimals

Level = tuple[float, float]


@dataclass
class Event:
    """One depth event, in words of the exchange."""

    seq: int | None
    first: int | None = None
    prev: int | None = None
    bids: list[Level] = field(default_factory=list)
    asks: list[Level] = field(default_factory=list)
    snapshot: bool = False
    symbol: str = "BTCUSDT"


def depth(events: list[Event], first_line: int = 1) -> DepthEvents:
    count = len(events)
    lines = list(range(first_line, first_line + count))
    frame = pl.DataFrame(
        {
            "ts": pl.Series([1_700_000_000_000_000_000 + line for line in lines]).cast(pl.Datetime("ns", "UTC")),
            "local_ts": pl.Series([None] * count, dtype=pl.Datetime("ns", "UTC")),
            "clock": ["exchange"] * count,
            "venue": ["binance_spot"] * count,
            "symbol": [event.symbol for event in events],
            "seq": pl.Series([event.seq for event in events], dtype=pl.Int64),
            "first_seq": pl.Series([event.first for event in events], dtype=pl.Int64),
            "prev_seq": pl.Series([event.prev for event in events], dtype=pl.Int64),
            "is_snapshot": [event.snapshot for event in events],
            "line": lines,
            "kind": ["depth"] * count,
        }
    )
    levels = [
        (is_bid, *level)
        for event in events
        for is_bid, side in ((True, event.bids), (False, event.asks))
        for level in side
    ]
    counts = [len(event.bids) + len(event.asks) for event in events]
    return DepthEvents(
        frame,
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        np.array([level[0] for level in levels], np.bool_),
        np.array([level[1] for level in levels], np.float64),
        np.array([level[2] for level in levels], np.float64),
    )


def apply(*events: Event) -> BookRows:
    return OrderBooks().apply(depth(list(events)))


def spot(first: int, last: int, bids: list[Level] | None = None, asks: list[Level] | None = None) -> Event:
    return Event(last, first, None, bids or [], asks or [])


def futures(prev: int, first: int, last: int, bids: list[Level] | None = None) -> Event:
    return Event(last, first, prev, bids or [], [])


def snapshot(last: int, bids: list[Level] | None = None, asks: list[Level] | None = None) -> Event:
    return Event(last, None, None, bids or [(99.5, 1.0)], asks or [(100.5, 1.0)], snapshot=True)


def states(rows: BookRows) -> list[str]:
    return rows.rows["state"].to_list()


def fates(rows: BookRows) -> list[Fate]:
    return [Fate(fate) for fate in rows.fates]


def test_rows_have_the_stored_columns_and_the_ten_best_levels() -> None:
    bids = [(100 - step / 2, 1.0 + step) for step in range(12)]
    rows = apply(snapshot(10, bids, [(101.0, 5.0)]), spot(11, 12, [(100.0, 0.0)], [(100.5, 7.0)])).rows
    assert dict(rows.schema) == DECODED["book"]
    last = rows.row(1, named=True)
    assert [last[f"bid_price_{at}"] for at in range(10)] == [price for price, _ in bids[1:11]]
    assert [last[f"bid_qty_{at}"] for at in range(10)] == [qty for _, qty in bids[1:11]]
    assert [last[f"ask_price_{at}"] for at in range(3)] == [100.5, 101.0, None]
    assert [last[f"ask_qty_{at}"] for at in range(3)] == [7.0, 5.0, None]
    assert rows["seq"].to_list() == [10, 12]
    assert rows["line"].to_list() == [1, 2]


def test_a_spot_snapshot_is_joined_by_the_first_difference_that_covers_the_next_id() -> None:
    rows = apply(snapshot(10), spot(5, 9), spot(10, 10), spot(9, 12), spot(13, 13))
    assert fates(rows) == [Fate.APPLIED, Fate.BEFORE_SNAPSHOT, Fate.BEFORE_SNAPSHOT, Fate.APPLIED, Fate.APPLIED]
    assert states(rows) == ["whole"] * 3
    assert rows.gaps == []


def test_a_futures_snapshot_is_joined_by_the_first_difference_that_covers_its_id() -> None:
    rows = apply(snapshot(10), futures(4, 5, 9), futures(9, 10, 10), futures(10, 14, 20), futures(20, 22, 30))
    assert fates(rows) == [Fate.APPLIED, Fate.BEFORE_SNAPSHOT, Fate.APPLIED, Fate.APPLIED, Fate.APPLIED]
    assert states(rows) == ["whole"] * 4


def test_before_a_snapshot_the_book_is_partial() -> None:
    rows = apply(spot(1, 2, [(99.0, 1.0)]), spot(3, 3, [], [(101.0, 1.0)]), snapshot(3), spot(4, 4))
    assert states(rows) == ["partial", "partial", "whole"]
    assert rows.rows["bid_price_0"].to_list() == [99.0, 99.0, 99.5]
    assert rows.rows["ask_price_0"].to_list() == [None, 101.0, 100.5]


@pytest.mark.parametrize(
    ("event", "expected", "got"),
    [(spot(13, 14), 11, 13), (futures(12, 13, 14), 10, 12)],
    ids=["spot", "futures"],
)
def test_a_gap_is_told_and_the_book_is_stale_until_a_snapshot(event: Event, expected: int, got: int) -> None:
    rows = apply(snapshot(10), event, snapshot(14), snapshot(20))
    assert [(gap.venue, gap.symbol, gap.expected_seq, gap.seq, gap.line) for gap in rows.gaps] == [
        ("binance_spot", "BTCUSDT", expected, got, 2)
    ]
    assert rows.gaps[0].ts_ns == 1_700_000_000_000_000_002
    assert states(rows) == ["whole", "stale", "whole"]
    assert fates(rows)[2] == Fate.SNAPSHOT_CAUGHT_UP


def test_levels_go_on_being_updated_while_the_book_is_stale() -> None:
    rows = apply(snapshot(10), spot(20, 20, [(99.75, 3.0)]), spot(21, 21, [(99.75, 0.0)]))
    assert states(rows) == ["whole", "stale", "stale"]
    assert rows.rows["bid_price_0"].to_list() == [99.5, 99.75, 99.5]


def test_a_difference_that_came_before_is_a_duplicate() -> None:
    rows = apply(snapshot(10), spot(11, 12), spot(11, 12), spot(10, 11), futures(12, 13, 14), futures(12, 13, 14))
    assert fates(rows)[2:] == [Fate.DUPLICATE, Fate.DUPLICATE, Fate.APPLIED, Fate.DUPLICATE]
    assert rows.gaps == []


def test_a_difference_that_overlaps_the_last_one_misses_nothing() -> None:
    rows = apply(snapshot(10), spot(11, 13), spot(12, 15), futures(14, 15, 18))
    assert states(rows) == ["whole"] * 4


def test_a_late_snapshot_is_brought_up_to_date_with_what_came_meanwhile() -> None:
    before = [spot(1, 5, [(99.0, 1.0)]), spot(6, 8, [(99.25, 2.0)]), spot(9, 9, [(99.5, 4.0)])]
    rows = apply(*before, snapshot(6, [(99.0, 1.0), (98.0, 9.0)]), spot(10, 10))
    assert fates(rows)[3] == Fate.SNAPSHOT_CAUGHT_UP
    assert states(rows) == ["partial"] * 3 + ["whole"]
    assert rows.rows["seq"].to_list() == [5, 8, 9, 10], "an update has one row, with its own time"
    after = rows.rows.row(3, named=True)
    assert [after[f"bid_price_{at}"] for at in range(5)] == [99.5, 99.25, 99.0, 98.0, None]
    assert [after[f"bid_qty_{at}"] for at in range(4)] == [4.0, 2.0, 1.0, 9.0]


def test_a_snapshot_older_than_what_is_known_does_not_heal() -> None:
    rows = apply(spot(20, 21), snapshot(10), spot(22, 22), snapshot(15))
    assert fates(rows) == [Fate.APPLIED, Fate.SNAPSHOT_TOO_OLD, Fate.APPLIED, Fate.SNAPSHOT_TOO_OLD]
    assert states(rows) == ["partial", "partial"]
    rows = apply(snapshot(10), spot(20, 21), snapshot(15), snapshot(19))
    assert fates(rows) == [Fate.APPLIED, Fate.APPLIED, Fate.SNAPSHOT_TOO_OLD, Fate.SNAPSHOT_CAUGHT_UP]
    assert states(rows) == ["whole", "stale"]


def test_a_whole_book_needs_no_snapshot_of_its_past() -> None:
    rows = apply(snapshot(10), spot(11, 12, [(99.75, 1.0)]), snapshot(11), snapshot(12), spot(13, 13))
    assert fates(rows)[2:4] == [Fate.SNAPSHOT_NOT_NEEDED] * 2
    assert rows.rows["bid_price_0"].to_list() == [99.5, 99.75, 99.75]


def test_every_fate_that_gives_no_row_has_a_name() -> None:
    assert set(Fate) == set(IGNORED_AS) | {Fate.APPLIED, Fate.DUPLICATE}


def test_events_without_ids_are_taken_in_file_order() -> None:
    rows = apply(
        Event(None, bids=[(99.0, 1.0)]),
        Event(None, bids=[(98.0, 1.0), (97.0, 1.0)], asks=[(100.0, 1.0)], snapshot=True),
        Event(None, bids=[(98.0, 0.0)]),
    )
    assert fates(rows) == [Fate.APPLIED] * 3
    assert states(rows) == ["partial", "whole", "whole"]
    assert rows.rows["bid_price_0"].to_list() == [99.0, 98.0, 97.0]
    assert rows.rows["seq"].null_count() == 3


def test_a_level_passed_by_a_newer_one_leaves_a_book_that_is_not_whole() -> None:
    books = OrderBooks()
    rows = books.apply(
        depth(
            [
                spot(1, 1, [], [(100.0, 1.0), (100.5, 1.0), (101.0, 1.0)]),
                spot(2, 2, [(100.5, 2.0)]),
                spot(3, 3, [], [(100.0, 5.0)]),
            ]
        )
    ).rows
    assert rows["ask_price_0"].to_list() == [100.0, 101.0, 100.0]
    assert rows["bid_price_0"].to_list() == [None, 100.5, None]
    assert books.removed_as_crossed == 3


def test_a_whole_book_is_left_as_the_exchange_sent_it() -> None:
    books = OrderBooks()
    rows = books.apply(depth([snapshot(1), spot(2, 2, [(100.5, 2.0)])])).rows
    assert rows.row(1, named=True)["bid_price_0"] == rows.row(1, named=True)["ask_price_0"] == 100.5
    assert books.removed_as_crossed == 0


def test_instruments_have_books_of_their_own() -> None:
    other = Event(5, bids=[(2000.0, 3.0)], snapshot=True, symbol="ETHUSDT")
    more = Event(6, 6, bids=[(2001.0, 3.0)], symbol="ETHUSDT")
    rows = apply(snapshot(10), other, spot(11, 11, [(99.75, 1.0)]), more).rows
    assert rows["symbol"].to_list() == ["BTCUSDT", "ETHUSDT", "BTCUSDT", "ETHUSDT"]
    assert rows["bid_price_0"].to_list() == [99.5, 2000.0, 99.75, 2001.0]


def test_a_finer_price_rescales_the_levels_that_are_there() -> None:
    rows = apply(
        snapshot(1, [(100.0, 1.0)], [(101.0, 1.0)]), spot(2, 2, [(100.00000001, 2.0)]), spot(3, 3, [(100.0, 0.0)])
    )
    assert rows.rows["bid_price_0"].to_list() == [100.0, 100.00000001, 100.00000001]
    assert rows.rows["bid_price_1"].to_list() == [None, 100.0, None]
    assert rows.rows["ask_price_0"].to_list() == [101.0] * 3


def test_what_is_remembered_for_a_snapshot_is_bounded_and_a_snapshot_before_it_is_too_old() -> None:
    books = OrderBooks()
    long = [spot(at, at, [(50 + at % 7, 1.0)]) for at in range(1, 3 * REMEMBERED_EVENTS)]
    for start in range(0, len(long), 1000):
        books.apply(depth(long[start : start + 1000]))
    assert fates(books.apply(depth([snapshot(100)]))) == [Fate.SNAPSHOT_TOO_OLD]
    assert fates(books.apply(depth([snapshot(len(long) - REMEMBERED_EVENTS // 2)]))) == [Fate.SNAPSHOT_CAUGHT_UP]
    assert books["binance_spot", "BTCUSDT"].state == "whole"


def test_beyond_a_snapshots_outermost_price_a_level_that_was_touched_may_not_be_the_best() -> None:
    near = [(101.0, 1.0), (102.0, 1.0)]
    rows = apply(
        snapshot(10, asks=near),
        spot(11, 11, [], [(150.0, 2.0)]),
        spot(12, 12, [(102.0, 3.0)], [(101.0, 0.0), (102.0, 0.0)]),
        spot(13, 13, [(102.0, 0.0)], [(101.5, 1.0)]),
    ).rows
    assert rows["state"].to_list() == ["whole", "whole", "partial", "whole"]
    assert rows["ask_price_0"].to_list() == [101.0, 101.0, 150.0, 101.5]
    assert rows["ask_price_2"].to_list() == [None] * 4, "between 102 and 150 others may rest"
    assert rows["bid_price_0"].to_list() == [99.5, 99.5, 102.0, 99.5]


def test_the_bid_side_ends_where_the_snapshot_does_too() -> None:
    rows = apply(snapshot(10), spot(11, 11, [(90.0, 1.0)]), spot(12, 12, [(99.5, 0.0)], [(95.0, 1.0)])).rows
    assert rows["state"].to_list() == ["whole", "whole", "partial"]
    assert rows["bid_price_1"].to_list() == [None] * 3
    assert rows["bid_price_0"].to_list() == [99.5, 99.5, 90.0]


def test_where_a_bid_rested_no_ask_did_so_that_much_is_known_afterwards() -> None:
    rows = apply(
        snapshot(10),
        spot(11, 11, [(110.0, 1.0)], [(100.5, 0.0), (111.0, 1.0)]),
        spot(12, 12, [(110.0, 0.0)], [(105.0, 1.0), (109.0, 1.0)]),
    ).rows
    assert rows["state"].to_list() == ["whole", "partial", "whole"]
    assert [rows[f"ask_price_{at}"][2] for at in range(3)] == [105.0, 109.0, None]


def test_a_side_that_a_snapshot_shows_empty_is_known_to_be_empty() -> None:
    empty = Event(10, bids=[(99.0, 1.0)], asks=[], snapshot=True)
    rows = apply(empty, spot(11, 11, [], [(500.0, 1.0)])).rows
    assert rows["state"].to_list() == ["whole", "whole"]
    assert rows["ask_price_0"].to_list() == [None, 500.0]


def test_a_snapshot_that_comes_late_shows_again_what_lay_beyond() -> None:
    rows = apply(
        snapshot(10),
        spot(11, 11, [(100.5, 1.0)], [(100.5, 0.0)]),
        spot(12, 13, [(100.25, 2.0)]),
        snapshot(12, [(100.5, 1.0)], [(101.0, 4.0)]),
        spot(14, 14),
    )
    assert states(rows) == ["whole", "partial", "partial", "whole"]
    assert rows.rows["ask_price_0"].to_list() == [100.5, None, None, 101.0]
    assert rows.rows["seq"].to_list() == [10, 11, 13, 14]


def test_a_finer_price_moves_the_ends_of_what_is_known_with_the_levels() -> None:
    rows = apply(snapshot(1), spot(2, 2, [(99.4999, 1.0), (99.50001, 2.0)], [(100.50001, 1.0)])).rows
    assert [rows[f"bid_price_{at}"][1] for at in range(3)] == [99.50001, 99.5, None]
    assert [rows[f"ask_price_{at}"][1] for at in range(2)] == [100.5, None]


DAY = date(2023, 11, 14)
MIDNIGHT_NS = 1_700_006_400_000_000_000


def over_midnight(*events: Event, at: int) -> DepthEvents:
    """Depth events of which the one at an index is the first of the next day."""
    all_ = depth(list(events))
    moved = pl.Series("ts", range(MIDNIGHT_NS - at, MIDNIGHT_NS - at + len(events))).cast(pl.Datetime("ns", "UTC"))
    return DepthEvents(all_.events.with_columns(moved), all_.offsets, all_.is_bid, all_.price, all_.qty)


KEY = ("binance_spot", "BTCUSDT")
NEXT = DAY + timedelta(days=1)


def test_a_day_goes_on_with_the_closing_book_of_the_day_before() -> None:
    events = [snapshot(10), spot(11, 12, [(99.75, 1.0)]), spot(13, 13, [(99.0, 2.0)]), spot(14, 14, [(99.5, 0.0)])]
    whole = OrderBooks().apply(over_midnight(*events, at=2)).rows
    first = OrderBooks(DAY)
    first.apply(over_midnight(*events[:2], at=2))
    carried = first.closing[KEY]
    again = CarriedBook.of_levels(
        carried.levels(),
        seq=carried.seq,
        after_snapshot=carried.after_snapshot,
        state=carried.state,
        bids_from=carried.bids_from,
        asks_to=carried.asks_to,
    )
    assert again.content == carried.content
    second = OrderBooks(NEXT, {KEY: again})
    rows = second.apply(over_midnight(*events[2:], at=0)).rows
    assert rows.drop("line", "ts").equals(whole[2:].drop("line", "ts"))
    assert second.opened == {KEY}
    assert second.closing[KEY].content != carried.content


def test_the_closing_book_is_that_before_the_first_event_of_a_later_day() -> None:
    events = [snapshot(10), spot(11, 12, [(99.75, 1.0)]), spot(13, 13, [(99.75, 0.0)])]
    alone, together = OrderBooks(DAY), OrderBooks(DAY)
    alone.apply(over_midnight(*events[:2], at=2))
    together.apply(over_midnight(*events, at=2))
    assert together.closing[KEY].content == alone.closing[KEY].content
    assert OrderBooks(NEXT).closing == {}


@pytest.mark.parametrize(
    ("event", "joins"),
    [
        (spot(13, 14), True),
        (spot(12, 14), True),
        (spot(14, 15), False),
        (spot(5, 12), False),
        (spot(1, 2), False),
        (futures(12, 14, 15), True),
        (futures(13, 14, 15), False),
        (Event(1), False),
        (Event(13), False),
        (snapshot(20), False),
    ],
)
def test_a_book_is_carried_only_where_the_ids_join(event: Event, joins: bool) -> None:
    before = OrderBooks(DAY)
    before.apply(over_midnight(snapshot(10), spot(11, 12), at=2))
    after = OrderBooks(NEXT, before.closing)
    rows = after.apply(over_midnight(event, at=0))
    assert bool(after.opened) == joins
    assert rows.gaps == []
    assert states(rows) == ["whole" if joins or event.snapshot else "partial"]


def test_what_a_carried_book_does_not_know_the_next_day_does_not_know_either() -> None:
    before = OrderBooks(DAY)
    before.apply(over_midnight(snapshot(10), spot(11, 11, [], [(200.0, 1.0)]), at=2))
    after = OrderBooks(NEXT, before.closing)
    rows = after.apply(over_midnight(spot(12, 12), spot(13, 13, [], [(100.5, 0.0)]), at=0))
    assert states(rows) == ["whole", "partial"]
    assert rows.rows["ask_price_1"].to_list() == [None, None]


def test_a_snapshot_that_no_update_followed_is_joined_after_midnight_as_before() -> None:
    before = OrderBooks(DAY)
    before.apply(over_midnight(futures(1, 5, 9), snapshot(10), at=2))
    after = OrderBooks(NEXT, before.closing)
    assert states(after.apply(over_midnight(futures(9, 10, 14), futures(14, 15, 16), at=0))) == ["whole"] * 2


def test_a_stale_book_stays_stale_over_midnight() -> None:
    before = OrderBooks(DAY)
    before.apply(over_midnight(snapshot(10), spot(20, 21), at=2))
    after = OrderBooks(NEXT, before.closing)
    assert states(after.apply(over_midnight(spot(22, 22), at=0))) == ["stale"]


def test_a_book_that_stands_on_a_snapshot_of_its_own_does_not_give_it_up() -> None:
    before = OrderBooks(DAY)
    before.apply(over_midnight(spot(1, 12, [(1.0, 1.0)]), at=1))
    after = OrderBooks(NEXT, before.closing)
    rows = after.apply(over_midnight(snapshot(12), spot(13, 13), at=1))
    assert states(rows) == ["whole", "whole"]
    assert after.opened == set()


class DictionaryBook:
    """The same rules, said as simply as can be: dictionaries by price text and a list of all events so far."""

    def __init__(self) -> None:
        self.sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
        self.last: int | None = None
        self.state = "partial"
        self.joining = False
        self.run: list[Event] = []
        self.known: list[float | None] = [None, None]

    def feed(self, event: Event) -> tuple[str, bool] | None:
        """Apply one event; return the state to tell and whether a gap came before it, or nothing if dropped."""
        outcome = self._snapshot(event) if event.snapshot else self._difference(event)
        return None if outcome is None else (self.told(), outcome[1])

    def told(self) -> str:
        """Return the state of a row: a whole book is told so while its best prices are among those known."""
        within = [end is None or (best is not None and (best - end) * sign >= 0)
                  for best, end, sign in zip(self._best(), self.known, (1, -1), strict=True)]  # fmt: skip
        return "partial" if self.state == "whole" and not all(within) else self.state

    def _best(self) -> tuple[float | None, float | None]:
        return max(self.sides[0], default=None), min(self.sides[1], default=None)

    def _see(self) -> None:
        """Move the ends of what is known to where the other side's best price rests."""
        bid, ask = self._best()
        if self.state != "whole" or (bid is not None and ask is not None and bid >= ask):
            return
        if ask is not None and self.known[0] is not None:
            self.known[0] = min(self.known[0], ask)
        if bid is not None and self.known[1] is not None:
            self.known[1] = max(self.known[1], bid)

    def _snapshot(self, event: Event) -> tuple[str, bool] | None:
        assert event.seq is not None
        newer: list[Event] = []
        if self.last is not None and event.seq <= self.last:
            if self.told() == "whole":
                return None
            newer = [old for old in self.run if old.seq is not None and old.seq > event.seq]
            if newer and not self._joins(newer[0], event.seq):
                return None
            if not newer and event.seq < self.last:
                return None
        late = self.last is not None and event.seq <= self.last
        self.sides = (dict(event.bids), dict(event.asks))
        self.last, self.state, self.joining, self.run = event.seq, "whole", True, []
        self.known = [min(self.sides[0], default=None), max(self.sides[1], default=None)]
        for old in newer:
            self._difference(old)
        self._see()
        return None if late else ("whole", False)

    @staticmethod
    def _joins(event: Event, last: int) -> bool:
        assert event.first is not None
        if event.prev is None:
            return event.first <= last + 1
        return event.first <= last or event.prev <= last

    def _difference(self, event: Event) -> tuple[str, bool] | None:
        assert event.seq is not None
        gap = False
        if self.last is not None:
            if event.prev is not None and self.joining:
                if event.seq < self.last:
                    return None
                gap = not self._joins(event, self.last)
            else:
                if event.seq <= self.last:
                    return None
                gap = event.prev > self.last if event.prev is not None else (event.first or 0) > self.last + 1
        if gap:
            self.state, self.run = "stale", []
        self.run.append(event)
        self.last, self.joining = event.seq, False
        for side, levels in enumerate((event.bids, event.asks)):
            for price, qty in levels:
                self._set(side, price, qty)
        self._see()
        return self.state, gap

    def _set(self, side: int, price: float, qty: float) -> None:
        mine, other = self.sides[side], self.sides[1 - side]
        if qty == 0:
            mine.pop(price, None)
            return
        mine[price] = qty
        if self.state != "whole":
            for passed in [at for at in other if (at <= price if side == 0 else at >= price)]:
                del other[passed]

    def top(self) -> list[float | None]:
        """Return the forty numbers of a row."""
        numbers: list[float | None] = []
        ends = self.known if self.told() == "whole" else [None, None]
        for side, best_first, end in zip(self.sides, (True, False), ends, strict=True):
            levels = sorted(side.items(), reverse=best_first)[:10]
            levels = [(at, qty) for at, qty in levels if end is None or (at >= end if best_first else at <= end)]
            empty = [None] * (10 - len(levels))
            numbers += [*(price for price, _ in levels), *empty, *(qty for _, qty in levels), *empty]
        return numbers


levels_of = st.lists(
    st.tuples(st.sampled_from([price / 4 for price in range(380, 421)]), st.sampled_from([0.0, 0.5, 1.0, 2.5])),
    max_size=6,
)


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    """Mostly consecutive differences, with gaps, repeats, overlaps and snapshots from now, before and after."""
    of_futures = draw(st.booleans())
    last, events = 100, []
    for _ in range(draw(st.integers(1, 40))):
        what = draw(st.sampled_from(["next"] * 8 + ["gap", "repeat", "overlap", "snapshot", "snapshot"]))
        bids, asks = draw(levels_of), draw(levels_of)
        if what == "snapshot":
            kept = [{price: qty for price, qty in side if qty} for side in (bids, asks)]
            seq = last + draw(st.integers(-12, 4))
            events.append(Event(seq, bids=list(kept[0].items()), asks=list(kept[1].items()), snapshot=True))
            continue
        prev = last + {"next": 0, "gap": draw(st.integers(1, 3)), "repeat": -4, "overlap": -2}[what]
        first = prev + 1 + (draw(st.integers(0, 2)) if of_futures else 0)
        seq = max(first, prev + draw(st.integers(1, 4)))
        events.append(Event(seq, first, prev if of_futures else None, bids, asks))
        last = max(last, seq)
    return events


@settings(max_examples=100, deadline=None)
@given(events=event_lists(), cut=st.integers(1, 40))
@example(events=[spot(1, 1), snapshot(1)], cut=1)
def test_the_book_is_that_of_a_plain_dictionary_however_it_is_cut(events: list[Event], cut: int) -> None:
    books, oracle = OrderBooks(), DictionaryBook()
    parts = [books.apply(depth(events[at : at + cut], at + 1)) for at in range(0, len(events), cut)]
    rows = pl.concat([part.rows for part in parts])
    expected, gaps = [], []
    for line, event in enumerate(events, 1):
        outcome = oracle.feed(event)
        if outcome is not None:
            expected.append((oracle.last, line, outcome[0], *oracle.top()))
            gaps += [line] * outcome[1]
    names = ["seq", "line", "state", *rows.columns[7:47]]
    assert rows.select(names).rows() == expected
    assert [gap.line for part in parts for gap in part.gaps] == gaps


@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(0, 8)), min_size=1, max_size=30))
def test_prices_come_back_from_ticks_as_they_went_in(prices: list[tuple[int, int]]) -> None:
    numbers = np.array([float(f"{digits}e-{places}") for digits, places in prices])
    scale = PriceScale()
    ticks, factor = scale.ticks(numbers)
    assert (ticks / scale.ticks_per_unit == numbers).all()
    assert factor == 10**scale.decimals
    again, factor = scale.ticks(numbers)
    assert factor == 1
    assert (again == ticks).all()


def test_prices_far_apart_stay_apart_and_ticks_stay_in_bounds() -> None:
    scale = PriceScale()
    assert scale.ticks(np.array([1e14]))[0].tolist() == [10**14]
    ticks, factor = scale.ticks(np.array([0.01, 0.02, 1e14]))
    assert (ticks.tolist(), factor) == ([1, 2, 10**16], 100)
    assert scale.ticks(np.array([1e-12]))[0].tolist() == [0]
    assert scale.decimals == 4
    with pytest.raises(ValueError, match="price: 1e\\+16 is too high beside prices of 4 decimals"):
        scale.ticks(np.array([1e16]))


@pytest.mark.parametrize(
    ("numbers", "expected"), [([], 0), ([1.0, 250.0], 0), ([61837.6, 1.0], 1), ([0.00000001], 8), ([1 / 3], 15)]
)
def test_decimals_are_the_fewest_that_fit(numbers: list[float], expected: int) -> None:
    assert decimals(np.array(numbers)) == expected
