from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.market import lobster
from tracebank_models.market.chunks import DECODED, DecodedChunk, Source

NAME = "AAPL_2012-06-21_34200000_57600000_{}_{}.csv"
MESSAGES = [
    "34200.004241176,1,16113575,18,5853300,1",
    "34200.025551909,3,16113575,18,5853300,-1",
    "34200.1,4,16120456,40,5859400,-1",
    "34200.201743,5,0,15,5857500,1",
    "34201,6,-1,1200,5858000,-1",
    "36000.000000001,7,0,0,-1,-1",
]
BOOK_2 = "5859400,200,5853300,18,5859800,100,5853000,150"
BOOK_EMPTY = "9999999999,0,5853300,18,9999999999,0,-9999999999,0"


def write_pair(folder: Path, messages: list[str], books: list[str], levels: int = 2, name: str = NAME) -> Path:
    message = folder / name.format("message", levels)
    message.write_text("".join(f"{line}\n" for line in messages))
    (folder / name.format("orderbook", levels)).write_text("".join(f"{line}\n" for line in books))
    return message


def chunks_of(path: Path, chunk_lines: int = 65536, **said: object) -> list[DecodedChunk]:
    chunks = list(lobster.read(Source(path, "lobster", **said), chunk_lines=chunk_lines))
    for chunk in chunks:
        assert chunk.trades is None
        assert chunk.book.height + sum(chunk.ignored.values()) + len(chunk.rejected) == chunk.lines
        assert chunk.book.schema == pl.Schema(DECODED["book"])
        assert chunk.companions["trades"].schema == pl.Schema(DECODED["trades"])
        assert not chunk.has_ids
    return chunks


def test_every_message_gives_a_book_row_and_executions_a_trade_too(tmp_path) -> None:
    path = write_pair(tmp_path, MESSAGES, [BOOK_2] * 6)
    assert lobster.matches([line.encode() for line in MESSAGES], path)
    (chunk,) = chunks_of(path)
    assert chunk.lines == 6
    assert chunk.book["kind"].to_list() == [f"message:{kind}" for kind in (1, 3, 4, 5, 6, 7)]
    assert chunk.book["seq"].to_list() == chunk.book["line"].to_list() == [1, 2, 3, 4, 5, 6]
    trades = chunk.companions["trades"]
    assert trades.select("line", "kind", "price", "qty", "side").rows() == [
        (3, "message:4:trade", 585.94, 40.0, "buy"),
        (4, "message:5:trade", 585.75, 15.0, "sell"),
        (5, "message:6:trade", 585.8, 1200.0, "unknown"),
    ]
    for frame in (chunk.book, trades):
        assert frame.select("venue", "symbol", "clock", "local_ts").unique().rows() == [
            ("nasdaq", "AAPL", "exchange", None)
        ]


def test_times_are_exact_to_the_nanosecond_in_the_exchange_zone(tmp_path) -> None:
    (chunk,) = chunks_of(write_pair(tmp_path, MESSAGES, [BOOK_2] * 6))
    opening = int(datetime(2012, 6, 21, 13, 30, tzinfo=UTC).timestamp()) * 10**9  # summer: UTC-4
    expected = [4241176, 25551909, 100000000, 201743000, 10**9, 1800 * 10**9 + 1]
    assert chunk.book["ts"].dt.epoch("ns").to_list() == [opening + ns for ns in expected]


@pytest.mark.parametrize(
    ("day", "opening"),
    [
        ("2024-01-02", datetime(2024, 1, 2, 14, 30, tzinfo=UTC)),
        ("2024-03-08", datetime(2024, 3, 8, 14, 30, tzinfo=UTC)),
        ("2024-03-10", datetime(2024, 3, 10, 13, 30, tzinfo=UTC)),
        ("2024-03-11", datetime(2024, 3, 11, 13, 30, tzinfo=UTC)),
        ("2024-11-03", datetime(2024, 11, 3, 14, 30, tzinfo=UTC)),
    ],
)
def test_half_past_nine_in_new_york_with_and_without_summer_time(tmp_path, day, opening) -> None:
    path = write_pair(tmp_path, ["34200.0,1,1,18,5853300,1"], [BOOK_2], name=NAME.replace("2012-06-21", day))
    (chunk,) = chunks_of(path)
    assert chunk.book["ts"].to_list() == [opening]


def test_levels_are_prices_in_dollars_and_empty_ones_null(tmp_path) -> None:
    (chunk,) = chunks_of(write_pair(tmp_path, MESSAGES[:2], [BOOK_2, BOOK_EMPTY]))
    full, thin = chunk.book.rows(named=True)
    assert [full[f"{s}_{w}_{i}"] for i in (0, 1) for s in ("ask", "bid") for w in ("price", "qty")] == [
        585.94, 200, 585.33, 18, 585.98, 100, 585.3, 150,
    ]  # fmt: skip
    assert (thin["bid_price_0"], thin["bid_qty_0"]) == (585.33, 18)
    missing = [thin[c] for c in ("ask_price_0", "ask_qty_0", "ask_price_1", "ask_qty_1", "bid_price_1", "bid_qty_1")]
    assert missing == [None] * 6
    assert {full[f"{s}_{w}_{i}"] for i in range(2, 10) for s in ("ask", "bid") for w in ("price", "qty")} == {None}
    assert {full["state"], thin["state"]} == {"whole"}


