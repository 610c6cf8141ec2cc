"""Recorders' lines of Binance's streams: every kind of three markets, bad lines, and independence of the chunk size."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.market import recorder
from tracebank_models.market.chunks import DECODED, DecodedChunk, Source
from tracebank_models.market.depth_levels import read_levels

LOCAL = 1_723_161_254_087_896_568
EXCHANGE_MS = 1_723_161_255_342
OPTION = "BTC-251226-126000-C"
AT_EXCHANGE = datetime(2024, 8, 8, 23, 54, 15, 342_000, tzinfo=UTC)


def line(stream: str, data: dict[str, Any], local: int | None = LOCAL) -> bytes:
    body = json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()
    return body if local is None else b"%d %s" % (local, body)


def spot_trade(identity: int = 1, symbol: str = "BTCUSDT", **changes: Any) -> dict[str, Any]:
    data = {"e": "trade", "E": EXCHANGE_MS + 1, "s": symbol, "t": identity, "p": "61837.63000000", "q": "0.02000000"}
    return {**data, "T": EXCHANGE_MS, "m": True, "M": True, **changes}


def spot_ticker(update: int = 5, **changes: Any) -> dict[str, Any]:
    data = {"u": update, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.78826000"}
    return {**data, "a": "61837.64000000", "A": "1.54698000", **changes}


def spot_depth(first: int = 10, last: int = 12, symbol: str = "BTCUSDT", **changes: Any) -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": EXCHANGE_MS, "s": symbol, "U": first, "u": last}
    return {**data, "b": [["61737.63000000", "0.00000000"]], "a": [["61837.64000000", "1.5"]], **changes}


def coin_depth(prev: int, first: int, last: int, **changes: Any) -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": EXCHANGE_MS + 8, "T": EXCHANGE_MS, "s": "BTCUSD_PERP", "ps": "BTCUSD", "U": first}
    return {**data, "u": last, "pu": prev, "b": [["61773.6", "1001"], ["61776.4", "412"]], "a": [], **changes}


def usdm(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in ("ps", "M")}


def read(path: Path, lines: list[bytes], chunk_lines: int = 65536, venue: str | None = None) -> list[DecodedChunk]:
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    chunks = list(recorder.read(Source(path, "recorder", venue), chunk_lines=chunk_lines))
    for chunk in chunks:
        for table in ("trades", "quotes", "book"):
            frame = chunk.frames.get(table)
            assert frame is None or dict(frame.schema) == DECODED[table]
        rows = [frame for frame in (chunk.trades, chunk.quotes, chunk.book) if frame is not None]
        events = 0 if chunk.depth is None else len(chunk.depth.events)
        accounted = sum(map(len, rows)) + events + sum(chunk.ignored.values()) + len(chunk.rejected)
        assert accounted == chunk.lines
    assert sum(chunk.lines for chunk in chunks) == len(lines)
    return chunks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.gz"


def frame_of(chunks: list[DecodedChunk], table: str) -> pl.DataFrame:
    return pl.concat([chunk.frames[table] for chunk in chunks if table in chunk.frames])


def levels_of(chunk: DecodedChunk) -> list[list[tuple[bool, float, float]]]:
    depth = chunk.depth
    assert depth is not None
    levels = list(zip(depth.is_bid.tolist(), depth.price.tolist(), depth.qty.tolist(), strict=True))
    return [levels[start:end] for start, end in zip(depth.offsets, depth.offsets[1:], strict=False)]


def nanoseconds(frame: pl.DataFrame, column: str) -> list[int]:
    return frame[column].dt.timestamp("ns").to_list()


def test_a_spot_trade_is_read_as_it_was_sent(path: Path) -> None:
    trades = frame_of(read(path, [line("btcusdt@trade", spot_trade(3735683259))]), "trades")
    row = trades.row(0, named=True)
    assert row.pop("ts") == AT_EXCHANGE
    assert nanoseconds(trades, "local_ts") == [LOCAL]
    row.pop("local_ts")
    assert row == {
        "clock": "exchange",
        "venue": "binance_spot",
        "symbol": "BTCUSDT",
        "seq": 3735683259,
        "price": 61837.63,
        "qty": 0.02,
        "side": "sell",
        "line": 1,
        "kind": "trade",
    }


def test_the_aggressor_bought_where_the_buyer_was_not_the_maker(path: Path) -> None:
    lines = [line("btcusdt@trade", spot_trade(1, m=False)), line("btcusdt@trade", spot_trade(2, m=True))]
    assert frame_of(read(path, lines), "trades")["side"].to_list() == ["buy", "sell"]


def test_aggregate_trades_carry_their_own_id(path: Path) -> None:
    data = {"e": "aggTrade", "E": EXCHANGE_MS, "s": "BTCUSDT", "a": 77, "p": "1.5", "q": "2", "f": 1, "l": 3}
    lines = [line("btcusdt@aggTrade", {**data, "T": EXCHANGE_MS, "m": False, "M": True})]
    trades = frame_of(read(path, lines), "trades")
    assert trades.select("seq", "price", "qty", "kind", "venue").row(0) == (77, 1.5, 2.0, "aggTrade", "binance_spot")


def test_a_spot_quote_has_no_exchange_time_and_says_so(path: Path) -> None:
    quotes = frame_of(read(path, [line("btcusdt@bookTicker", spot_ticker(50093239212))]), "quotes")
    row = quotes.row(0, named=True)
    assert nanoseconds(quotes, "ts") == nanoseconds(quotes, "local_ts") == [LOCAL]
    assert (row["clock"], row["seq"], row["venue"]) == ("local", 50093239212, "binance_spot")
    prices = [row[name] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")]
    assert prices == [61837.63, 3.78826, 61837.64, 1.54698]


def test_the_side_of_a_quote_that_is_empty_is_null(path: Path) -> None:
    quotes = frame_of(
        read(path, [line("btcusdt@bookTicker", spot_ticker(1, a="0.00000000", A="0.00000000"))]), "quotes"
    )
    assert quotes.select("bid_price", "ask_price", "ask_qty").row(0) == (61837.63, None, None)


@pytest.mark.parametrize(
    ("stream", "data", "venue"),
    [
        ("btcusdt@trade", spot_trade(), "binance_spot"),
        ("btcusdt@trade", usdm(spot_trade(X="MARKET")), "binance_usdm"),
        ("btcusd_perp@trade", usdm(spot_trade(symbol="BTCUSD_PERP", X="MARKET")), "binance_coinm"),
        ("btcusdt_240927@trade", usdm(spot_trade(symbol="BTCUSDT_240927", X="MARKET")), "binance_usdm"),
        ("btcusdt@bookTicker", spot_ticker(), "binance_spot"),
        ("btcusdt@bookTicker", spot_ticker(e="bookTicker", T=EXCHANGE_MS, E=EXCHANGE_MS), "binance_usdm"),
        ("btcusd_perp@bookTicker", spot_ticker(s="BTCUSD_PERP", ps="BTCUSD", T=EXCHANGE_MS), "binance_coinm"),
        ("btcusdt@depth@100ms", spot_depth(), "binance_spot"),
        ("btcusdt@depth@100ms", usdm(coin_depth(1, 2, 3, s="BTCUSDT")), "binance_usdm"),
        ("btcusd_perp@depth@0ms", coin_depth(1, 2, 3), "binance_coinm"),
        ("btcusdt@depth@0ms", coin_depth(1, 2, 3, s="BTCUSDT", ps="BTCUSDT", st=1), "binance_usdm"),
        ("btcusdt_260925@depth", coin_depth(1, 2, 3, s="BTCUSDT_260925", ps="BTCUSDT", st=1), "binance_usdm"),
        ("btcusd_260925@depth", coin_depth(1, 2, 3, s="BTCUSD_260925", ps="BTCUSD", st=2), "binance_coinm"),
        ("btcusdt@depth@100ms", spot_depth(pu=9), "binance_usdm"),
        ("btcusdt@bookTicker", spot_ticker(e="bookTicker", ps="BTCUSDT", T=EXCHANGE_MS, st=1), "binance_usdm"),
        ("btcusdt@aggTrade", usdm(spot_trade(a=7, f=1, l=2, nq="0.1")), "binance_usdm"),
        ("dotusd_perp@aggTrade", usdm(spot_trade(a=7, symbol="DOTUSD_PERP")), "binance_coinm"),
        (f"{OPTION.lower()}@optionTrade", usdm(spot_trade(symbol=OPTION, X="MARKET", S="BUY")), "binance_options"),
        ("btcusdt@optionTrade", usdm(spot_trade(symbol="ETH-260327-2000.5-P", X="MARKET")), "binance_options"),
        (f"{OPTION.lower()}@bookTicker", spot_ticker(s=OPTION, T=EXCHANGE_MS), "binance_options"),
        (f"{OPTION.lower()}@depth@100ms", usdm(coin_depth(1, 2, 3, s=OPTION)), "binance_options"),
    ],
)
def test_the_market_is_told_by_the_fields_unless_the_source_names_it(
    path: Path, stream: str, data: dict[str, Any], venue: str
) -> None:
    bare = b"%d %s" % (LOCAL, json.dumps(data | {"e": data.get("e", "bookTicker")}).encode())
    for sent in (line(stream, data), bare):
        for named, expected in ((None, venue), ("binance_us", "binance_us")):
            (chunk,) = read(path, [sent], venue=named)
            frames = [chunk.trades, chunk.quotes, chunk.depth.events if chunk.depth else None]
            assert [frame["venue"].to_list() for frame in frames if frame is not None] == [[expected]]


@pytest.mark.parametrize("chunk_lines", [1, 2, 100])
def test_quotes_book_trades_and_snapshots_of_one_instrument_are_of_one_venue(path: Path, chunk_lines: int) -> None:
    """Those of the first USD-M streams had no time; where nothing else is said of a symbol they are spot's."""
    quotes = [line("btcusdt@bookTicker", spot_ticker(5)), line("x@bookTicker", spot_ticker(6, s="ETHUSDT"))]
    plain = line("btcusdt@trade", usdm(spot_trade(1)))
    futures = [rest(11), line("btcusdt@depth", spot_depth(10, 12, pu=9)), *quotes, plain]
    spot = [rest(11), line("btcusdt@depth", spot_depth(10, 12)), *quotes, plain]
    for lines, venue in ((futures, "binance_usdm"), (spot, "binance_spot")):
        chunks = read(path, lines, chunk_lines)
        events = [chunk.depth.events for chunk in chunks if chunk.depth]
        found = pl.concat(
            [
                frame.select("symbol", "venue")
                for frame in (*events, frame_of(chunks, "quotes"), frame_of(chunks, "trades"))
            ]
        ).unique()
        assert sorted(found.rows()) == [("BTCUSDT", venue), ("ETHUSDT", "binance_spot")]


