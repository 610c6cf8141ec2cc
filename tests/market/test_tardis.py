from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.market import tardis
from tracebank_models.market.chunks import DECODED, DecodedChunk, Source
from tracebank_models.market.pipeline import load

T0 = 1598918400000000
START = datetime(2020, 9, 1, tzinfo=UTC)
KEY = "exchange,symbol,timestamp,local_timestamp"
TRADES = f"""{KEY},id,side,price,amount
bitmex,XBTUSD,{T0 + 72},{T0 + 209254},911,buy,11674.5,5000
bitmex,XBTUSD,{T0 + 92},{T0 + 209300},912,sell,11674,80
bitmex,ETHUSD,{T0 + 99},{T0 + 99},913,,434.5,10
bitmex,ETHUSD,{T0 + 100},{T0 + 209400},914,unknown,434.55,11
"""
QUOTES = f"""{KEY},ask_amount,ask_price,bid_price,bid_amount
bitmex,XBTUSD,{T0 + 72},{T0 + 209254},7852,11675,11674.5,16889
bitmex,XBTUSD,{T0 + 92},{T0 + 209255},,,11674.5,16873
"""
DEPTH_HEADER = f"{KEY},is_snapshot,side,price,amount\n"
DEPTH = f"""{DEPTH_HEADER}binance,BTCUSDT,{T0},{T0 + 5},true,bid,100.5,2
binance,BTCUSDT,{T0},{T0 + 5},true,ask,101,3
binance,BTCUSDT,{T0},{T0 + 6},true,ask,102,4
binance,BTCUSDT,{T0 + 10},{T0 + 20},false,bid,100.5,0
binance,BTCUSDT,{T0 + 10},{T0 + 20},false,bid,100,1.5
binance,ETHUSDT,{T0 + 10},{T0 + 20},true,bid,10,1
binance,BTCUSDT,{T0 + 10},{T0 + 21},false,ask,101,0
binance,ETHUSDT,{T0 + 11},{T0 + 22},false,ask,11,1
binance,BTCUSDT,{T0 + 30},{T0 + 40},true,bid,99,7
"""


def snapshot_header(levels: int) -> str:
    cells = (f"asks[{i}].price,asks[{i}].amount,bids[{i}].price,bids[{i}].amount" for i in range(levels))
    return f"{KEY},{','.join(cells)}"


def packed(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode() if isinstance(content, str) else content))
    return path


def stored(chunk: DecodedChunk) -> int:
    rows = sum(frame.height for frame in (chunk.trades, chunk.quotes, chunk.book) if frame is not None)
    return rows + (0 if chunk.depth is None else int(chunk.depth.lines.sum()))


def chunks_of(path: Path, chunk_lines: int = 65536) -> list[DecodedChunk]:
    chunks = list(tardis.read(Source(path, "tardis"), chunk_lines=chunk_lines))
    for chunk in chunks:
        assert stored(chunk) + sum(chunk.ignored.values()) + len(chunk.rejected) == chunk.lines
        for table in ("trades", "quotes", "book"):
            frame = chunk.frames.get(table)
            assert frame is None or frame.schema == pl.Schema(DECODED[table])
    return chunks


def test_trades(tmp_path) -> None:
    path = packed(tmp_path, "bitmex_trades_2020-09-01_PERPETUALS.csv.gz", TRADES)
    assert tardis.matches(TRADES.encode().splitlines(), path)
    (chunk,) = chunks_of(path)
    assert chunk.has_ids
    assert chunk.ignored == {"header": 1}
    assert chunk.trades.select("line", "symbol", "seq", "side", "price", "qty", "clock").rows() == [
        (2, "XBTUSD", 911, "buy", 11674.5, 5000, "exchange"),
        (3, "XBTUSD", 912, "sell", 11674, 80, "exchange"),
        (4, "ETHUSD", 913, "unknown", 434.5, 10, "local"),
        (5, "ETHUSD", 914, "unknown", 434.55, 11, "exchange"),
    ]
    assert chunk.trades["ts"].to_list()[0] == START + timedelta(microseconds=72)
    assert chunk.trades["local_ts"].to_list()[0] == START + timedelta(microseconds=209254)
    assert chunk.trades.select("venue", "kind").unique().rows() == [("bitmex", "trades")]