@pytest.mark.parametrize("levels", [1, 10, 50])
def test_the_first_ten_of_any_number_of_levels_are_kept(tmp_path, levels) -> None:
    book = ",".join(f"{10_000 * (100 + i)},{i + 1},{10_000 * (99 - i)},{i + 2}" for i in range(levels))
    (chunk,) = chunks_of(write_pair(tmp_path, MESSAGES, [book] * 6, levels))
    row = chunk.book.row(5, named=True)
    for i in range(10):
        values = [row[f"{s}_{w}_{i}"] for s in ("ask", "bid") for w in ("price", "qty")]
        assert values == ([100 + i, i + 1, 99 - i, i + 2] if i < levels else [None] * 4)


def test_the_other_file_of_a_pair_is_found_even_if_packed_otherwise(tmp_path) -> None:
    path = write_pair(tmp_path, MESSAGES, [BOOK_2] * 6)
    orderbook = tmp_path / NAME.format("orderbook", 2)
    assert lobster.companion(path) == orderbook
    assert lobster.companion(orderbook) == path
    assert lobster.is_orderbook(orderbook)
    assert not lobster.is_orderbook(path)
    assert not lobster.matches([BOOK_2.encode()], orderbook)
    with pytest.raises(ValueError, match=r"is read with its message file: pass .*message_2\.csv"):
        chunks_of(orderbook)
    packed = orderbook.with_name(orderbook.name + ".gz")
    packed.write_bytes(gzip.compress(orderbook.read_bytes()))
    orderbook.unlink()
    assert lobster.companion(path) == packed
    assert chunks_of(path)[0].book.height == 6
    packed.unlink()
    with pytest.raises(FileNotFoundError, match="the orderbook file of the pair is missing"):
        chunks_of(path)
    with pytest.raises(ValueError, match=r"name 'x\.csv' is not allowed"):
        lobster.companion(tmp_path / "x.csv")


@pytest.mark.parametrize(("messages", "books"), [(6, 5), (5, 6), (6, 0), (0, 6)])
@pytest.mark.parametrize("chunk_lines", [1, 2, 100])
def test_files_of_different_length_are_an_error(tmp_path, messages, books, chunk_lines) -> None:
    path = write_pair(tmp_path, MESSAGES[:messages], [BOOK_2] * books)
    with pytest.raises(ValueError, match=rf"it goes on after line {min(messages, books)}, where .* ends"):
        chunks_of(path, chunk_lines)


def test_blank_lines_at_either_end_are_no_difference(tmp_path) -> None:
    (chunk,) = chunks_of(write_pair(tmp_path, MESSAGES, [*[BOOK_2] * 6, "", ""]))
    assert (chunk.lines, chunk.ignored) == (6, {})
    chunks = chunks_of(write_pair(tmp_path, [*MESSAGES, "", ""], [BOOK_2] * 6))
    assert (sum(chunk.lines for chunk in chunks), chunks[-1].ignored) == (8, {"blank": 2})


def test_a_name_that_contradicts_the_lines_is_an_error(tmp_path) -> None:
    path = write_pair(tmp_path, MESSAGES, [BOOK_2] * 6, levels=10)
    with pytest.raises(ValueError, match=r"the name says 10 levels, but lines have 8 fields, not 40"):
        chunks_of(path)
    path = write_pair(tmp_path, MESSAGES, [BOOK_2] * 6, name=NAME.replace("06-21", "13-21"))
    with pytest.raises(ValueError, match="day '2012-13-21' in the name is not allowed"):
        chunks_of(path)


BAD_MESSAGES = {
    "-1.0,1,1,18,5853300,1": "time: '-1.0' is not allowed: seconds after midnight",
    "86400.0,1,1,18,5853300,1": "time: '86400.0'",
    "3.42e4,1,1,18,5853300,1": "time: '3.42e4'",
    "34200.-5,1,1,18,5853300,1": "time: '34200.-5'",
    "34200.0,0,1,18,5853300,1": "type: '0' is not allowed: a whole number from 1 to 7",
    "34200.0,8,1,18,5853300,1": "type: '8'",
    "34200.0,1,1,-3,5853300,1": "size: '-3'",
    "34200.0,1,1,18,NaN,1": "price: 'NaN'",
    "34200.0,5,1,18,5853300,0": "direction: '0' is not allowed: 1 or -1",
    "34200.0,1,1,18,5853300": "the line has 5 fields, not 6",
    "": "the line is blank, but that of the order book is not",
}
BAD_BOOKS = {
    "99999999990,200,5853300,18,5859800,100,5853000,150": "order book: ask_price_0: '99999999990' is not allowed: a",
    "5859400,-2,5853300,18,5859800,100,5853000,150": "order book: ask_qty_0: '-2'",
    "5859400,200,5853300,18,5859800,100,9999999999.5,150": "order book: bid_price_1: '9999999999.5'",
    "5859400,200,5853300,18": "order book: the line has 4 fields, not 8",
    "": "order book: the line is blank",
}


