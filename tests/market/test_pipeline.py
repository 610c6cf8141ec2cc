"""From files to rows: scanning, duplicates across files, days and symbols, books over midnight, and the accounting."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.market.cells import conform
from tracebank_models.market.chunks import BOOK, QUOTES, TRADES, DecodedChunk, Source
from tracebank_models.market.duplicates import SeenIds
from tracebank_models.market.file_scan import ObservedInstrument
from tracebank_models.market.pipeline import Accounting, TooManyBadLines, in_time_order, load, scan
from tracebank_models.market.price_ticks import common_step

MIDNIGHT_MS = 1_723_161_600_000
AUGUST_8, AUGUST_9 = date(2024, 8, 8), date(2024, 8, 9)


def line(kind: str, ms: int, data: dict[str, Any], symbol: str = "BTCUSDT") -> bytes:
    body = {"stream": f"{symbol.lower()}@{kind}", "data": {"s": symbol, **data}}
    return b"%d %s" % ((MIDNIGHT_MS + ms) * 10**6, json.dumps(body, separators=(",", ":")).encode())


def trade(identity: int, ms: int = 0, symbol: str = "BTCUSDT", price: str = "10.50", qty: str = "0.001") -> bytes:
    data = {"e": "trade", "t": identity, "p": price, "q": qty, "T": MIDNIGHT_MS + ms, "m": True, "M": True}
    return line("trade", ms, data, symbol)


def quote(update: int, ms: int = 0, symbol: str = "BTCUSDT") -> bytes:
    return line("bookTicker", ms, {"u": update, "b": "10.4", "B": "1", "a": "10.6", "A": "2"}, symbol)


def depth(first: int, last: int, ms: int = 0, symbol: str = "BTCUSDT", bid: str = "10.4", qty: str = "1") -> bytes:
    data = {"e": "depthUpdate", "E": MIDNIGHT_MS + ms, "U": first, "u": last, "b": [[bid, qty]], "a": []}
    return line("depth", ms, data, symbol)


def rest(last: int, ms: int = 0) -> bytes:
    body = {"lastUpdateId": last, "bids": [["10.0", "5"]], "asks": [["11.0", "5"]]}
    return b"%d %s" % ((MIDNIGHT_MS + ms) * 10**6, json.dumps(body).encode())


def source(folder: Path, name: str, *lines: bytes) -> Source:
    (folder / name).write_bytes(b"\n".join(lines))
    return Source(folder / name, "recorder")


def loaded(*sources: Source, accounting: Accounting | None = None, **asked: Any) -> dict[str, pl.DataFrame]:
    parts: dict[str, list[pl.DataFrame]] = {}
    for chunk in load(sources, accounting=accounting, **asked):
        for table, frame in chunk.batches.items():
            parts.setdefault(table, []).append(frame)
    return {table: pl.concat(frames) for table, frames in parts.items()}


def fates(accounting: Accounting, path: Path) -> dict[tuple[str, str], tuple[int, int, int, int, int]]:
    return {
        (entry.table or "", entry.kind): (entry.lines, entry.stored, entry.duplicate, entry.ignored, entry.rejected)
        for entry in accounting.lines
        if entry.path == path
    }


def test_rows_have_the_stored_columns(tmp_path: Path) -> None:
    tables = loaded(source(tmp_path, "a", trade(1), quote(2), depth(3, 4)))
    assert {name: dict(frame.schema) for name, frame in tables.items()} == {
        "trades": TRADES,
        "quotes": QUOTES,
        "book": BOOK,
    }


def test_every_line_is_accounted_for(tmp_path: Path) -> None:
    first = source(
        tmp_path,
        "a",
        trade(1),
        trade(1),
        trade(2),
        quote(7),
        b"what",
        b"",
        b'{"result":null,"id":1}',
        line("miniTicker", 0, {}),
        depth(10, 12),
        rest(12),
        depth(11, 12),
        depth(13, 13),
        depth(13, 13),
        rest(13),
    )
    second = source(tmp_path, "b", trade(2, 5), trade(3, 5), depth(14, 14, 5), depth(13, 13, 6))
    accounting = Accounting()
    tables = loaded(first, second, accounting=accounting)
    assert tables["trades"]["seq"].to_list() == [1, 2, 3]
    assert tables["book"]["seq"].to_list() == [12, 13, 14]
    assert fates(accounting, first.path) == {
        ("trades", "trade"): (3, 2, 1, 0, 0),
        ("quotes", "bookTicker"): (1, 1, 0, 0, 0),
        ("book", "depth"): (3, 2, 1, 0, 0),
        ("book", "depth_snapshot:caught_up"): (1, 0, 0, 1, 0),
        ("book", "depth:before_snapshot"): (1, 0, 0, 1, 0),
        ("book", "depth_snapshot:not_needed"): (1, 0, 0, 1, 0),
        ("", "rejected"): (1, 0, 0, 0, 1),
        ("", "blank"): (1, 0, 0, 1, 0),
        ("", "subscription_reply"): (1, 0, 0, 1, 0),
        ("", "miniTicker"): (1, 0, 0, 1, 0),
    }
    assert fates(accounting, second.path) == {("trades", "trade"): (2, 1, 1, 0, 0), ("book", "depth"): (2, 1, 1, 0, 0)}
    assert accounting.file_lines == {first.path: 14, second.path: 4}
    assert [accounting.unaccounted(file.path) for file in (first, second)] == [0, 0]
    assert sum(entry.rows for entry in accounting.lines) == sum(map(len, tables.values()))


LINES = st.sampled_from(
    [trade(at % 3, at - 3, symbol) for at in range(6) for symbol in ("BTCUSDT", "ETHUSDT")]
    + [quote(at, at * 20_000_000 - 3) for at in range(4)]
    + [depth(at, at + at % 2, at - 3) for at in range(1, 9)]
    + [rest(3), rest(6), b"", b"broken", line("miniTicker", 0, {}), trade(1, price="-1")]
)


@settings(max_examples=25, deadline=None)
@given(files=st.lists(st.lists(LINES, min_size=1, max_size=15), min_size=1, max_size=3), chunk_lines=st.integers(1, 9))
def test_the_accounting_closes_and_days_and_symbols_are_parts_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[bytes]], chunk_lines: int
) -> None:
    folder = tmp_path_factory.mktemp("load")
    sources = [source(folder, str(at), *lines) for at, lines in enumerate(files)]
    accounting = Accounting()
    whole = loaded(*sources, accounting=accounting, chunk_lines=chunk_lines)
    for file, lines in zip(sources, files, strict=True):
        content = b"\n".join(lines)
        assert accounting.file_lines.get(file.path, 0) == content.count(b"\n") + (content[-1:] not in (b"", b"\n"))
        assert accounting.unaccounted(file.path) == 0
    for entry in accounting.lines:
        assert entry.accounted == entry.lines
        assert entry.rows == entry.stored
    days = [loaded(*sources, day=day) for day in (AUGUST_8, AUGUST_9)]
    for table, frame in whole.items():
        of_days = pl.concat([part[table] for part in days if table in part])
        rows = frame.filter(pl.col("ts").dt.date().is_in([AUGUST_8, AUGUST_9]))
        if table != "trades":  # an id that comes back on the other day is a duplicate only where both are read
            assert sorted(of_days.rows(), key=repr) == sorted(rows.rows(), key=repr)
        of_symbols = [loaded(*sources, symbol=symbol).get(table) for symbol in ("BTCUSDT", "ETHUSDT")]
        together = pl.concat([part for part in of_symbols if part is not None])
        assert sorted(together.rows(), key=repr) == sorted(frame.rows(), key=repr)


def test_a_book_is_carried_over_midnight_and_from_file_to_file(tmp_path: Path) -> None:
    evening = source(tmp_path, "b", depth(9, 10, -5000), rest(10, -4000), depth(11, 11, -3000), depth(12, 12, 10))
    morning = source(tmp_path, "a", depth(13, 13, 2000, bid="10.6"))
    accounting = Accounting()
    book = loaded(evening, morning, day=AUGUST_9, accounting=accounting)["book"]
    assert book["state"].to_list() == ["whole", "whole"]
    assert book.select("seq", "bid_price_0", "bid_price_1", "ask_price_0").rows() == [
        (12, 10.4, 10.0, 11.0),
        (13, 10.6, 10.4, 11.0),
    ]
    assert [(entry.path, entry.lines, entry.day) for entry in accounting.lines] == [
        (evening.path, 1, AUGUST_9),
        (morning.path, 1, AUGUST_9),
    ]


def test_files_are_read_in_the_order_of_their_first_times(tmp_path: Path) -> None:
    late, early = source(tmp_path, "a", trade(2, 50)), source(tmp_path, "z", b"", trade(1, -50))
    empty, nothing = source(tmp_path, "b"), source(tmp_path, "c", b'{"result":null,"id":1}')
    assert in_time_order([nothing, late, empty, early]) == [early, late, empty, nothing]


def test_gaps_are_of_the_day_and_symbol_asked_for(tmp_path: Path) -> None:
    lines = [
        depth(1, 1, -50),
        depth(3, 3, -40),
        depth(9, 9, 40),
        depth(1, 1, 50, "ETHUSDT"),
        depth(5, 5, 50, "ETHUSDT"),
    ]
    file = source(tmp_path, "a", *lines)

    def gaps(**asked: Any) -> list[tuple[str, int, int, int]]:
        found = [gap for chunk in load([file], **asked) for gap in chunk.gaps]
        return [(gap.symbol, gap.expected_seq, gap.seq, gap.line) for gap in found]

    assert gaps() == [("BTCUSDT", 2, 3, 2), ("BTCUSDT", 4, 9, 3), ("ETHUSDT", 2, 5, 5)]
    assert gaps(day=AUGUST_8) == [("BTCUSDT", 2, 3, 2)]
    assert gaps(symbol="ETHUSDT") == [("ETHUSDT", 2, 5, 5)]


def test_only_the_tables_asked_for_are_loaded(tmp_path: Path) -> None:
    file = source(tmp_path, "a", trade(1), quote(2), depth(3, 4))
    assert set(loaded(file, tables={"quotes"})) == {"quotes"}
    with pytest.raises(ValueError, match="tables: ticks is not known: of trades, quotes, book"):
        loaded(file, tables={"ticks"})


def test_redundant_recordings_are_stored_once(tmp_path: Path) -> None:
    lines = [trade(1), quote(2), depth(3, 4), rest(4), depth(5, 5)]
    files = [source(tmp_path, name, *lines) for name in "abc"]
    once, thrice = loaded(files[0]), loaded(*files)
    assert {name: frame.rows() for name, frame in once.items()} == {
        name: frame.rows() for name, frame in thrice.items()
    }


def test_a_scan_tells_what_a_file_holds(tmp_path: Path) -> None:
    file = source(
        tmp_path,
        "a",
        trade(1, -1, price="10.50", qty="0.00100000"),
        trade(2, 5, price="10.125", qty="3"),
        trade(3, 6),
        quote(3, 6, "ETHUSDT"),
        depth(1, 1, 7),
        b"",
    )
    for chunk_lines in (1, 100):
        found = scan(file, chunk_lines=chunk_lines)
        assert (found.lines, found.rejected, found.ignored) == (5, [], {})
        assert sorted(found.counts.rows()) == [
            ("binance_spot", "BTCUSDT", AUGUST_8, "trades", "trade", 1, 1),
            ("binance_spot", "BTCUSDT", AUGUST_9, "book", "depth", 1, 1),
            ("binance_spot", "BTCUSDT", AUGUST_9, "trades", "trade", 2, 2),
            ("binance_spot", "ETHUSDT", AUGUST_9, "quotes", "bookTicker", 1, 1),
        ]
        assert found.first_ts_ns == (MIDNIGHT_MS - 1) * 10**6
        assert found.last_ts_ns == (MIDNIGHT_MS + 7) * 10**6
        assert found.instruments == [
            ObservedInstrument("binance_spot", "BTCUSDT", None, None),
            ObservedInstrument("binance_spot", "ETHUSDT", None, None),
        ]


def test_what_the_content_contradicts_is_told(tmp_path: Path) -> None:
    named = source(tmp_path, "a", trade(1))
    assert scan(replace(named, symbol="BTCUSDT", venue="binance_us")).contradictions == []
    assert scan(replace(named, symbol="ETHUSDT")).contradictions == [
        f"{named.path}: symbol 'ETHUSDT' is not used: the content names BTCUSDT"
    ]


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    found = scan(source(tmp_path, "a"))
    assert (found.lines, len(found.counts), found.first_ts_ns, found.instruments) == (0, 0, None, [])


def test_more_bad_lines_than_may_be_fail_the_file(tmp_path: Path) -> None:
    good = [trade(at) for at in range(98)]
    file = source(tmp_path, "a", *good, b"bad", b"worse")
    with pytest.raises(TooManyBadLines) as caught:
        scan(file)
    assert str(caught.value) == (
        f"{file.path}: 2 of 100 lines (2.0%) are bad, at most 1.0% may be. "
        "line 99: not a receive time and a JSON object; line 100: not a receive time and a JSON object"
    )
    found = scan(file, max_rejected_share=0.02)
    assert [(bad.line, bad.text) for bad in found.rejected] == [(99, "bad"), (100, "worse")]
    with pytest.raises(ValueError, match=r"max_rejected_share: 1.5 is not allowed: between 0 and 1"):
        scan(file, max_rejected_share=1.5)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["BTC", "ETH"]),
                st.sampled_from(["trade", "trades", "aggTrade"]),
                st.one_of(st.none(), st.integers(0, 9), st.sampled_from([2**40, 2**63 - 1])),
            ),
            max_size=20,
        ),
        max_size=5,
    )
)
def test_an_id_is_new_exactly_once(batches: list[list[tuple[str, str, int | None]]]) -> None:
    ids, met = SeenIds(), set()
    for batch in batches:
        schema = {"symbol": pl.String, "kind": pl.String, "seq": pl.Int64}
        rows = pl.DataFrame(batch, schema=schema, orient="row").with_columns(pl.lit("binance_spot").alias("venue"))
        expected = []
        for symbol, kind, seq in batch:
            key = (symbol, kind.removesuffix("s"), seq)
            expected.append(seq is not None and key in met)
            met.add(key)
        assert np.array_equal(ids.repeats("trades", rows), expected)


def test_rows_beside_lines_are_stored_and_no_line_is_counted_twice(tmp_path: Path) -> None:
    """A LOBSTER execution is one line, one book row and one trade."""
    stem = "AAPL_2012-06-21_34200000_57600000_{}_1.csv"
    message = tmp_path / stem.format("message")
    message.write_text("34200.1,1,10,100,5858000,1\n34200.2,4,10,50,5858000,1\n34200.3,5,0,20,5859000,-1\n")
    (tmp_path / stem.format("orderbook")).write_text("5859900,200,5858000,100\n" * 3)
    accounting = Accounting()
    tables = loaded(Source(message, "lobster"), accounting=accounting)

    assert tables["trades"].select("price", "qty", "side").rows() == [(585.8, 50.0, "sell"), (585.9, 20.0, "buy")]
    assert len(tables["book"]) == 3
    assert accounting.unaccounted(message) == 0
    assert sum(entry.lines for entry in accounting.lines) == 3
    assert sum(entry.rows for entry in accounting.lines) == 5


def _bars(kind: str, *minutes: int, interval_s: int = 60) -> pl.DataFrame:
    schema = {"ts": pl.Datetime("ns", "UTC"), "venue": pl.String, "symbol": pl.String, "kind": pl.String}
    rows = [(MIDNIGHT_MS * 10**6 + minute * 60 * 10**9, "v", "S", kind, interval_s) for minute in minutes]
    return pl.DataFrame(rows, schema={**schema, "interval_s": pl.Int64}, orient="row")


def test_bars_are_told_by_time_and_length_whatever_they_were_read_from() -> None:
    seen = SeenIds()
    assert seen.repeats("bars", _bars("klines", 0, 1, 1)).tolist() == [False, False, True]
    assert seen.repeats("bars", _bars("columns", 1, 2)).tolist() == [True, False]
    assert not seen.repeats("bars", _bars("klines", 0, interval_s=300)).any()


def test_a_line_of_several_rows_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue may send a list of trades in one message, and rows of tables that have no kind of line of their own."""
    path = tmp_path / "trades"
    rows = pl.DataFrame(
        {"ts": [MIDNIGHT_MS] * 4, "price": 1.0, "qty": 1.0, "seq": [1, 2, 3, 2], "line": [1, 1, 1, 3]},
        schema_overrides={"ts": pl.Datetime("ms", "UTC")},
    ).with_columns(symbol=pl.Series(["A", "B", "A", "B"]), venue=pl.lit("v"), side=pl.lit("buy"))
    trades = conform("trades", rows, kind="trade", local_ts=None, clock="exchange")
    ended = conform("liquidations", rows, kind="trade", local_ts=None, clock="exchange", average_price=None)
    chunk = DecodedChunk(3, {"trades": trades}, ignored={"blank": 1}, companions={"liquidations": ended[:1]})
    module = SimpleNamespace(read=lambda _source, *, chunk_lines: (part for part in [chunk]))
    for name in ("pipeline", "file_scan"):
        monkeypatch.setattr(f"tracebank_models.market.{name}.reader", lambda _name: module)
    accounting = Accounting()
    found = loaded(Source(path, "fake"), accounting=accounting)
    assert (found["trades"].height, found["liquidations"].height) == (3, 1)
    assert accounting.unaccounted(path) == 0
    assert [(entry.symbol, entry.table, entry.lines, entry.rows) for entry in accounting.lines[1:]] == [
        ("A", "trades", 1, 2), ("B", "trades", 1, 1), ("A", "liquidations", 0, 1),
    ]  # fmt: skip
    counts = scan(Source(path, "fake")).counts
    assert sorted(counts.select("symbol", "table", "lines", "records").rows()) == [
        ("A", "liquidations", 0, 1), ("A", "trades", 1, 2), ("B", "trades", 1, 2),
    ]  # fmt: skip