@pytest.mark.parametrize(
    "ids", [["a9f1-00b2", "12"], ["", "12"], ["12", "1.5"], ["99999999999999999999", "1"], ["-3", "1"]]
)
def test_ids_that_are_no_whole_numbers_are_replaced_by_line_numbers(tmp_path, ids) -> None:
    rows = "".join(f"bitmex,XBTUSD,{T0},{T0 + 5},{number},buy,1,2\n" for number in ids)
    (chunk,) = chunks_of(packed(tmp_path, "t.csv.gz", TRADES.splitlines()[0] + "\n" + rows))
    assert not chunk.has_ids
    assert chunk.trades["seq"].to_list() == [2, 3]


def test_ids_that_change_their_form_are_rejected(tmp_path) -> None:
    row = f"bitmex,XBTUSD,{T0},{T0 + 5},{{}},buy,1,2\n"
    content = TRADES.splitlines()[0] + "\n" + row.format(7) + row.format("abc") + row.format(8)
    chunks = chunks_of(packed(tmp_path, "t.csv.gz", content), chunk_lines=2)
    assert [seq for chunk in chunks for seq in chunk.trades["seq"]] == [7, 8]
    assert [bad.reason for chunk in chunks for bad in chunk.rejected] == [
        "id: 'abc' is not allowed: a whole number from 0"
    ]
    assert all(chunk.has_ids for chunk in chunks)


@pytest.mark.parametrize(
    ("name", "kind"), [("x_quotes_2020.csv.gz", "quotes"), ("x_book_ticker_2020.csv.gz", "book_ticker")]
)
def test_quotes_and_book_ticker(tmp_path, name, kind) -> None:
    path = packed(tmp_path, name, QUOTES)
    assert tardis.matches(QUOTES.encode().splitlines(), path)
    (chunk,) = chunks_of(path)
    assert not chunk.has_ids
    columns = ("line", "seq", "bid_price", "bid_qty", "ask_price", "ask_qty", "kind")
    assert chunk.quotes.select(columns).rows() == [
        (2, 2, 11674.5, 16889, 11675, 7852, kind),
        (3, 3, 11674.5, 16873, None, None, kind),
    ]


@pytest.mark.parametrize("levels", [5, 25])
def test_snapshots_keep_the_first_ten_levels(tmp_path, levels) -> None:
    cells = [f"{101 + i},{i + 1},{100 - i},{i + 2}" for i in range(levels)]
    lines = [
        f"okex,BTC-USD,{T0},{T0 + 5},{','.join(cells)}",
        f"okex,BTC-USD,{T0},{T0 + 5},{','.join([cells[0]] + [',,,'] * (levels - 1))}",
    ]
    path = packed(tmp_path, "s.csv.gz", "\n".join([snapshot_header(levels), *lines]))
    assert tardis.matches([snapshot_header(levels).encode()], path)
    (chunk,) = chunks_of(path)
    full, thin = chunk.book.rows(named=True)
    for i in range(10):
        names = [f"{side}_{what}_{i}" for side in ("ask", "bid") for what in ("price", "qty")]
        expected = [101 + i, i + 1, 100 - i, i + 2]
        assert [full[name] for name in names] == (expected if i < levels else [None] * 4)
        assert [thin[name] for name in names] == (expected if i == 0 else [None] * 4)
    assert (full["state"], full["kind"], full["seq"]) == ("whole", f"book_snapshot_{levels}", 2)