def test_depth_that_names_no_symbol_is_of_the_given_one_unless_the_content_says_another(path: Path) -> None:
    def symbols(*lines: bytes) -> list[str]:
        path.write_bytes(b"\n".join(lines) + b"\n")
        (chunk,) = recorder.read(Source(path, "recorder", "binance_spot", "ethusdt"))
        assert not chunk.rejected
        return [
            *(chunk.book["symbol"] if chunk.book is not None else []),
            *(chunk.depth.events.filter("is_snapshot")["symbol"] if chunk.depth else []),
        ]

    assert symbols(rest(160), rest(165), rest(171)) == ["ETHUSDT"] * 3
    assert symbols(line("depth20", PARTIAL), line("@depth5", PARTIAL)) == ["ETHUSDT"]
    assert symbols(line("btcusdt@depth20", PARTIAL)) == ["BTCUSDT"]
    assert symbols(line("btcusdt@depth", spot_depth(10, 12)), rest(11)) == ["BTCUSDT"]


@pytest.mark.parametrize("chunk_lines", [1, 2, 100])
def test_partial_depth_without_the_streams_name_is_told_from_differences(path: Path, chunk_lines: int) -> None:
    def depth(last: int, symbol: str, bids: range, asks: range) -> bytes:
        sides = {"b": [[str(price), "2"] for price in bids], "a": [[str(price), "1"] for price in asks]}
        data = usdm(coin_depth(last - 2, last - 1, last, s=symbol, **sides))
        return b"%d %s" % (LOCAL, json.dumps(data).encode())

    partial = [depth(9 * at, "BTCUSDT", range(50 + at, 45 + at, -1), range(51 + at, 56 + at)) for at in (1, 2, 3)]
    lines = [
        *partial,
        depth(5, "ETHUSDT", range(50, 45, -1), range(51, 56)),
        depth(9, "ETHUSDT", range(50, 49, -1), range(0)),
    ]
    chunks = read(path, lines, chunk_lines)
    book = frame_of(chunks, "book").select("symbol", "seq", "bid_price_0", "ask_price_0", "bid_price_5", "kind")
    assert book.rows() == [("BTCUSDT", 9 * at, 50.0 + at, 51.0 + at, None, "depth5") for at in (1, 2, 3)]
    events = pl.concat([chunk.depth.events for chunk in chunks if chunk.depth])
    assert events.select("symbol", "seq", "kind").rows() == [("ETHUSDT", 5, "depth"), ("ETHUSDT", 9, "depth")]


