from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.market import binance_vision
from tracebank_models.market.chunks import DECODED, DecodedChunk, Source

DAY = datetime(2024, 8, 8, tzinfo=UTC)
MS = 1723075200000

SPOT_TRADES = b"""3728261912,55107.68000000,0.00109000,60.06737120,1723075200014,True,True
3728261913,55107.69000000,0.00050000,27.55384500,1723075200015,False,True
"""
UM_TRADES = b"""id,price,qty,quote_qty,time,is_buyer_maker
5253880937,55061.6,0.024,1321.4784,1723075200031,false
5253880938,55061.5,0.005,275.3075,1723075200130,true
"""
CM_TRADES = b"""id,price,qty,base_qty,time,is_buyer_maker
851022504,55026.1,83.0,0.15083751,1723075202731,true
"""
SPOT_AGG = b"3113712210,55107.68000000,0.00109000,3728261912,3728261912,1735689600010866,True,True\n"
UM_AGG = b"""agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker
2245829761,55061.6,0.024,5253880937,5253880937,1723075200031,false
"""
TICKER = b"""update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time
4307082988118,0.02634800,315928.00000000,0.02634900,2385.00000000,1711756800080,1711756800087
4307083859526,0.00000000,0.00000000,0.02634900,2385.00000000,1711756801522,1711756802066
"""


def packed(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.with_suffix(".csv").name, content)
    return path


def source(path: Path, **said: str) -> Source:
    return Source(path, "binance_vision", **said)


def chunks_of(path: Path, chunk_lines: int = 65536, **said: str) -> list[DecodedChunk]:
    chunks = list(binance_vision.read(source(path, **said), chunk_lines=chunk_lines))
    for chunk in chunks:
        rows = 0
        for table in ("trades", "quotes"):
            frame = chunk.frames.get(table)
            if frame is not None:
                assert dict(frame.schema) == {
                    name: pl.Schema({name: dtype})[name] for name, dtype in DECODED[table].items()
                }
                rows += frame.height
        assert rows + sum(chunk.ignored.values()) + len(chunk.rejected) == chunk.lines
    return chunks


@pytest.mark.parametrize(
    ("folder", "name", "content", "venue", "kind", "first"),
    [
        (
            "spot",
            "BTCUSDT-trades-2024-08-08",
            SPOT_TRADES,
            "binance_spot",
            "trades",
            (3728261912, 55107.68, 0.00109, "sell"),
        ),
        (
            "um",
            "BTCUSDT-trades-2024-08-08",
            UM_TRADES,
            "binance_usdm",
            "trades",
            (5253880937, 55061.6, 0.024, "buy"),
        ),
        (
            "cm",
            "BTCUSD_PERP-trades-2024-08-08",
            CM_TRADES,
            "binance_coinm",
            "trades",
            (851022504, 55026.1, 83.0, "sell"),
        ),
        (
            "spot",
            "BTCUSDT-aggTrades-2025-01",
            SPOT_AGG,
            "binance_spot",
            "aggTrades",
            (3113712210, 55107.68, 0.00109, "sell"),
        ),
        (
            "um",
            "BTCUSDT-aggTrades-2024-08-08",
            UM_AGG,
            "binance_usdm",
            "aggTrades",
            (2245829761, 55061.6, 0.024, "buy"),
        ),
    ],
)
@pytest.mark.parametrize("with_folder", [True, False])
def test_trades_of_each_market(tmp_path, folder, name, content, venue, kind, first, with_folder) -> None:
    inside = tmp_path / "data" / "futures" / folder / "daily" if with_folder else tmp_path
    path = packed(inside / f"{name}.zip", content)
    assert binance_vision.matches(content.splitlines(), path)
    (chunk,) = chunks_of(path)
    assert chunk.trades is not None
    row = chunk.trades.row(0, named=True)
    assert (row["seq"], row["price"], row["qty"], row["side"]) == first
    assert (row["venue"], row["symbol"], row["kind"]) == (venue, name.split("-")[0], kind)
    assert (row["clock"], row["local_ts"]) == ("exchange", None)
    assert row["line"] == (2 if content[:1].isalpha() else 1)
    assert chunk.ignored == ({"header": 1} if content[:1].isalpha() else {})
    assert chunk.has_ids
    assert chunk.companions == {}


def test_milliseconds_and_microseconds_are_told_apart_by_row(tmp_path) -> None:
    lines = [b"1,2.0,3.0,6.0,1723075200014,True,True", b"2,2.0,3.0,6.0,1723075200014015,True,True"]
    (chunk,) = chunks_of(packed(tmp_path / "AB-trades-2024-08-08.zip", b"\n".join(lines)))
    assert chunk.trades["ts"].dt.epoch("ns").to_list() == [1723075200014000000, 1723075200014015000]