@pytest.mark.parametrize("chunk_lines", [1, 2, 3, 4, 100])
def test_lines_of_a_message_are_one_event_however_the_file_is_cut(tmp_path, chunk_lines) -> None:
    chunks = chunks_of(packed(tmp_path, "d.csv.gz", DEPTH), chunk_lines)
    assert sum(chunk.lines for chunk in chunks) == 10
    depths = [chunk.depth for chunk in chunks]
    events = pl.concat([depth.events for depth in depths])
    assert events.select("symbol", "seq", "is_snapshot", "line").rows() == [
        ("BTCUSDT", 1, True, 2),
        ("BTCUSDT", 2, False, 4),  # of the same time and with other levels: more of the first
        ("BTCUSDT", 3, False, 5),
        ("ETHUSDT", 4, True, 7),
        ("BTCUSDT", 5, False, 8),
        ("ETHUSDT", 6, False, 9),
        ("BTCUSDT", 7, True, 10),
    ]
    assert np.concatenate([depth.lines for depth in depths]).tolist() == [2, 1, 2, 1, 1, 1, 1]
    assert np.concatenate([depth.price for depth in depths]).tolist() == [100.5, 101, 102, 100.5, 100, 10, 101, 11, 99]
    assert np.concatenate([depth.qty for depth in depths]).tolist() == [2, 3, 4, 0, 1.5, 1, 0, 1, 7]
    assert np.concatenate([depth.is_bid for depth in depths]).tolist() == [1, 0, 0, 1, 1, 1, 0, 0, 1]
    assert events.select("first_seq", "prev_seq").unique().rows() == [(None, None)]
    assert events["ts"].dt.epoch("us").to_list() == [T0, T0, T0 + 10, T0 + 10, T0 + 10, T0 + 11, T0 + 30]
    assert events["local_ts"].dt.epoch("us").to_list() == [T0 + k for k in (5, 6, 20, 20, 21, 22, 40)]
    for depth in depths:
        assert depth.offsets[0] == 0
        assert depth.offsets[-1] == len(depth.price) == len(depth.qty) == len(depth.is_bid)
        assert len(depth.offsets) == depth.events.height + 1
        assert np.diff(depth.offsets).tolist() == depth.lines.tolist()


@pytest.mark.parametrize("chunk_lines", [1, 3, 4, 100])
@pytest.mark.parametrize("step", [0, 200])
def test_every_snapshot_replaces_the_book_where_nothing_else_comes(tmp_path, chunk_lines, step) -> None:
    """As of Bitget: jumps up and down, a level that is gone, a book between, and an exchange's clock of seconds."""
    tops = [(84000, 84001), (84005, 84006), (83990, 83991), (83989, 83992), (83989, 83990)]
    lines = [
        f"bitget,{symbol},{T0 + step * at},{T0 + 200 * at + 10 + late},true,{side},{shift + price},1"
        for at, (bid, ask) in enumerate(tops)
        for late, symbol, shift in ((0, "BTCUSDT", 0), (1, "ETHUSDT", 10**6))
        for side, price in (("bid", bid), ("bid", bid - 1), ("ask", ask), ("ask", ask + 1))
    ]
    path = packed(tmp_path, "d.csv.gz", DEPTH_HEADER + "\n".join(lines))
    loaded = load([Source(path, "tardis")], chunk_lines=chunk_lines)
    books = pl.concat([chunk.batches["book"] for chunk in loaded if "book" in chunk.batches])
    for symbol, shift in (("BTCUSDT", 0), ("ETHUSDT", 10**6)):
        found = books.filter(symbol=symbol).select("bid_price_0", "ask_price_0", "bid_price_1", "bid_price_2", "state")
        assert found.rows() == [(bid + shift, ask + shift, bid + shift - 1, None, "whole") for bid, ask in tops]