def test_prices_at_and_below_zero_are_stored(path: Path) -> None:
    lines = [
        line("btcusdt@trade", spot_trade(1, p="-37.63")),
        line("btcusdt@trade", spot_trade(2, p="0.00")),
        line("btcusdt@trade", spot_trade(3, q="0.00")),
        line("btcusdt@bookTicker", spot_ticker(b="-1.5", a="0.00")),
        line("btcusdt@depth", spot_depth(b=[["-2.5", "1"]], a=[["0.00", "2"]])),
        line("ethusdt@depth5", {"lastUpdateId": 1, "bids": [["-2", "1"]], "asks": [["0", "3"], ["1", "4"]]}),
    ]
    chunks = read(path, lines)
    assert frame_of(chunks, "trades")["price"].to_list() == [-37.63, 0.0]
    assert chunks[0].ignored == {"trade:nothing": 1}
    assert frame_of(chunks, "quotes").select("bid_price", "ask_price", "ask_qty").rows() == [(-1.5, 0.0, 1.54698)]
    assert levels_of(chunks[0]) == [[(True, -2.5, 1.0), (False, 0.0, 2.0)]]
    assert frame_of(chunks, "book").select("bid_price_0", "ask_price_0", "ask_price_1").rows() == [(-2.0, 0.0, 1.0)]