def test_numbers_of_lines_are_no_ids(tmp_path: Path) -> None:
    """Two files without ids number their rows alike, and none of the second's is a duplicate."""
    head = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
    for name, second in (("one.csv", 1), ("two.csv", 2)):
        stamp = (MIDNIGHT_MS // 1000 + second) * 10**6
        (tmp_path / name).write_text(f"{head}bitmex,XBTUSD,{stamp},{stamp + 5},10,61000.5,61000,20\n")
    tables = loaded(*(Source(tmp_path / name, "tardis") for name in ("one.csv", "two.csv")))
    assert len(tables["quotes"]) == 2


def test_trades_without_ids_are_told_by_the_time_that_another_file_covers(tmp_path: Path) -> None:
    """A day's file, and that of a part of it; then the next hour's, which begins in the moment in which it ends."""
    head = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
    seconds = {"whole": (0, 1, 1, 2, 3), "part": (1, 2, 4), "next": (4, 5)}
    for name, at in seconds.items():
        stamps = [(MIDNIGHT_MS // 1000 + second) * 10**6 for second in at]
        lines = "".join(f"bitmex,XBTUSD,{stamp},{stamp + 5},a-{stamp},buy,61000.5,20\n" for stamp in stamps)
        (tmp_path / name).write_text(head + lines)
    accounting = Accounting()
    tables = loaded(*(Source(tmp_path / name, "tardis") for name in seconds), accounting=accounting)
    stored = (tables["trades"]["ts"].dt.epoch("ms") - MIDNIGHT_MS) // 1000
    assert stored.to_list() == [0, 1, 1, 2, 3, 4, 4, 5]
    assert fates(accounting, tmp_path / "part")["trades", "trades"] == (3, 1, 2, 0, 0)


def test_trades_and_aggregate_trades_of_two_files_do_not_double_the_volume(tmp_path: Path) -> None:
    aggregate = {"e": "aggTrade", "a": 7, "p": "10.50", "q": "0.001", "f": 1, "l": 1, "T": MIDNIGHT_MS, "m": True}
    one = source(tmp_path, "one", trade(1))
    two = source(tmp_path, "two", line("aggTrade", 1, {**aggregate, "M": True}))
    accounting = Accounting()
    tables = loaded(one, two, accounting=accounting)

    assert tables["trades"]["seq"].to_list() == [1]
    assert fates(accounting, two.path) == {("trades", "aggTrade"): (1, 0, 0, 1, 0)}


@pytest.mark.parametrize(
    ("prices", "tick"),
    [
        ([f"{10 + at / 2}" for at in range(10)], 0.5),
        (["2600.00", *(f"{0.05 + at / 10:.2f}" for at in range(9))], 0.05),
        ([str(4 * at) for at in range(3, 12)] + ["7"], 1.0),
        (["-0.25", "0", *(str(at) for at in range(1, 10))], 0.25),
        (["64336.00"] * 50, None),
        (["61000", "61500"], None),
        ([str(500 * at) for at in range(1, 10)] + ["0"] * 9, None),
    ],
)
@pytest.mark.parametrize("chunk_lines", [3, 100])
def test_the_tick_is_the_step_that_ten_different_prices_are_multiples_of(
    tmp_path: Path, prices: list[str], tick: float | None, chunk_lines: int
) -> None:
    trades = (trade(at, price=price, qty="2") for at, price in enumerate(prices))
    found = scan(source(tmp_path, "a", *trades), chunk_lines=chunk_lines)
    assert found.instruments == [ObservedInstrument("binance_spot", "BTCUSDT", tick, None)]


@pytest.mark.parametrize(
    ("one", "other", "step"),
    [
        (0.02, 0.05, 0.01),
        (0.1, 64336.0, 0.1),
        (1e-8, 1.5, 1e-8),
        (None, 0.5, 0.5),
        (0.5, None, 0.5),
        (None, None, None),
    ],
)
def test_the_step_of_two_files_is_what_both_are_multiples_of(
    one: float | None, other: float | None, step: float | None
) -> None:
    assert common_step(one, other) == step