BAD_DEPTH = {
    f"binance,BTCUSDT,{T0},{T0 + 5},yes,bid,100.5,2": "is_snapshot: 'yes' is not allowed: true or false",
    f"binance,BTCUSDT,{T0},{T0 + 5},true,buy,100.5,2": "side: 'buy' is not allowed: bid or ask",
    f"binance,BTCUSDT,{T0},{T0 + 5},true,bid,-1e16,2": "price: '-1e16' is not allowed: a number from -1e+15",
    f"binance,BTCUSDT,{T0},{T0 + 5},true,bid,100.5,NaN": "amount: 'NaN'",
    f"binance,BTCUSDT,{T0},{T0 + 5},true,bid,100.5,-1": "amount: '-1' is not allowed: a number from 0",
    f"binance,BTCUSDT,{T0 // 1000},{T0 + 5},true,bid,100.5,1": "timestamp: '1598918400000' is not allowed: a time",
    f"binance,BTCUSDT,{T0},,true,bid,100.5,1": "local_timestamp: an empty cell is not allowed",
    f",BTCUSDT,{T0},{T0 + 5},true,bid,100.5,1": "exchange: an empty cell is not allowed",
    f"binance,BTCUSDT,{T0},{T0 + 5},true,bid,100.5": "the line has 7 fields, not 8",
}


@pytest.mark.parametrize("line", BAD_DEPTH)
def test_a_bad_line_inside_a_message_leaves_the_message_whole(tmp_path, line) -> None:
    lines = DEPTH.splitlines()
    (chunk, last) = chunks_of(packed(tmp_path, "d.csv.gz", "\n".join([*lines[:2], line, *lines[2:]])))
    (bad,) = chunk.rejected
    assert (bad.line, bad.text) == (3, line)
    assert bad.reason.startswith(BAD_DEPTH[line])
    assert chunk.depth.events["seq"].to_list() == [1, 2, 3, 4, 5, 6]
    assert chunk.depth.lines.tolist() == [2, 1, 2, 1, 1, 1]
    assert last.depth.events["seq"].to_list() == [7]


@pytest.mark.parametrize(
    ("field", "value"),
    [("side", "hold"), ("price", "nan"), ("amount", "-1"), ("amount", "nan"), ("price", "1e400"), ("timestamp", "12")],
)
def test_a_bad_trade_is_rejected(tmp_path, field, value) -> None:
    header = TRADES.splitlines()[0]
    cells = dict(zip(header.split(","), TRADES.splitlines()[1].split(","), strict=True)) | {field: value}
    (chunk,) = chunks_of(packed(tmp_path, "t.csv.gz", TRADES + ",".join(cells.values())))
    assert [bad.reason.split(" is not")[0] for bad in chunk.rejected] == [f"{field}: {value!r}"]
    assert chunk.trades.height == 4


def test_prices_at_and_below_zero_are_stored_and_nothing_is_not(tmp_path) -> None:
    row = f"deribit,A-FS-B,{T0},{T0 + 5},"
    trades = "".join(f"{row}{at},buy,{price},{qty}\n" for at, price, qty in ((1, -12.5, 10), (2, 0, 1), (3, 7.5, 0)))
    (chunk,) = chunks_of(packed(tmp_path, "t.csv.gz", TRADES.splitlines()[0] + "\n" + trades))
    assert chunk.trades.select("seq", "price").rows() == [(1, -12.5), (2, 0.0)]
    assert chunk.ignored == {"header": 1, "trades:nothing": 1}
    quotes = QUOTES.splitlines()[0] + f"\n{row}1,-0.5,-1,2\n{row}0,0,0,3\n"
    (chunk,) = chunks_of(packed(tmp_path, "q.csv.gz", quotes))
    sides = chunk.quotes.select("bid_price", "bid_qty", "ask_price", "ask_qty").rows()
    assert sides == [(-1.0, 2.0, -0.5, 1.0), (0.0, 3.0, None, None)]
    book = f"{snapshot_header(2)}\n{row}-1,5,-2,6,0,7,0,0\n"
    (chunk,) = chunks_of(packed(tmp_path, "s.csv.gz", book))
    levels = ("ask_price_0", "bid_price_0", "ask_price_1", "ask_qty_1", "bid_price_1", "bid_qty_1")
    assert chunk.book.select(levels).rows() == [(-1.0, -2.0, 0.0, 7.0, None, None)]
    depth = f"{DEPTH_HEADER}{row}true,bid,-3,1\n{row}true,ask,0,2\n"
    (chunk,) = chunks_of(packed(tmp_path, "d.csv.gz", depth))[1:]
    assert chunk.depth.price.tolist() == [-3.0, 0.0]