def test_blocks_of_options_are_ignored_by_their_kind(path: Path) -> None:
    trades = [usdm(spot_trade(at, symbol=OPTION, X=fill)) for at, fill in enumerate(["MARKET", "BLOCK"])]
    (chunk,) = read(path, [line(f"{OPTION.lower()}@optionTrade", data) for data in trades])
    assert chunk.ignored == {"optionTrade:BLOCK": 1}
    assert chunk.trades is not None
    assert chunk.trades.select("symbol", "seq").rows() == [(OPTION, 0)]


def test_differences_keep_their_ids_and_levels(path: Path) -> None:
    lines = [line("btcusdt@depth@100ms", spot_depth(10, 12)), line("btcusd_perp@depth@0ms", coin_depth(98, 100, 105))]
    (chunk,) = read(path, lines)
    assert chunk.depth is not None
    ids = chunk.depth.events.select("seq", "first_seq", "prev_seq", "is_snapshot", "kind", "clock", "symbol")
    assert ids.rows() == [
        (12, 10, None, False, "depth@100ms", "exchange", "BTCUSDT"),
        (105, 100, 98, False, "depth@0ms", "exchange", "BTCUSD_PERP"),
    ]
    assert chunk.depth.events["ts"].to_list() == [AT_EXCHANGE, AT_EXCHANGE]
    assert levels_of(chunk) == [
        [(True, 61737.63, 0.0), (False, 61837.64, 1.5)],
        [(True, 61773.6, 1001.0), (True, 61776.4, 412.0)],
    ]


def test_spot_partial_depth_is_a_whole_book_of_the_streams_symbol(path: Path) -> None:
    bids = [[f"{100 - at}.5", f"{at}.25"] for at in range(20)]
    data = {"lastUpdateId": 160, "bids": bids, "asks": [["101.0", "3"], ["102.0", "4"]]}
    book = frame_of(read(path, [line("btcusdt@depth20@100ms", data)]), "book")
    row = book.row(0, named=True)
    assert [row[f"bid_price_{at}"] for at in range(10)] == [100.5 - at for at in range(10)]
    assert [row[f"bid_qty_{at}"] for at in range(10)] == [at + 0.25 for at in range(10)]
    assert [row[f"ask_price_{at}"] for at in range(3)] == [101.0, 102.0, None]
    assert [row[f"ask_qty_{at}"] for at in range(3)] == [3.0, 4.0, None]
    assert (row["venue"], row["symbol"], row["seq"], row["clock"]) == ("binance_spot", "BTCUSDT", 160, "local")
    assert (row["state"], row["kind"]) == ("whole", "depth20@100ms")


def test_futures_partial_depth_has_the_exchanges_time(path: Path) -> None:
    data = coin_depth(1, 2, 3, a=[["61800.0", "5"]])
    book = frame_of(
        read(path, [line("btcusd_perp@depth5", data), line("btcusdt@depth5", usdm({**data, "s": "X"}))]), "book"
    )
    rows = book.select(
        "ts", "venue", "symbol", "seq", "bid_price_0", "bid_price_1", "bid_price_2", "ask_price_0"
    ).rows()
    prices = (61773.6, 61776.4, None, 61800.0)
    assert rows == [
        (AT_EXCHANGE, "binance_coinm", "BTCUSD_PERP", 3, *prices),
        (AT_EXCHANGE, "binance_usdm", "X", 3, *prices),
    ]