@pytest.mark.parametrize("message", BAD_MESSAGES)
def test_a_bad_message_is_rejected_and_the_rest_goes_on(tmp_path, message) -> None:
    (chunk,) = chunks_of(write_pair(tmp_path, [MESSAGES[0], message, MESSAGES[2]], [BOOK_2] * 3))
    assert chunk.book["line"].to_list() == [1, 3]
    assert [(bad.line, bad.text) for bad in chunk.rejected] == [(2, message)]
    assert chunk.rejected[0].reason.startswith(BAD_MESSAGES[message])


@pytest.mark.parametrize("book", BAD_BOOKS)
def test_a_bad_line_of_the_book_rejects_its_message_and_trade(tmp_path, book) -> None:
    (chunk,) = chunks_of(write_pair(tmp_path, [MESSAGES[0], MESSAGES[2], MESSAGES[2]], [BOOK_2, book, BOOK_2]))
    assert chunk.book["line"].to_list() == [1, 3]
    assert chunk.companions["trades"]["line"].to_list() == [3]
    assert [(bad.line, bad.text) for bad in chunk.rejected] == [(2, book)]
    assert chunk.rejected[0].reason.startswith(BAD_BOOKS[book])


def test_prices_below_zero_are_stored_and_an_execution_of_nothing_is_no_trade(tmp_path) -> None:
    messages = ["34200.0,4,1,18,-376300,1", "34200.1,4,1,0,5853300,1", "34200.2,5,1,3,0,1"]
    (chunk,) = chunks_of(write_pair(tmp_path, messages, ["-376300,200,-386300,18,-366300,100,0,5"] * 3))
    assert chunk.companions["trades"].select("price", "qty").rows() == [(-37.63, 18.0), (0.0, 3.0)]
    assert chunk.book.select("ask_price_0", "bid_price_0", "bid_price_1").rows() == [(-37.63, -38.63, 0.0)] * 3


def test_a_bad_first_line_does_not_decide_the_columns(tmp_path) -> None:
    (chunk,) = chunks_of(write_pair(tmp_path, [MESSAGES[0] + ",", *MESSAGES], ["1,2,3,4", *[BOOK_2] * 6]))
    assert chunk.book["line"].to_list() == [2, 3, 4, 5, 6, 7]
    assert [bad.line for bad in chunk.rejected] == [1]


def test_a_seventh_column_of_the_messages_is_no_matter(tmp_path) -> None:
    (chunk,) = chunks_of(write_pair(tmp_path, [f"{line},null" for line in MESSAGES], [BOOK_2] * 6))
    assert chunk.book.height == 6
    assert chunk.companions["trades"].height == 3


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 86_400 * 10**9 - 1),
            st.integers(1, 5),
            st.integers(1, 10**6),
            st.integers(1, 10**8),
            st.sampled_from([1, -1]),
            st.sampled_from(["good", "good", "good", *BAD_MESSAGES]),
            st.sampled_from(["good", "good", "good", *BAD_BOOKS]),
        ),
        max_size=25,
    ),
    chunk_lines=st.integers(1, 30),
)
def test_every_line_is_accounted_for_and_values_survive(tmp_path_factory, rows, chunk_lines) -> None:
    messages, books, good = [], [], []
    for line, (ns, kind, size, price, direction, message, book) in enumerate(rows, 1):
        text = f"{ns // 10**9}.{ns % 10**9:09d},{kind},77,{size},{price},{direction}"
        messages.append(text if message == "good" else message)
        books.append(BOOK_2 if book == "good" else book)
        if message == book == "good":
            good.append((line, ns, kind, size, price, direction))
    folder, lead = tmp_path_factory.mktemp("lobster"), 20  # so many good lines that the first twenty tell the columns
    path = write_pair(folder, [MESSAGES[0]] * lead + messages, [BOOK_2] * lead + books)
    chunks = chunks_of(path, chunk_lines)
    assert sum(chunk.lines for chunk in chunks) == lead + len(rows)
    stored = pl.concat([chunk.book for chunk in chunks]).slice(lead)
    midnight = int(datetime(2012, 6, 21, 4, tzinfo=UTC).timestamp()) * 10**9
    assert stored.select(pl.col("line") - lead, pl.col("ts").dt.epoch("ns") - midnight).rows() == [
        row[:2] for row in good
    ]
    trades = pl.concat([chunk.companions["trades"] for chunk in chunks])
    assert trades.select(pl.col("line") - lead, "qty", "price", "side").rows() == [
        (line, size, float(Decimal(price) / 10_000), "buy" if direction == -1 else "sell")
        for line, _, kind, size, price, direction in good
        if kind in (4, 5)
    ]