def test_columns_go_by_name_and_not_by_place(tmp_path) -> None:
    frame = pl.read_csv(io.BytesIO(TRADES.encode()), infer_schema=False)
    turned = frame.select(reversed(frame.columns)).write_csv()
    (chunk,) = chunks_of(packed(tmp_path, "t.csv.gz", turned))
    (plain,) = chunks_of(packed(tmp_path, "u.csv.gz", TRADES))
    assert chunk.trades.equals(plain.trades)


def test_other_files_are_refused(tmp_path) -> None:
    assert not tardis.matches([], tmp_path / "x")
    assert not tardis.matches([KEY.encode() + b",open_interest,funding_rate"], tmp_path / "x")
    assert not tardis.matches([snapshot_header(5).encode() + b",extra"], tmp_path / "x")
    assert not tardis.matches([TRADES.splitlines()[1].encode()], tmp_path / "x")
    with pytest.raises(ValueError, match="columns 'a,b' are not allowed: those of trades, quotes"):
        chunks_of(packed(tmp_path, "t.csv.gz", "a,b\n1,2\n"))
    assert chunks_of(packed(tmp_path, "empty.csv.gz", "")) == []


LEVELS = st.tuples(
    st.sampled_from(["A", "B"]),
    st.integers(0, 6),
    st.booleans(),
    st.sampled_from([0, 0, 10]),
    st.sampled_from(["bid", "ask"]),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.one_of(LEVELS, LEVELS, LEVELS, st.sampled_from(["", *BAD_DEPTH])), max_size=30),
    chunk_lines=st.integers(1, 32),
)
def test_events_and_accounting_do_not_depend_on_where_the_file_is_cut(tmp_path_factory, rows, chunk_lines) -> None:
    lines = []
    for row in rows:
        symbol, local, snapshot, late, side, price, amount = row if isinstance(row, tuple) else ("", *[0] * 6)
        good = f"x,{symbol},{T0 + late},{T0 + 1 + local},{str(snapshot).lower()},{side},{price / 100},{amount / 100}"
        lines.append(good if isinstance(row, tuple) else row)
    path = packed(tmp_path_factory.mktemp("tardis"), "d.csv.gz", DEPTH_HEADER + "\n".join(lines) + "\n")
    chunks = chunks_of(path, chunk_lines)
    assert sum(chunk.lines for chunk in chunks) == 1 + max(1, len(lines))
    events = pl.concat([chunk.depth.events for chunk in chunks])
    levels = [row for row in rows if isinstance(row, tuple)]
    messages = [(key, list(group)) for key, group in groupby(levels, key=lambda row: row[:3])]
    before: dict[str, tuple[int, set]] = {}
    expected = []
    for number, ((symbol, local, snapshot), group) in enumerate(messages, 1):
        sides = [(row[4], row[5]) for row in group]
        time, earlier = before.get(symbol, (None, []))
        bids, asks = ({price for side, price in earlier + sides if side == which} for which in ("bid", "ask"))
        apart = len(bids) + len(asks) == len(earlier + sides) and max(bids, default=0) < min(asks, default=10**9)
        goes_on = group[-1][3] == time and apart
        expected.append((symbol, number, T0 + 1 + local, snapshot and not goes_on))
        before[symbol] = (group[-1][3], sides) if snapshot else (None, [])
    assert events.select("symbol", "seq", pl.col("local_ts").dt.epoch("us"), "is_snapshot").rows() == expected
    sizes = [int(size) for chunk in chunks for size in chunk.depth.lines]
    assert sizes == [len(group) for _, group in messages]
    assert [float(p) for chunk in chunks for p in chunk.depth.price] == [row[5] / 100 for row in levels]
