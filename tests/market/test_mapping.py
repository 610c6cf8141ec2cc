"""Mappings: a user's own columns read as a table, what a wrong mapping is told, and those that are shipped."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import select

from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank.stores.relational import RelationalStore
from tracebank_assets.market.ingestion import ingest
from tracebank_assets.market.survey import survey
from tracebank_models.market.chunks import DECODED, DecodedChunk, Source
from tracebank_models.market.formats import reader, source_of
from tracebank_models.market.mapping import MappingError, parsed, shipped, text_of
from tracebank_schemas.ingest import IngestFile
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.market import TRADES

TRADES_TOML = """
table = "trades"
[file]
delimiter = ";"
[columns]
ts = { column = ["day", "time"], format = "%d/%m/%Y %H:%M:%S.%f", timezone = "Europe/Berlin" }
venue = { value = "xetra" }
symbol = "isin"
price = { column = "price", divide = 10000 }
qty = { column = "lots", multiply = 100 }
side = { column = "bs", words = { B = "buy", S = "sell" } }
seq = "number"
"""


def decoded(path: Path, mapping: str | None = None, **said: str) -> DecodedChunk:
    source = source_of(path, mapping)
    assert source.format == "mapped"
    (chunk,) = reader("mapped").read(Source(path, "mapped", mapping=source.mapping, **said))
    (table,) = chunk.frames
    assert chunk.frames[table].schema == DECODED[table]
    assert chunk.frames[table].height + sum(chunk.ignored.values()) + len(chunk.rejected) == chunk.lines
    return chunk


def written(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def nanoseconds(frame: pl.DataFrame) -> list[int]:
    return frame["ts"].dt.timestamp("ns").to_list()


def ns(*when: int, fraction: int = 0) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 10**9 + fraction  # type: ignore[arg-type]


def test_columns_units_words_and_local_times_are_as_the_mapping_says(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "x.txt",
        'number;isin;day;time;price;lots;bs;"a;b"',
        "1;DE0007;02/07/2024;09:00:00.123456789;5858000;3;B;x",
        "2;DE0007;02/01/2024;09:00:00.5;5858100;4;S;y",
        '3;"DE;,8";02/01/2024;09:00:01.1234567891;5858100;4;;z',
        "4;DE0007;02/01/2024;09:00:02;5858100;4;S;z",
        "5;DE0007;02/01/2024;09:00:03.0;1e3x;4;S;z",
        "6;DE0007;02/01/2024;09:00:03.0;1;4;Q;z",
        "7;DE0007;31/03/2024;02:30:00.0;1;4;B;skipped by the clock",
        "8;DE0007;27/10/2024;02:30:00.0;1;4;B;twice on the clock",
        "9;DE0007;02/01/2024;09:00:03.0;1;4",
    )
    chunk = decoded(path, TRADES_TOML)
    frame = chunk.frames["trades"]
    assert nanoseconds(frame) == [
        ns(2024, 7, 2, 7, fraction=123_456_789),
        ns(2024, 1, 2, 8, fraction=500_000_000),
        ns(2024, 1, 2, 8, 0, 1, fraction=123_456_789),
    ]
    assert frame.select("venue", "symbol", "seq", "price", "qty", "side").rows() == [
        ("xetra", "DE0007", 1, 585.8, 300.0, "buy"),
        ("xetra", "DE0007", 2, 585.81, 400.0, "sell"),
        ("xetra", "DE;,8", 3, 585.81, 400.0, "unknown"),
    ]
    assert chunk.has_ids
    assert {bad.line: bad.reason.split(":")[0] for bad in chunk.rejected} == {
        5: "ts", 6: "price", 7: "side", 8: "ts", 9: "ts", 10: "the line has 6 fields, not 8",
    }  # fmt: skip
    assert chunk.rejected[1].text == "5;DE0007;02/01/2024;09:00:03.0;1e3x;4;S;z"


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        ("%Y%m%d %H%M%S%f", "20240311 093000417837123", ns(2024, 3, 11, 9, 30, fraction=417_837_123)),
        ("%m/%d/%y %I:%M %p", "3/11/24 12:05 am", ns(2024, 3, 11, 0, 5)),
        ("%d-%b-%Y", "11-MAR-2024", ns(2024, 3, 11)),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-03-11T09:30:00-04:00", ns(2024, 3, 11, 13, 30)),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2024-03-11T09:30:00.000000001Z", ns(2024, 3, 11, 9, 30, fraction=1)),
        ("%Y-%m-%d", "2024-02-30", None),
        ("%Y-%m-%d", "1999-12-31", None),
    ],
)
def test_times_of_any_layout_are_exact(tmp_path: Path, layout: str, text: str, expected: int | None) -> None:
    zone = "" if "%z" in layout else ', timezone = "UTC"'
    mapping = f"""
