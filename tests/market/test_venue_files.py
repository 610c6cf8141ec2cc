"""Files that venues and vendors publish beside Binance's trades: what their lines become, line by line."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tracebank_models.market.chunks import DECODED, DecodedChunk
from tracebank_models.market.formats import UnknownFormatError, reader, sniff_format, source_of
from tracebank_models.market.instruments import instrument_units
from tracebank_models.market.pipeline import Accounting, load

BYBIT = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
LIQUIDATIONS = (
    "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,last_fill_quantity,"
    "accumulated_fill_quantity"
)
TARDIS = "exchange,symbol,timestamp,local_timestamp,"


def at(text: str, nanoseconds: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9 + nanoseconds


def written(folder: Path, name: str, *lines: str, encoding: str = "utf-8") -> Path:
    path, content = folder / name, ("\n".join(lines) + "\n").encode(encoding)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name.replace(".zip", ".csv"), content)
    else:
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def decoded(path: Path, table: str, *, chunk_lines: int = 65536) -> tuple[pl.DataFrame, list[DecodedChunk]]:
    source = source_of(path)
    chunks = list(reader(source.format).read(source, chunk_lines=chunk_lines))
    for chunk in chunks:
        assert set(chunk.frames) <= {table}
        assert chunk.frames[table].schema == pl.Schema(DECODED[table])
        assert chunk.frames[table].height + sum(chunk.ignored.values()) + len(chunk.rejected) == chunk.lines
    rows = pl.concat([chunk.frames[table] for chunk in chunks])
    return rows.with_columns(pl.col("ts").dt.timestamp("ns")), chunks


def ignored(chunks: list[DecodedChunk]) -> dict[str, int]:
    return {kind: sum(chunk.ignored.get(kind, 0) for chunk in chunks) for chunk in chunks for kind in chunk.ignored}


def test_bybit_tells_its_markets_by_the_symbol_and_keeps_every_digit_of_its_times(tmp_path: Path) -> None:
    path = written(
        tmp_path, "BTCUSDT2024-08-08.csv.gz", f"{BYBIT},RPI",
        "1723075201.2296,BTCUSDT,Sell,0.001,58307.50,ZeroMinusTick,48a44029-4bc4-5530-87ee,7.8e9,0.001,58.3,0",
        "1723075201.000000001,BTCUSDU24,Buy,79,58513.0,PlusTick,e94f18f9-4bc4-5530-87ee,1.3,79,0.001,1",
        "1723075202,ETHPERP,Buy,0,2400.5,PlusTick,e94f18f9-4bc4-5530-87ef,1.3,79,0.001,1",
        "1723075202.5,ETHUSDT,Buy,-1,2400.5,PlusTick,e94f18f9-4bc4-5530-87ea,1.3,79,0.001,1",
    )  # fmt: skip
    rows, chunks = decoded(path, "trades")
    assert rows.select("ts", "venue", "symbol", "price", "qty", "side").rows() == [
        (at("2024-08-08 00:00:01", 229_600_000), "bybit_linear", "BTCUSDT", 58307.5, 0.001, "sell"),
        (at("2024-08-08 00:00:01", 1), "bybit_inverse", "BTCUSDU24", 58513.0, 79.0, "buy"),
    ]
    assert not chunks[0].has_ids, "their ids are no numbers"
    assert ignored(chunks) == {"header": 1, "trades:nothing": 1}
    assert [(bad.line, bad.reason.split(":")[0]) for bad in chunks[0].rejected] == [(5, "size")]


def test_bitmex_writes_the_same_header_with_dates_and_lists_what_is_no_trade(tmp_path: Path) -> None:
    path = written(
        tmp_path, "20240808.csv.gz", f"{BYBIT},trdType",
        "2024-08-08D00:00:01.948313000,XBTUSD,Sell,11,57000.5,ZeroMinusTick,1d004a95-44fa,10494,11,0.0001,Regular",
        "2024-08-08D00:00:02.000000000,.BXBT,,,57001,PlusTick,,,,,Referential",
    )  # fmt: skip
    rows, chunks = decoded(path, "trades")
    assert rows.select("ts", "venue", "symbol", "price", "qty", "side").rows() == [
        (at("2024-08-08 00:00:01", 948_313_000), "bitmex", "XBTUSD", 57000.5, 11.0, "sell")
    ]
    assert ignored(chunks) == {"header": 1, "trades:Referential": 1}


def test_bybit_spot_numbers_its_lines_and_has_its_symbol_in_the_name(tmp_path: Path) -> None:
    lines = ("id,timestamp,price,volume,side,rpi", "1,1723075200150,57453.8,0.003718,sell,0")
    rows, chunks = decoded(written(tmp_path, "BTCUSDT_2024-08-08.csv.gz", *lines), "trades")
    assert rows.select("ts", "venue", "symbol", "price", "qty", "side").rows() == [
        (at("2024-08-08", 150_000_000), "bybit_spot", "BTCUSDT", 57453.8, 0.003718, "sell")
    ]
    assert not chunks[0].has_ids, "they begin at 1 in each file"
    with pytest.raises(ValueError, match="symbol is in neither the name nor the lines"):
        decoded(written(tmp_path, "spot.csv", *lines), "trades")


@pytest.mark.parametrize(
    ("name", "lines", "symbol", "kind"),
    [
        (
            "BTC-USDT-SWAP-trades-2024-08-08.zip",
            ("instrument_name,trade_id,side,price,size,created_time,source",
             "BTC-USDT-SWAP,1566502282,sell,57503.5,30.14,1723075200008,0"),
            "BTC-USDT-SWAP", "trades",
        ),
        (
            "BTC-USDT-trades-2022-08-08.zip",
            ("trade_id/撮合id,side/交易方向,size/数量,price/价格,created_time/成交时间",
             "1566502282,sell,30.14,57503.5,1723075200008"),
            "BTC-USDT", "trades",
        ),
        ("BTC-USD-SWAP-aggtrades-2021-12-08.zip", ("1566502282,sell,30.14,57503.5,1723075200008",), "BTC-USD-SWAP",
         "aggTrades"),
    ],
    ids=["named", "two languages in GBK", "no header"],
)  # fmt: skip
def test_okx_of_every_era(tmp_path: Path, name: str, lines: tuple[str, ...], symbol: str, kind: str) -> None:
    rows, chunks = decoded(written(tmp_path, name, *lines, encoding="gbk"), "trades")
    assert rows.select("ts", "venue", "symbol", "seq", "price", "qty", "side", "kind").rows() == [
        (at("2024-08-08", 8_000_000), "okx", symbol, 1566502282, 57503.5, 30.14, "sell", kind)
    ]
    assert chunks[0].has_ids


def test_kraken_has_no_header_and_its_own_names(tmp_path: Path) -> None:
    path = written(tmp_path, "XBTUSD.csv", "1723075200,57122.00000,0.1", "1723075201.2312,57123.0,0.00000001")
    rows, _ = decoded(path, "trades")
    assert rows.select("ts", "venue", "symbol", "price", "qty", "side").rows() == [
        (at("2024-08-08"), "kraken", "XBTUSD", 57122.0, 0.1, "unknown"),
        (at("2024-08-08 00:00:01", 231_200_000), "kraken", "XBTUSD", 57123.0, 1e-8, "unknown"),
    ]
    lines = ("timestamp,price,volume,trade_id", "1723075200,57122.0,0.1,77")
    rows, chunks = decoded(written(tmp_path, "ETHXBT.csv", *lines), "trades")
    assert (rows["seq"].to_list(), rows["symbol"].to_list(), chunks[0].has_ids) == ([77], ["ETHXBT"], True)
    bars, chunks = decoded(
        written(tmp_path, "XBTUSD_5.csv", "1723075200,57122.0,57200.0,57100.0,57150.5,3.25,41"), "bars"
    )
    assert bars.drop("line", "kind").row(0) == (
        at("2024-08-08"), "kraken", "XBTUSD", 57122.0, 57200.0, 57100.0, 57150.5, 3.25, None, 41, None, 300,
    )  # fmt: skip
    assert chunks[0].has_ids, "a bar is named by its time"
    with pytest.raises(UnknownFormatError):
        sniff_format(written(tmp_path, "measurements.csv", "1723075200,57122.00000,0.1"))


def test_funding_with_and_without_a_header(tmp_path: Path) -> None:
    named = written(
        tmp_path, "BTCUSDT-fundingRate-2024-08.zip", "calc_time,funding_interval_hours,last_funding_rate",
        "1723075200001,8,-0.00005703",
    )  # fmt: skip
    bare = written(tmp_path, "BTCUSD_PERP-fundingRate-2021-01.zip", "1723075200001,8,2.1e-5")
    for path, venue, rate in ((named, "binance_usdm", -0.00005703), (bare, "binance_coinm", 2.1e-5)):
        rows, chunks = decoded(path, "derivative_tickers")
        assert rows.select("ts", "venue", "seq", "event", "funding_rate", "funding_interval_h").rows() == [
            (at("2024-08-08", 1_000_000), venue, 1723075200001, "funding", rate, 8.0)
        ]
        assert rows["open_interest"].null_count() == 1
        assert chunks[0].has_ids


def test_metrics_of_futures(tmp_path: Path) -> None:
    path = written(
        tmp_path, "BTCUSDT-metrics-2024-08-08.zip", METRICS, "2024-08-08 00:05:00,BTCUSDT,100.5,5e6,2.1,1.9,1.8,0.7",
        "2024-08-08 00:10:00,BTCUSDT,101,5100000,,,,1.1", "2024-08-08 00:15:00,BTCUSDT,many,5100000,,,,1.1",
    )  # fmt: skip
    rows, chunks = decoded(path, "derivative_tickers")
    assert rows.select(
        "ts", "event", "open_interest", "open_interest_value", "long_short_top_accounts", "long_short_top_positions",
        "long_short_accounts", "taker_buy_sell",
    ).rows() == [
        (at("2024-08-08 00:05:00"), "metrics", 100.5, 5e6, 2.1, 1.9, 1.8, 0.7),
        (at("2024-08-08 00:10:00"), "metrics", 101.0, 5.1e6, None, None, None, 1.1),
    ]  # fmt: skip
    assert [bad.line for bad in chunks[0].rejected] == [4]


def test_bands_of_depth_are_stored_once_for_each_time_and_distance(tmp_path: Path) -> None:
    line = "2024-08-08 00:00:12,-0.20,2.5,100.25"
    path = written(tmp_path, "BTCUSDT-bookDepth-2024-08-08.zip", "timestamp,percentage,depth,notional",
                   line, "2024-08-08 00:00:12,1,3.5,150", line)  # fmt: skip
    rows, _ = decoded(path, "depth_bands")
    assert rows.select("ts", "venue", "symbol", "percent", "depth", "notional").row(0) == (
        at("2024-08-08 00:00:12"), "binance_usdm", "BTCUSDT", -0.2, 2.5, 100.25,
    )  # fmt: skip
    accounting = Accounting()
    stored = [chunk.batches["depth_bands"] for chunk in load([source_of(path)], accounting=accounting)]
    assert sum(map(len, stored)) == 2
    assert [(entry.duplicate, entry.stored) for entry in accounting.lines if entry.table] == [(1, 2)]


@pytest.mark.parametrize("chunk_lines", [1, 2, 100])
def test_liquidations_count_when_filled_and_once(tmp_path: Path, chunk_lines: int) -> None:
    line = "1723075200001,SELL,LIMIT,IOC,10,59000,59100.5,FILLED,3,10"
    path = written(
        tmp_path, "BTCUSD_PERP-liquidationSnapshot-2024-08-08.zip", LIQUIDATIONS, line, line,
        "1723075200009,BUY,LIMIT,IOC,4,61000,60900,PARTIALLY_FILLED,2,2", line,
        "1723075200010,BUY,LIMIT,IOC,4,61000,60900,FILLED,2,4",
    )  # fmt: skip
    rows, chunks = decoded(path, "liquidations", chunk_lines=chunk_lines)
    assert rows.select("ts", "venue", "symbol", "price", "average_price", "qty", "side").rows() == [
        (at("2024-08-08", 1_000_000), "binance_coinm", "BTCUSD_PERP", 59000.0, 59100.5, 10.0, "sell"),
        (at("2024-08-08", 10_000_000), "binance_coinm", "BTCUSD_PERP", 61000.0, 60900.0, 4.0, "buy"),
    ]
    kinds = {"header": 1, "liquidationSnapshot:PARTIALLY_FILLED": 1, "liquidationSnapshot:repeated": 2}
    assert ignored(chunks) == kinds


def test_derivative_tickers_and_liquidations_of_tardis(tmp_path: Path) -> None:
    columns = "funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price"
    name = "binance-futures_derivative_ticker_2024-08-08_BTCUSDT.csv.gz"
    path = written(
        tmp_path, name, TARDIS + columns, "binance-futures,BTCUSDT,1723075202348000,1723075202497335,,,,,57364.51,,",
        "binance-futures,BTCUSDT,1723075203348000,1723075203497335,1723104000000000,-0.0001,,100.5,,57360,57361.5",
    )  # fmt: skip
    rows, _ = decoded(path, "derivative_tickers")
    said = rows.select("event", "funding_rate", "open_interest", "last_price", "index_price", "mark_price")
    assert said.rows() == [
        ("ticker", None, None, 57364.51, None, None), ("ticker", -0.0001, 100.5, None, 57360.0, 57361.5),
    ]  # fmt: skip
    assert rows["funding_ts"].dt.timestamp("ns").to_list() == [None, at("2024-08-08 08:00:00")]
    line = "binance-futures,BTCUSDT,1723075202348000,1723075202497335,,sell,57364.51,0.25"
    for name, table in (
        ("binance-futures_liquidations_2024-08-08_BTCUSDT.csv.gz", "liquidations"),
        ("t.csv", "trades"),
    ):
        rows, _ = decoded(written(tmp_path, name, TARDIS + "id,side,price,amount", line), table)
        assert rows.select("venue", "price", "qty", "side").rows() == [("binance-futures", 57364.51, 0.25, "sell")]


@pytest.mark.parametrize(
    ("venue", "symbol", "kind", "price_unit", "qty_unit"),
    [
        ("bybit_linear", "BTCUSDT", "linear", "USDT", "BTC"),
        ("bybit_linear", "BTCPERP", "linear", "USDC", "BTC"),
        ("bybit_inverse", "BTCUSDU24", "inverse", "USD", "USD"),
        ("bybit_spot", "ETHBTC", "spot", "BTC", "ETH"),
        ("okx", "DOT-USDT", "spot", "USDT", "DOT"),
        ("okx", "BTC-USDT-SWAP", "linear", "USDT", "contracts"),
        ("okx", "BTC-USD-240927", "inverse", "USD", "contracts"),
        ("okx", "BTC-USD-240927-60000-C", "option", "BTC", "contracts"),
        ("kraken", "XBTUSD", "spot", "USD", "XBT"),
        ("kraken", "DOT/XBT", "spot", "XBT", "DOT"),
    ],
)
def test_units_follow_from_the_venues_names(venue: str, symbol: str, kind: str, price_unit: str, qty_unit: str) -> None:
    units = instrument_units(venue, symbol)
    assert (units.kind, units.price_unit, units.qty_unit) == (kind, price_unit, qty_unit)