def test_book_ticker_gives_quotes_and_an_empty_side_is_null(tmp_path) -> None:
    path = packed(tmp_path / "1000BONKUSDT-bookTicker-2024-03-30.zip", TICKER)
    (chunk,) = chunks_of(path)
    assert chunk.trades is None
    first, second = chunk.quotes.rows(named=True)
    assert first["ts"] == datetime(2024, 3, 30, tzinfo=UTC) + timedelta(milliseconds=80)
    assert (first["seq"], first["venue"]) == (4307082988118, "binance_usdm")
    assert [first[c] for c in ("bid_price", "bid_qty", "ask_price", "ask_qty")] == [0.026348, 315928, 0.026349, 2385]
    assert [second[c] for c in ("bid_price", "bid_qty", "ask_price", "ask_qty")] == [None, None, 0.026349, 2385]


def test_without_header_the_columns_decide_and_the_name_must_agree(tmp_path) -> None:
    body = TICKER.split(b"\n", 1)[1]
    (chunk,) = chunks_of(packed(tmp_path / "BTCUSDT-bookTicker-2024-03-30.zip", body))
    assert chunk.quotes.height == 2
    path = packed(tmp_path / "BTCUSDT-aggTrades-2024-03-30.zip", SPOT_TRADES)
    with pytest.raises(ValueError, match=r"the name says aggTrades, but the lines have the columns of trades"):
        chunks_of(path)


def test_said_venue_and_symbol_win(tmp_path) -> None:
    path = tmp_path / "spot" / "some.csv"
    path.parent.mkdir()
    path.write_bytes(UM_TRADES)
    with pytest.raises(ValueError, match="pass symbol"):
        chunks_of(path, venue="elsewhere")
    (chunk,) = chunks_of(path, venue="elsewhere", symbol="ABC")
    assert set(chunk.trades["venue"]) == {"elsewhere"}
    assert set(chunk.trades["symbol"]) == {"ABC"}
    with pytest.raises(
        ValueError, match=r"folder 'spot' does not fit the 6 columns .* pass venue, one of binance_spot, "
    ):
        chunks_of(path, symbol="ABC")


def test_what_is_no_archive_does_not_match_and_says_so(tmp_path) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(b"a,b,c\n1,2,3\n")
    assert not binance_vision.matches([b"a,b,c", b"1,2,3"], path)
    assert not binance_vision.matches([], path)
    assert not binance_vision.matches([b"1,2.0,3.0,2.1,3.0,1711756800080,1711756800087"], path)
    with pytest.raises(ValueError, match=r"first line 'a,b,c' is not allowed: a line of Binance"):
        chunks_of(path)
    path.write_bytes(b"")
    assert chunks_of(path) == []