table = "trades"
[columns]
ts = {{ column = "t", format = "{layout}"{zone} }}
price = "p"
qty = "q"
"""
    path = written(tmp_path, "x.csv", "t,p,q", f"{text},1,1")
    chunk = decoded(path, mapping, venue="v", symbol="s")
    assert nanoseconds(chunk.frames["trades"]) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("unit", "text"),
    [("s", "1710149400.417837123"), ("ms", "1710149400417.837123"), ("us", "1710149400417837.123"),
     ("ns", "1710149400417837123")],
)  # fmt: skip
def test_numbers_since_1970_are_exact_in_every_unit(tmp_path: Path, unit: str, text: str) -> None:
    mapping = f'table="trades"\n[columns]\nts={{column="t",unit="{unit}"}}\nprice="p"\nqty="q"\n'
    chunk = decoded(written(tmp_path, "x.csv", "t,p,q", f"{text},1,1"), mapping, venue="v", symbol="s")
    assert nanoseconds(chunk.frames["trades"]) == [1_710_149_400_417_837_123]


def test_parquet_of_any_types_is_read(tmp_path: Path) -> None:
    moments = [datetime(2024, 7, 1, 9, 30), datetime(2024, 11, 3, 1, 30)]
    frame = pl.DataFrame({"t": moments, "name": ["A", "B"], "cents": [58581, 100], "n": [1, 2], "buy": [True, False]})
    path = tmp_path / "x.parquet"
    frame.with_columns(pl.col("name").cast(pl.Categorical)).write_parquet(path)
    mapping = """
table = "trades"
[columns]
ts = { column = "t", timezone = "America/New_York" }
symbol = "name"
price = { column = "cents", divide = 100 }
qty = "n"
side = { column = "buy", words = { true = "buy", false = "sell" } }
"""
    chunk = decoded(path, mapping, venue="v")
    assert chunk.frames["trades"].select("symbol", "price", "qty", "side").rows() == [("A", 585.81, 1.0, "buy")]
    assert nanoseconds(chunk.frames["trades"]) == [ns(2024, 7, 1, 13, 30)]
    assert [bad.line for bad in chunk.rejected] == [2], "the hour that the clock has twice"
    (zoneless,) = [mapping.replace(', timezone = "America/New_York"', "")]
    with pytest.raises(MappingError, match=r"columns\.ts\.timezone is missing: the file's times name no zone"):
        decoded(path, zoneless, venue="v")


def test_quotes_books_and_bars_of_a_file_without_header(tmp_path: Path) -> None:
    path = written(tmp_path, "ES_5m.csv", "# comment", "1710149400 1,5 2,5 1,25 2 7", "1710149700 1,5 2,5 1,25 2 ")
    bars = """