def rest(last: int, **more: Any) -> bytes:
    return b"%d %s" % (LOCAL, json.dumps({"lastUpdateId": last, **more, "bids": [["9.5", "1"]], "asks": []}).encode())


@pytest.mark.parametrize("chunk_lines", [1, 2, 100])
def test_a_snapshot_without_a_symbol_is_of_the_files_depth_stream(path: Path, chunk_lines: int) -> None:
    between = [line("btcusdt@bookTicker", spot_ticker(at)) for at in range(5)]
    stream = line("btcusdt@depth", spot_depth())
    for lines in ([rest(11), *between, stream], [stream, *between, rest(11)]):
        chunks = read(path, lines, chunk_lines)
        events = pl.concat([chunk.depth.events for chunk in chunks if chunk.depth])
        (snapshot,) = events.filter(pl.col("is_snapshot")).to_dicts()
        assert (snapshot["symbol"], snapshot["venue"], snapshot["seq"]) == ("BTCUSDT", "binance_spot", 11)
        assert (snapshot["first_seq"], snapshot["clock"], snapshot["kind"]) == (None, "local", "depth_snapshot")


@pytest.mark.parametrize("chunk_lines", [1, 3, 100])
def test_of_several_depth_streams_the_ids_tell_a_snapshots_symbol(path: Path, chunk_lines: int) -> None:
    lines = [
        line("btcusdt@depth", spot_depth(100, 110)),
        rest(5020),
        line("ethusdt@depth", spot_depth(5000, 5010, "ETHUSDT")),
        line("btcusdt@depth", spot_depth(111, 115)),
        line("ethusdt@depth", spot_depth(5011, 5030, "ETHUSDT")),
        rest(112),
        rest(700),
    ]
    chunks = read(path, lines, chunk_lines)
    events = pl.concat([chunk.depth.events for chunk in chunks if chunk.depth])
    named = events.filter(pl.col("is_snapshot")).select("symbol", "seq").rows()
    assert named == [("ETHUSDT", 5020), ("BTCUSDT", 112)]
    (bad,) = [bad for chunk in chunks for bad in chunk.rejected]
    assert (bad.line, "without a symbol" in bad.reason) == (7, True)


def test_futures_snapshots_have_a_time_and_coin_ones_their_symbol(path: Path) -> None:
    lines = [
        rest(5, E=EXCHANGE_MS + 3, T=EXCHANGE_MS, symbol="BTCUSD_PERP", pair="BTCUSD"),
        line("btcusdt@depth", usdm(coin_depth(4, 5, 6, s="BTCUSDT"))),
        rest(5, E=EXCHANGE_MS + 3, T=EXCHANGE_MS),
    ]
    (chunk,) = read(path, lines)
    assert chunk.depth is not None
    rows = chunk.depth.events.filter(pl.col("is_snapshot")).select("ts", "venue", "symbol").rows()
    assert rows == [(AT_EXCHANGE, "binance_coinm", "BTCUSD_PERP"), (AT_EXCHANGE, "binance_usdm", "BTCUSDT")]


def test_futures_fills_outside_the_book_are_ignored_by_their_kind(path: Path) -> None:
    fills = [usdm(spot_trade(at, X=fill)) for at, fill in enumerate(["MARKET", "INSURANCE_FUND", "ADL", "ADL"])]
    nothing = usdm(spot_trade(9, X="MARKET", p="0", q="0"))
    (chunk,) = read(path, [line("btcusdt@trade", data) for data in (*fills, nothing)])
    assert chunk.ignored == {"trade:INSURANCE_FUND": 1, "trade:ADL": 2, "trade:nothing": 1}
    assert chunk.trades is not None
    assert chunk.trades["seq"].to_list() == [0]


def aggregate(identity: int, symbol: str = "BTCUSDT") -> bytes:
    data = {"e": "aggTrade", "E": EXCHANGE_MS, "s": symbol, "a": identity, "p": "1", "q": "1", "T": EXCHANGE_MS}
    return line(f"{symbol.lower()}@aggTrade", {**data, "m": True, "M": True})