BAD = {
    b"1,2e15,3.0,6.0,1723075200014,True,True": "price: '2e15' is not allowed: a number from -1e+15 to 1e+15",
    b"1,NaN,3.0,6.0,1723075200014,True,True": "price: 'NaN'",
    b"1,inf,3.0,6.0,1723075200014,True,True": "price: 'inf'",
    b"1,2.0,-1,6.0,1723075200014,True,True": "qty: '-1' is not allowed: a number from 0",
    b"1,2.0,nan,6.0,1723075200014,True,True": "qty: 'nan'",
    b"1,2.0,3.0,6.0,1723075200,True,True": "time: '1723075200' is not allowed: a time from 2000 to 2099 in ms or us",
    b"1,2.0,3.0,6.0,99999999999999999999,True,True": "time: '99999999999999999999'",
    b"1,2.0,3.0,6.0,1723075200014,maybe,True": "isbuyermaker: 'maybe' is not allowed: true or false",
    b"x,2.0,3.0,6.0,1723075200014,True,True": "id: 'x' is not allowed: a whole number from 0",
    b",2.0,3.0,6.0,1723075200014,True,True": "id: an empty cell is not allowed",
    b"1,2.0,3.0,6.0,1723075200014,True": "the line has 6 fields, not 7",
    b"1,2.0,3.0,6.0,1723075200014,True,True,": "the line has 8 fields, not 7",
    b"\xff\xfe,2.0,3.0,6.0,1723075200014,True,True": "id: '\ufffd\ufffd' is not allowed",
    b'"1",2.0,3.0,6.0,1723075200014,True,True': "id: '\"1\"' is not allowed",
    b"1,2.0,\x00,6.0,1723075200014,True,True": "qty: '\\x00' is not allowed",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_is_rejected_with_its_reason_and_the_rest_goes_on(tmp_path, line) -> None:
    content = SPOT_TRADES + line + b"\r\n\n" + SPOT_TRADES
    (chunk,) = chunks_of(packed(tmp_path / "BTCUSDT-trades-2024-08-08.zip", content))
    assert chunk.trades["line"].to_list() == [1, 2, 5, 6]
    assert chunk.ignored == {"blank": 1}
    (rejected,) = chunk.rejected
    assert (rejected.line, rejected.text) == (3, line.decode("utf-8", "replace"))
    assert rejected.reason.startswith(BAD[line])


def test_a_cut_first_line_does_not_decide_the_layout(tmp_path) -> None:
    cut = SPOT_TRADES.splitlines()[0].removesuffix(b",True") + b"\n"
    (chunk,) = chunks_of(packed(tmp_path / "BTCUSDT-trades-2024-08-08.zip", cut + SPOT_TRADES))
    assert chunk.trades["venue"].to_list() == ["binance_spot", "binance_spot"]
    assert [(bad.line, bad.reason) for bad in chunk.rejected] == [(1, "the line has 6 fields, not 7")]


def test_a_quote_at_zero_is_one_and_a_side_of_nothing_is_empty(tmp_path) -> None:
    lines = (b"4307082988119,0,%d,0.02634900,2385.00000000,1711756800080,1711756800087\n" % qty for qty in (5, 0))
    (chunk,) = chunks_of(packed(tmp_path / "A-bookTicker-2024-03-30.zip", TICKER + b"".join(lines)))
    assert chunk.quotes.select("bid_price", "bid_qty").rows()[-2:] == [(0.0, 5.0), (None, None)]


def test_trades_of_nothing_are_ignored_and_prices_below_zero_stored(tmp_path) -> None:
    numbers = ((3, b"-2.5", b"3.0"), (4, b"5", b"0.000"), (5, b"0", b"2"))
    lines = b"".join(b"%d,%b,%b,6.0,1723075200014,True,True\n" % number for number in numbers)
    (chunk,) = chunks_of(packed(tmp_path / "BTCUSDT-trades-2024-08-08.zip", lines))
    assert chunk.trades.select("seq", "price").rows() == [(3, -2.5), (5, 0.0)]
    assert chunk.ignored == {"trades:nothing": 1}


def test_members_of_one_archive_may_each_have_a_header(tmp_path) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-08.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", UM_TRADES)
        archive.writestr("b.csv", UM_TRADES)
    (chunk,) = chunks_of(path)
    assert chunk.ignored == {"header": 2}
    assert chunk.trades["line"].to_list() == [2, 3, 5, 6]


NUMBERS = st.decimals(min_value="0.00000001", max_value="1e9", places=8)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2**62), NUMBERS, NUMBERS, st.integers(MS, MS + 86_399_999), st.booleans()),
            st.sampled_from([b"", b"  ", *BAD]),
        ),
        max_size=30,
    ),
    chunk_lines=st.integers(1, 40),
)
def test_every_line_is_accounted_for_and_values_survive(tmp_path_factory, rows, chunk_lines) -> None:
    lines = [
        row if isinstance(row, bytes) else f"{row[0]},{row[1]},{row[2]},1.0,{row[3]},{row[4]},True".encode()
        for row in rows
    ]
    path = tmp_path_factory.mktemp("vision") / "BTCUSDT-trades-2024-08-08.csv"
    path.write_bytes(b"\n".join([SPOT_TRADES.splitlines()[0], *lines]) + b"\n")
    chunks = chunks_of(path, chunk_lines)
    assert sum(chunk.lines for chunk in chunks) == 1 + len(lines)
    assert max(chunk.lines for chunk in chunks) <= chunk_lines
    stored = pl.concat([chunk.trades for chunk in chunks]).rows(named=True)[1:]
    expected = [(i, row) for i, row in enumerate(rows, 2) if not isinstance(row, bytes)]
    assert len(stored) == len(expected)
    for row, (line, (number, price, qty, time, maker)) in zip(stored, expected, strict=True):
        assert (row["line"], row["seq"], row["side"]) == (line, number, "sell" if maker else "buy")
        assert (row["price"], row["qty"]) == (float(price), float(qty))
        assert row["ts"] == DAY + timedelta(milliseconds=time - MS)
    rejected = {bad.line for chunk in chunks for bad in chunk.rejected}
    assert rejected == {i for i, row in enumerate(rows, 2) if isinstance(row, bytes) and row.strip()}