table = "bars"
[file]
columns = ["t", "o", "h", "l", "c", "v"]
delimiter = " "
decimal = ","
ignore = "#"
name = '(?P<symbol>[^_]+)_(?P<interval>\\w+)\\.csv'
[columns]
ts = { column = "t", unit = "s" }
symbol = "name:symbol"
interval = "name:interval"
open = "o"
high = "h"
low = "l"
close = "c"
volume = "v"
"""
    chunk = decoded(path, bars, venue="cme")
    assert chunk.ignored == {"left_out": 1}
    assert chunk.frames["bars"].select("symbol", "open", "low", "volume", "vwap", "interval_s").rows() == [
        ("ES", 1.5, 1.25, 7.0, None, 300), ("ES", 1.5, 1.25, None, None, 300),
    ]  # fmt: skip
    quotes = 'table="quotes"\n[columns]\nts={column="t",unit="s"}\nbid_price="b"\nask_price="a"\nask_qty="n"\n'
    path = written(tmp_path, "q.csv", "t,b,a,n", "1710149400,1,,", "1710149400,1,0,0")
    rows = decoded(path, quotes, venue="v", symbol="s").frames["quotes"]
    assert rows.select("bid_price", "ask_price", "ask_qty").rows() == [(1.0, None, None)] * 2
    book = 'table="book"\n[columns]\nts={column="t",unit="s"}\nbid_price_0="b"\nbid_qty_0="n"\nask_price_0="a"\n'
    rows = decoded(path, book, venue="v", symbol="s").frames["book"]
    assert rows.select("state", "bid_price_0", "bid_price_1").row(0) == ("whole", 1.0, None)


def test_a_month_is_as_long_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "BTC-1M.csv", "timestamp,open,high,low,close,volume", "1706745600000,1,1,1,1,1")
    chunk = decoded(path, text_of("ccxt_ohlcv"), venue="v")
    assert chunk.frames["bars"].select("symbol", "interval_s").rows() == [("BTC", 29 * 86_400)]


GOOD = 'table="trades"\n[columns]\nts={column="t",unit="ms"}\nprice="p"\nqty="q"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("table = trades", r"m: no TOML: Invalid value"),
        (GOOD.replace("trades", "ticks"), r"m: table 'ticks': input should be 'trades', 'quotes', 'book' or 'bars'"),
        (GOOD.replace('"ms"', '"m"'), r"m: columns\.ts\.unit 'm': input should be 's', 'ms', 'us' or 'ns'"),
        (GOOD.replace('unit="ms"', 'format="%Y-%m-%d"'), r"columns\.ts: timezone is missing: a format without"),
        (GOOD.replace('unit="ms"', 'format="%Y-%q-%d",timezone="UTC"'), r"columns\.ts: format: %q, a layout"),
        (GOOD.replace('unit="ms"', 'format="%Y-%m-%d",timezone="Mars"'), r"ts\.timezone 'Mars': not a time zone"),
        (GOOD.replace('unit="ms"', 'format="%Y-%m-%d %I",timezone="UTC"'), r"format: %I without %p"),
        (GOOD.replace("qty=", "size="), r"m: columns\.size is not a column of trades: one of ts, local_ts, venue,"),
        (GOOD.replace('qty="q"', ""), r"m: columns\.qty is missing: trades needs qty"),
        (GOOD.replace('qty="q"', 'qty={column="q",divide=0}'), r"columns\.qty\.divide 0: input should be greater"),
        (GOOD.replace('qty="q"', 'qty={colum="q"}'), r"m: columns\.qty\.colum 'q': extra inputs are not permitted"),
        (GOOD + 'side={column="s",words={B="bid"}}', r"columns\.side\.words: 'bid' is not allowed: one of buy, sell"),
        (GOOD + 'symbol="name:x"', r"m: 'name:x' is no group of file\.name, which has none"),
        (GOOD + '[file]\nname="("', r"m: file\.name '\(': not a regular expression"),
        (GOOD + '[file]\ndelimiter="||"', r"m: file\.delimiter '\|\|': string should have at most 1 character"),
        (GOOD + '[file]\ncolumns=["t","p"]', r"m: column 'q' is not one of file\.columns: t, p"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_told_the_field_the_value_and_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(MappingError, match=says) as refused:
        parsed(text, "m")
    assert "\n" not in str(refused.value)


def test_a_mapping_that_does_not_fit_a_file_says_which_column(tmp_path: Path) -> None:
    path = written(tmp_path, "x.csv", "t,p,size", "1,2,3")
    with pytest.raises(
        MappingError, match=r"x\.csv: column 'q', which columns\.qty names, is not in the file: it has t,"
    ):
        source_of(path, GOOD)
    with pytest.raises(MappingError, match=r"mapping nothing: no such file, nor one of ccxt_ohlcv, dukascopy_candles"):
        text_of("nothing")
    path = written(tmp_path, "y.csv", "t,p,q", "1710149400000,2,3")
    with pytest.raises(MappingError, match="venue is told by no column, name or folder: pass --venue"):
        decoded(path, GOOD, symbol="s")


def test_the_mapping_in_the_docs_reads_the_file_in_the_docs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "market.md").read_text(encoding="utf-8")
    lines, mapping = (re.findall(rf"```{kind} [^\n]*\n(.*?)```", page, re.DOTALL) for kind in ("csv", "toml"))
    (tmp_path / "fills.csv").write_text(*lines)
    frame = decoded(tmp_path / "fills.csv", *mapping).frames["trades"]
    assert frame.select("symbol", "price", "qty", "side").rows() == [
        ("DE0007164600", 184.92, 300.0, "buy"), ("DE0007164600", 184.94, 400.0, "sell"),
    ]  # fmt: skip
    assert nanoseconds(frame)[0] == ns(2024, 7, 2, 7, fraction=123_456_789)


TAQ = (
    "Time|Exchange|Symbol|Sale Condition|Trade Volume|Trade Price|Trade Stop Stock Indicator|Trade Correction "
    "Indicator|Sequence Number|Trade Id|Source of Trade|Trade Reporting Facility|Participant Timestamp|"
    "Trade Reporting Facility TRF Timestamp|Trade Through Exempt Indicator"
)
POLYGON = (
    "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,"
    "trf_id,trf_timestamp"
)
POLYGON_QUOTES = (
    "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,"
    "participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp"
)
AGGREGATE = ("ticker,volume,open,close,high,low,window_start,transactions", "NA,7,2,3,4,1,1744792500000000000,5")
OHLCV = ("timestamp,open,high,low,close,volume", "1577836800000,2,4,1,3,7")
BAR = {"open": 2.0, "high": 4.0, "low": 1.0, "close": 3.0, "volume": 7.0}
QUOTE = {"bid_price": 1.25, "bid_qty": 2.0, "ask_price": 1.5, "ask_qty": 3.0}
SHIPPED = {
    "polygon_trades": (
        "2024-04-05.csv",
        (POLYGON, 'NA,"12,37",0,11,52,1712306654208705342,142.99,3807,1712306654208740096,5,1,0,0'), True,
        {"symbol": "NA", "venue": "us_sip", "seq": 3807, "price": 142.99, "qty": 5.0, "side": "unknown"},
        1712306654208740096,
    ),
    "polygon_quotes": (
        "2024-04-05.csv", (POLYGON_QUOTES, 'NA,19,1.5,3,19,1.25,2,"1,81",,1,324,1770800340065735001,1,0'), True,
        {**QUOTE, "symbol": "NA", "seq": 324}, 1770800340065735001,
    ),
    "polygon_minute_aggs": ("a.csv", AGGREGATE, False, {**BAR, "trades": 5, "interval_s": 60}, 1744792500000000000),
    "polygon_day_aggs": ("a.csv", AGGREGATE, False, {**BAR, "trades": 5, "interval_s": 86_400}, 1744792500000000000),
    "dukascopy_ticks": (
        "EURUSD_Ticks_01.07.2019-01.07.2019.csv",
        ("Gmt time,Ask,Bid,AskVolume,BidVolume", "01.07.2019 13:30:03.304,1.5,1.25,0.000003,0.000002"), True,
        {**QUOTE, "symbol": "EURUSD", "venue": "dukascopy"}, ns(2019, 7, 1, 13, 30, 3, fraction=304_000_000),
    ),
    "dukascopy_candles": (
        "EURUSD_Candlestick_15_M_BID_26.03.2025-26.03.2025.csv",
        ("Gmt time,Open,High,Low,Close,Volume", "26.03.2025 00:15:00.000,2,4,1,3,7"), True,
        {**BAR, "symbol": "EURUSD", "interval_s": 900}, ns(2025, 3, 26, 0, 15),
    ),
    "dukascopy_node_ticks": (
        "eurusd-tick-2025-01-01-2025-01-02.csv",
        ("timestamp,askPrice,bidPrice,askVolume,bidVolume", "1735772400455,1.5,1.25,3,2"), True,
        {**QUOTE, "symbol": "eurusd"}, 1735772400455000000,
    ),
    "kaiko_trades": (
        "cb_btcusd_trades_2016_10_12.csv",
        ("id,exchange,symbol,date,price,amount,sell", "431-a,cb,btcusd,1476263658001,847.5,3,true"), True,
        {"venue": "cb", "symbol": "btcusd", "price": 847.5, "qty": 3.0, "side": "sell"}, 1476263658001000000,
    ),
    "kaiko_ohlcv": ("cbse_btc-usd_ohlcv_1h_2020_01.csv", OHLCV, False,
                    {**BAR, "venue": "cbse", "symbol": "btc-usd", "interval_s": 3600}, 1577836800000000000),
    "ccxt_ohlcv": ("venue=kraken/BTC_USDT-4h.csv", OHLCV, False, {**BAR, "symbol": "BTC_USDT", "interval_s": 14_400},
                   1577836800000000000),
    "nyse_taq_trades": (
        "EQY_US_ALL_TRADE_20240311",
        (TAQ, "093000417837123|Z|BRK A|@ F |300|45.88|N|00|1231||C||093000417230000||0",
         "093000417837123|Z|BRK A|@|300|45.88|N|08|1232||C||093000417230000||0", "END|20240311|2||||||||||||"), True,
        {"symbol": "BRK A", "price": 45.88, "qty": 300.0}, ns(2024, 3, 11, 13, 30, fraction=417_837_123),
    ),
    "yahoo_daily": ("BRK-B.csv", ("Date,Open,High,Low,Close,Adj Close,Volume", "2024-01-02,2,4,1,3,2.9,7"), True,
                    {**BAR, "symbol": "BRK-B", "interval_s": 86_400}, ns(2024, 1, 2)),
    "stooq_daily": ("aapl.us_d.csv", ("Date,Open,High,Low,Close,Volume", "2024-01-02,2,4,1,3,7"), True,
                    {**BAR, "symbol": "aapl.us", "interval_s": 86_400}, ns(2024, 1, 2)),
}  # fmt: skip


def test_every_shipped_mapping_has_a_test() -> None:
    assert set(SHIPPED) == set(shipped())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_mapping_reads_its_files(tmp_path: Path, name: str) -> None:
    file, lines, known, expected, moment = SHIPPED[name]
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\r\n" for line in lines).encode()))
    if known:
        assert source_of(path).mapping == shipped()[name], "known by its header"
    else:
        assert list(survey([path]).failed) == [path], "the header does not tell it"
    found = survey([path], mapping=name).sources[path]
    (chunk,) = reader("mapped").read(found)
    (frame,) = chunk.frames.values()
    assert chunk.rejected == []
    assert frame.select(list(expected)).rows(named=True) == [expected]
    assert nanoseconds(frame) == [moment]


def test_a_file_is_remembered_with_its_mapping_which_its_version_depends_on(
    tmp_path: Path, home: Settings, relational: RelationalStore
) -> None:
    path = written(tmp_path, "fills.csv", "t,p,q", "1710149400000,150,3", "1710149401000,151,4")
    mapping = tmp_path / "mine.toml"
    mapping.write_text(GOOD)
    given = {"venue": "v", "symbol": "S", "mapping": str(mapping)}
    assert [(file.lines, file.stored) for file in ingest(home, [path], **given).files] == [(3, 2)]
    mapping.write_text(GOOD.replace('"p"', '{column="p",divide=100}'))
    assert [(file.lines, file.stored) for file in ingest(home, [path], **given).files] == [(3, 2)]
    assert open_series(home).read(TRADES).sort("ts")["price"].to_list() == [1.5, 1.51]
    mapping.unlink()
    with relational.session() as session:
        assert session.scalars(select(IngestFile.mapping)).one() == GOOD.replace('"p"', '{column="p",divide=100}')
        query = select(Materialization).where(Materialization.asset_key == "market/trades")
        versions = [entry.data_version for entry in session.scalars(query)]
    assert len(set(versions)) == 2
    assert open_series(home).size(TRADES, {"day": date(2024, 3, 11), "symbol": "S"}).rows == 2