@pytest.mark.parametrize("chunk_lines", [1, 2, 100])
def test_of_two_streams_of_the_same_trades_or_book_the_first_counts(path: Path, chunk_lines: int) -> None:
    partial = {"lastUpdateId": 7, "bids": [["1", "1"]], "asks": []}
    lines = [
        aggregate(1),
        line("btcusdt@trade", spot_trade(1)),
        line("ethusdt@trade", spot_trade(2, "ETHUSDT")),
        aggregate(2, "ETHUSDT"),
        line("btcusdt@depth5", partial),
        line("btcusdt@depth@100ms", spot_depth()),
        rest(11),
        line("ethusdt@depth", spot_depth(500, 501, "ETHUSDT")),
        line("ethusdt@depth10", partial),
        line("ethusdt@depth@100ms", spot_depth(500, 501, "ETHUSDT")),
        aggregate(3),
    ]
    chunks = read(path, lines, chunk_lines)
    assert frame_of(chunks, "trades").select("symbol", "kind", "seq").rows() == [
        ("BTCUSDT", "aggTrade", 1),
        ("ETHUSDT", "trade", 2),
        ("BTCUSDT", "aggTrade", 3),
    ]
    assert frame_of(chunks, "book").select("symbol", "kind").rows() == [("BTCUSDT", "depth5")]
    events = pl.concat([chunk.depth.events for chunk in chunks if chunk.depth])
    assert events.select("symbol", "kind").rows() == [("ETHUSDT", "depth")]
    ignored: dict[str, int] = {}
    for chunk in chunks:
        for kind, count in chunk.ignored.items():
            ignored[kind] = ignored.get(kind, 0) + count
    assert ignored == {"trade": 1, "aggTrade": 1, "depth@100ms": 2, "depth10": 1, "depth_snapshot": 1}


def test_what_is_not_market_data_is_ignored_by_kind(path: Path) -> None:
    lines = [
        b'%d {"result":null,"id":1}' % LOCAL,
        b'{"error":{"code":2,"msg":"Invalid request"},"id":3}',
        b"",
        line("btcusdt@miniTicker", {"e": "24hrMiniTicker"}),
        line("!ticker@arr", {"any": "thing"}),
        line("btcusdt@markPrice@1s", {"e": "markPriceUpdate"}),
    ]
    (chunk,) = read(path, lines)
    kinds = {"subscription_reply": 2, "blank": 1, "miniTicker": 1, "ticker@arr": 1, "markPrice@1s": 1}
    assert chunk.ignored == kinds


