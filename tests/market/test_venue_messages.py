"""Recordings that are not our recorder's, or not of Binance: whose lines they are, and the trades in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tracebank_models.market.chunks import DECODED, DecodedChunk
from tracebank_models.market.formats import reader, source_of
from tracebank_models.market.pipeline import Accounting, load

MS = 1_723_075_200_000
NS = MS * 10**6
LOCAL = NS + 123_456_789


def text(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"))


def recorded(folder: Path, *lines: Any, stamp: str = f"{LOCAL} ") -> Path:
    path = folder / "recording"
    path.write_text("".join((line if isinstance(line, str) else stamp + text(line)) + "\n" for line in lines))
    return path


def decoded(path: Path) -> tuple[str, list[DecodedChunk]]:
    source = source_of(path)
    return source.format, list(reader(source.format).read(source))


def trades(chunk: DecodedChunk) -> list[tuple[Any, ...]]:
    frame = chunk.frames["trades"]
    assert frame.schema == pl.Schema(DECODED["trades"])
    times = frame.with_columns(pl.col("ts", "local_ts").dt.timestamp("ns"))
    return times.select("ts", "local_ts", "venue", "symbol", "price", "qty", "side", "kind").rows()


def bybit(*data: dict[str, Any]) -> dict[str, Any]:
    return {"topic": f"publicTrade.{data[0]['s']}", "type": "snapshot", "ts": MS, "data": list(data)}


def fill(symbol: str, qty: str = "0.5", identity: str = "20f43950-d8dd-5b31-9112-a178eb6023af") -> dict[str, Any]:
    return {"T": MS + 1, "s": symbol, "S": "Buy", "v": qty, "p": "57578.5", "L": "PlusTick", "i": identity}


def test_bybit_trades_of_one_message_are_rows_of_one_line(tmp_path: Path) -> None:
    spot = {name: cell for name, cell in fill("BTCUSDT", "0.25", "2290000000061666327").items() if name != "L"}
    path = recorded(
        tmp_path, {"success": True, "op": "subscribe"}, bybit(fill("BTCUSDT"), fill("BTCUSDT", "2")),
        {"topic": "orderbook.50.BTCUSDT", "data": {"b": []}}, bybit(fill("BTCUSD", "100")), bybit(spot), "", "junk",
        bybit(fill("BTCUSD", "none"), fill("BTCUSD")), bybit(fill("BTCUSD", "0")),
    )  # fmt: skip
    name, (chunk,) = decoded(path)
    time = (NS + 10**6, LOCAL)
    assert name == "venue_messages"
    assert trades(chunk) == [
        (*time, "bybit_linear", "BTCUSDT", 57578.5, 0.5, "buy", "publicTrade"),
        (*time, "bybit_linear", "BTCUSDT", 57578.5, 2.0, "buy", "publicTrade"),
        (*time, "bybit_inverse", "BTCUSD", 57578.5, 100.0, "buy", "publicTrade"),
        (*time, "bybit_spot", "BTCUSDT", 57578.5, 0.25, "buy", "publicTrade"),
    ]
    assert chunk.frames["trades"]["seq"].to_list() == [1, 2, 3, 4]
    assert not chunk.has_ids
    assert chunk.ignored == {"subscription_reply": 1, "orderbook": 1, "blank": 1, "publicTrade:nothing": 1}
    assert [bad.line for bad in chunk.rejected] == [7, 8], "a line with a bad trade is rejected whole"
    accounting = Accounting()
    list(load([source_of(path)], accounting=accounting))
    assert accounting.unaccounted(path) == 0


CHANNELS = ("trades", "trades-all")


def test_okx_names_its_trades_by_number_and_one_channel_aggregates_them(tmp_path: Path) -> None:
    one = {
        "instId": "BTC-USDT-SWAP",
        "tradeId": "130639474",
        "px": "42219.9",
        "sz": "12",
        "side": "sell",
        "ts": str(MS),
    }
    path = recorded(
        tmp_path, {"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT-SWAP"}},
        *({"arg": {"channel": channel, "instId": "BTC-USDT-SWAP"}, "data": [one]} for channel in CHANNELS),
        {"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"}, "data": [{}]},
    )  # fmt: skip
    _, (chunk,) = decoded(path)
    row = (NS, LOCAL, "okx", "BTC-USDT-SWAP", 42219.9, 12.0, "sell")
    assert trades(chunk) == [(*row, "aggTrades"), (*row, "trades")]
    assert (chunk.frames["trades"]["seq"].to_list(), chunk.has_ids) == ([130639474] * 2, True)
    assert chunk.ignored == {"subscription_reply": 1, "bbo-tbt": 1}
    stored = [part.batches["trades"] for part in load([source_of(path)])]
    assert sum(map(len, stored)) == 1, "both would count the volume twice"


def test_kraken_in_both_protocols(tmp_path: Path) -> None:
    new = {"symbol": "BTC/USD", "side": "sell", "price": 0.1, "qty": 40.0, "trade_id": 4665906,
           "timestamp": "2024-08-08T00:00:00.000001Z"}  # fmt: skip
    _, (chunk,) = decoded(
        recorded(tmp_path, {"channel": "heartbeat"}, {"channel": "trade", "type": "update", "data": [new]})
    )
    assert trades(chunk) == [(NS + 1000, LOCAL, "kraken", "BTC/USD", 0.1, 40.0, "sell", "trade")]
    assert (chunk.frames["trades"]["seq"].to_list(), chunk.has_ids) == ([4665906], True)
    old = [0, [["5541.2", "0.15", "1723075200.000001", "s", "l", ""]], "trade", "XBT/USD"]
    _, (chunk,) = decoded(recorded(tmp_path, {"event": "heartbeat"}, old, [0, {"a": []}, "book-10", "XBT/USD"]))
    assert trades(chunk) == [(NS + 1000, LOCAL, "kraken", "XBT/USD", 5541.2, 0.15, "sell", "trade")]
    assert not chunk.has_ids
    assert chunk.ignored == {"subscription_reply": 1, "book-10": 1}


TRADE = {"stream": "btcusdt@trade", "data": {"e": "trade", "E": MS, "s": "BTCUSDT", "t": 1, "p": "57000.5", "q": "0.5",
                                             "T": MS, "m": True, "M": True}}  # fmt: skip
DEPTH = {"stream": "btcusdt@depth", "data": {"e": "depthUpdate", "E": MS, "s": "BTCUSDT", "U": 101, "u": 102,
                                             "b": [["57000.5", "1"]], "a": []}}  # fmt: skip
SNAPSHOT = {"lastUpdateId": 100, "bids": [["56999", "5"]], "asks": [["57001", "5"]]}


def of_binance(path: Path) -> DecodedChunk:
    name, (chunk,) = decoded(path)
    assert name == "recorder"
    assert chunk.depth is not None
    assert chunk.depth.events.select("symbol", "seq", "is_snapshot").rows() == [
        ("BTCUSDT", 100, True), ("BTCUSDT", 102, False),
    ]  # fmt: skip
    assert not chunk.rejected
    return chunk


def test_cryptofeed_says_in_the_address_whose_snapshot_it_is(tmp_path: Path) -> None:
    address = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
    chunk = of_binance(
        recorded(
            tmp_path, "configuration: {'symbols': []}", "wss://stream.binance.com/stream?streams=x <-> 1723075200.1",
            f"1723075200.5439696: {text(TRADE)}", f"{address} -> 1723075200.6: {text(SNAPSHOT)}",
            f"https://api.binance.com/api/v3/exchangeInfo -> 1723075200.7: {text({'symbols': []})}",
            f"1723075201.0: {text(DEPTH)}",
        )
    )  # fmt: skip
    assert trades(chunk) == [(NS, NS + 543_969_600, "binance_spot", "BTCUSDT", 57000.5, 0.5, "sell", "trade")]
    assert chunk.ignored == {"cryptofeed.connection": 2, "cryptofeed.answer": 1}


def test_tardis_feeds_have_times_of_100_ns_and_snapshots_of_their_own(tmp_path: Path) -> None:
    own = {"stream": "btcusdt@depthSnapshot", "generated": True, "data": SNAPSHOT}
    stamp = "2024-08-08T00:00:00.1234567Z "
    chunk = of_binance(recorded(tmp_path, own, TRADE, "", DEPTH, stamp=stamp))
    assert trades(chunk) == [(NS, NS + 123_456_700, "binance_spot", "BTCUSDT", 57000.5, 0.5, "sell", "trade")]
    assert chunk.ignored == {"blank": 1}


@pytest.mark.parametrize("stamp", ["1723075200.1234567: ", "2024-08-08T00:00:00.1234567Z ", ""])
def test_other_venues_were_recorded_by_all_of_them(tmp_path: Path, stamp: str) -> None:
    name, (chunk,) = decoded(recorded(tmp_path, bybit(fill("BTCUSDT")), stamp=stamp))
    assert name == "venue_messages"
    local = NS + 123_456_700 if stamp else None
    assert trades(chunk) == [(NS + 10**6, local, "bybit_linear", "BTCUSDT", 57578.5, 0.5, "buy", "publicTrade")]