def test_lines_need_neither_a_receive_time_nor_the_streams_name(path: Path) -> None:
    lines = [
        line("btcusdt@trade", spot_trade(1), None),
        json.dumps({"data": spot_trade(2), "stream": "btcusdt@trade"}).encode(),
        json.dumps(spot_trade(3)).encode(),
        b"%d %s" % (LOCAL, json.dumps(spot_trade(4)).encode()),
        b"%d %s" % (LOCAL, json.dumps(spot_ticker(5)).encode()),
        b"%d %s" % (LOCAL // 10**6, line("btcusdt@depth", spot_depth(), None)),
        line("!bookTicker", spot_ticker(6)),
    ]
    chunks = read(path, lines)
    trades = frame_of(chunks, "trades")
    assert trades.select("seq", "line").rows() == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert nanoseconds(trades, "local_ts") == [None, None, None, LOCAL]
    assert trades["ts"].to_list() == [AT_EXCHANGE] * 4
    assert frame_of(chunks, "quotes")["line"].to_list() == [5, 7]
    assert chunks[0].depth is not None
    assert nanoseconds(chunks[0].depth.events, "local_ts") == [LOCAL // 10**6 * 10**6]


def test_the_unit_of_a_time_is_told_by_its_size(path: Path) -> None:
    times = [EXCHANGE_MS // 1000, EXCHANGE_MS, EXCHANGE_MS * 1000 + 7, EXCHANGE_MS * 10**6 + 9]
    trades = frame_of(
        read(path, [line("btcusdt@trade", spot_trade(at, T=time)) for at, time in enumerate(times)]), "trades"
    )
    ms = EXCHANGE_MS * 10**6
    assert nanoseconds(trades, "ts") == [ms // 10**9 * 10**9, ms, ms + 7000, ms + 9]


PARTIAL = {"lastUpdateId": 1, "bids": [["1", "2"]], "asks": []}

BAD_LINES = {
    "malformed": (b'%d {"stream":"btcusdt@trade","data":{"e":"trade",}}' % LOCAL, "malformed"),
    "cut short": (line("btcusdt@trade", spot_trade())[:-9], "receive time and a JSON object|truncated|malformed"),
    "cut by one": (line("btcusdt@trade", spot_trade())[:-1], "truncated|malformed"),
    "with a tail": (line("btcusdt@trade", spot_trade()) + b"x", "not a receive time and a JSON object"),
    "two in one": (line("btcusdt@trade", spot_trade()) + line("btcusdt@trade", spot_trade(), None), "malformed"),
    "no JSON": (b"1723161254087896568 hello", "not a receive time and a JSON object"),
    "no known message": (b'{"temperature":21}', "no known kind of message: members temperature"),
    "bad UTF-8": (line("btcusdt@trade", spot_trade(symbol="BTC?")).replace(b"?", b"\xff"), "utf-8"),
    "bad stream name": (line("btcusdt@tr\x07ade", spot_trade()), "stream name"),
    "missing field": (line("btcusdt@trade", {"e": "trade", "s": "BTCUSDT"}), "missing required field"),
    "wrong type": (line("btcusdt@trade", spot_trade(T="soon")), "Expected `int`"),
    "absurd price": (line("btcusdt@trade", spot_trade(p="-1e16")), r"`float` >= -1e15 - at `\$.p`|at `\$.p`"),
    "no market": (line("btcusdt@trade", usdm(spot_trade(symbol="ETHUSDT"))), "--venue tells it"),
    "no symbol": (line("depth5", PARTIAL), "--symbol tells it"),
    "NaN quantity": (line("btcusdt@trade", spot_trade(q="NaN")), r"at `\$.q`"),
    "infinite price": (line("btcusdt@bookTicker", spot_ticker(a="inf")), r"at `\$.a`"),
    "absurd time": (line("btcusdt@trade", spot_trade(T=17)), "outside the years 2000 to 2099"),
    "absurd receive time": (line("btcusdt@trade", spot_trade(), 9 * 10**18), "receive time is outside the years"),
    "huge receive time": (line("btcusdt@trade", spot_trade(), 10**19), "not a receive time"),
    "no time at all": (line("btcusdt@bookTicker", spot_ticker(), None), "neither an exchange time nor a receive"),
    "id too large": (line("btcusdt@trade", spot_trade(2**63)), r"at `\$.t`"),
    "ids backwards": (line("btcusdt@depth", spot_depth(12, 10)), "U is above the last"),
    "level with three": (
        line("btcusdt@depth", spot_depth(b=[["1", "2", "3"]])),
        "levels: Expected `array` of length 2",
    ),
    "level of words": (line("btcusdt@depth", spot_depth(a=[["1", "many"]])), "levels: Expected `float`"),
    "level out of sight": (line("btcusdt@depth", spot_depth(a=[["-2e10", "1"]])), "levels: Expected `float` >= -1"),
    "no levels": (line("btcusdt@depth", spot_depth(a="none")), "levels: Expected `array`"),
    "partial with bad level": (line("a@depth5", {"lastUpdateId": 1, "bids": [["1", "-2"]], "asks": []}), "levels"),
    "binary": (bytes(range(1, 10)) + b"\x80\xff\x00", "not a receive time and a JSON object"),
    "depth of one more": (line("btcusdt@depth", spot_depth(u=True)), "Expected `int`"),
}


@pytest.mark.parametrize("name", BAD_LINES)
@pytest.mark.parametrize("chunk_lines", [2, 100])
def test_a_bad_line_is_rejected_with_its_reason_and_the_rest_goes_on(path: Path, name: str, chunk_lines: int) -> None:
    bad, reason = BAD_LINES[name]
    good = [
        line("btcusdt@trade", spot_trade(1)),
        line("btcusdt@depth", spot_depth()),
        line("btcusdt@bookTicker", spot_ticker()),
    ]
    more = [line("btcusdt@trade", spot_trade(2)), line("btcusdt@depth", spot_depth(13, 14)), line("a@depth5", PARTIAL)]
    chunks = read(path, [*good, bad, *more], chunk_lines)
    (rejected,) = [rejected for chunk in chunks for rejected in chunk.rejected]
    assert rejected.line == 4
    assert rejected.text == bad.decode("utf-8", "replace")[:500]
    assert re.search(reason, rejected.reason), rejected.reason
    assert frame_of(chunks, "trades")["line"].to_list() == [1, 5]
    assert frame_of(chunks, "quotes")["line"].to_list() == [3]
    assert frame_of(chunks, "book")["line"].to_list() == [7]
    assert [level for chunk in chunks if chunk.depth for level in levels_of(chunk)] == [
        [(True, 61737.63, 0.0), (False, 61837.64, 1.5)]
    ] * 2


def test_the_text_of_a_rejected_line_is_bounded(path: Path) -> None:
    (chunk,) = read(path, [b"x" * 100_000])
    assert chunk.rejected[0].text == "x" * 500


LINES = st.sampled_from(
    [
        line("btcusdt@trade", spot_trade(1)),
        line("ethusdt@trade", spot_trade(2, "ETHUSDT"), LOCAL + 5),
        line("btcusdt@trade", usdm(spot_trade(3, X="MARKET"))),
        line("btcusdt@bookTicker", spot_ticker()),
        line("btcusdt@depth@100ms", spot_depth()),
        line("btcusd_perp@depth@0ms", coin_depth(1, 2, 3)),
        line("btcusdt@depth5", PARTIAL),
        json.dumps(spot_trade(4)).encode(),
        rest(5, T=EXCHANGE_MS, symbol="BTCUSD_PERP", pair="BTCUSD"),
        rest(11),
        aggregate(7),
        b'{"result":null,"id":1}',
        *(bad for bad, _ in BAD_LINES.values()),
    ]
)


def summary(chunks: list[DecodedChunk]) -> tuple[Any, ...]:
    frames = [[row for c in chunks if t in c.frames for row in c.frames[t].rows()] for t in DECODED]
    events = [row for chunk in chunks if chunk.depth for row in chunk.depth.events.rows()]
    levels = [level for chunk in chunks if chunk.depth for level in levels_of(chunk)]
    ignored = sorted(kind for chunk in chunks for kind, count in chunk.ignored.items() for _ in range(count))
    return frames, events, levels, ignored, [bad for chunk in chunks for bad in chunk.rejected]


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(LINES, min_size=1, max_size=25), chunk_lines=st.integers(1, 12))
def test_what_is_read_does_not_depend_on_the_chunk_size(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], chunk_lines: int
) -> None:
    path = tmp_path_factory.mktemp("recorder") / "file"
    assert summary(read(path, lines)) == summary(read(path, lines, chunk_lines))


digits = st.from_regex(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,14})?", fullmatch=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.tuples(digits, digits), max_size=5), max_size=6), st.sampled_from([",", ", "]))
def test_levels_are_the_numbers_that_their_text_says(arrays: list[list[tuple[str, str]]], comma: str) -> None:
    texts = [msgspec.Raw(json.dumps(array, separators=(comma, ":")).encode()) for array in arrays]
    levels = read_levels(texts)
    bad = {index for index, array in enumerate(arrays) if any(float(qty) < 0 for _, qty in array)}
    good = [level for index, array in enumerate(arrays) if index not in bad for level in array]
    assert set(levels.errors) == bad
    assert levels.counts.tolist() == [0 if index in bad else len(array) for index, array in enumerate(arrays)]
    assert list(zip(levels.price.tolist(), levels.qty.tolist(), strict=True)) == [
        (float(price), float(qty)) for price, qty in good
    ]


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='[]",.0123 -', max_size=24))
def test_text_that_is_no_array_of_pairs_is_an_error_as_a_json_parser_says(text: str) -> None:
    levels = read_levels([msgspec.Raw(b'[["1.5","2"]]'), msgspec.Raw(text.encode()), msgspec.Raw(b"[]")])
    try:
        pairs = [(float(price), float(qty)) for price, qty in json.loads(text)]
        sound = all(qty >= 0 for _, qty in pairs)
    except (ValueError, TypeError):
        pairs, sound = [], False
    if sound and 1 not in levels.errors:
        assert list(zip(levels.price.tolist(), levels.qty.tolist(), strict=True)) == [(1.5, 2.0), *pairs]
    else:
        assert levels.counts.tolist() == [1, 0, 0]
        assert 1 in levels.errors or not pairs


@pytest.mark.parametrize(
    "head", [line("a@trade", {}), b'{"stream": "a@trade"', b'1723161254087 {"e":"trade"', b'5 {"x":1}', b"id,price,qty"]
)
def test_a_recording_is_known_by_how_its_lines_start(head: bytes, tmp_path: Path) -> None:
    known = head not in (b'5 {"x":1}', b"id,price,qty")
    assert recorder.matches([head], tmp_path) is known


@pytest.mark.parametrize(
    "deep",
    [
        b'{"stream":"btcusdt@depth","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":%s,"a":[]}}',
        b'{"stream":"btcusdt@foo","data":%s}',
        b'{"e":"trade","s":"BTCUSDT","x":%s}',
        b'{"lastUpdateId":1,"bids":%s,"asks":[]}',
        b'{"a":%s}',
    ],
)
def test_a_line_nested_without_end_is_one_bad_line(path: Path, deep: bytes) -> None:
    good = line("btcusdt@foo", {})
    chunks = read(path, [good, b"%d %s" % (LOCAL, deep % (b"[" * 100_000 + b"]" * 100_000)), good])
    assert [bad.line for chunk in chunks for bad in chunk.rejected] == [2]
