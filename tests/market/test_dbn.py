"""Databento's DBN: records of each schema as rows, where its package is installed, and a clear line where it is not."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import zstandard

from tracebank_models.market.chunks import DECODED, DecodedChunk, Source
from tracebank_models.market.codecs import UnreadableFileError
from tracebank_models.market.dbn import read
from tracebank_models.market.formats import sniff_format

NS = 1_723_075_200 * 10**9
UNDEFINED = 2**63 - 1
UNIT = 10**9


@pytest.fixture
def package() -> Any:
    pytest.importorskip("databento")
    return pytest.importorskip("databento_dbn")


def written(package: Any, folder: Path, schema: str, *records: Any) -> Path:
    day = SimpleNamespace(start_date=date(2024, 8, 8), end_date=date(2024, 8, 9), symbol="118")
    names = [SimpleNamespace(raw_symbol="ESU4", intervals=[day])]
    kinds = package.SType.RAW_SYMBOL, package.SType.INSTRUMENT_ID
    schema_of = package.Schema.from_str(schema)
    metadata = package.Metadata("GLBX.MDP3", NS, *kinds, schema_of, ["ESU4"], [], [], names, end=NS + 86_400 * UNIT)
    path = folder / f"{schema}.dbn.zst"
    path.write_bytes(zstandard.compress(bytes(metadata) + b"".join(map(bytes, records))))
    return path


def price_level(package: Any, bid: int | None, ask: int | None) -> Any:
    sides = [UNDEFINED if price is None else price * UNIT for price in (bid, ask)]
    return package.BidAskPair(*sides, 10 if bid else 0, 12 if ask else 0, 1, 1)


def record(package: Any, action: str, *levels: Any, price: int = 5300_250_000_000, instrument: int = 118) -> Any:
    kind = {0: package.TradeMsg, 1: package.MBP1Msg, 10: package.MBP10Msg}[len(levels)]
    doing = {"T": package.Action.TRADE, "A": package.Action.ADD}[action]
    told = {"levels": levels[0] if len(levels) == 1 else list(levels)} if levels else {}
    return kind(1, instrument, NS + 1, price, 3, doing, package.Side.ASK, 0, NS + 500, sequence=7, **told)


def decoded(path: Path) -> DecodedChunk:
    assert sniff_format(path) == "dbn"
    (chunk,) = read(Source(path, "dbn"))
    for table, frame in {**chunk.frames, **chunk.companions}.items():
        assert frame.schema == pl.Schema(DECODED[table])
    return chunk


def test_trades_have_exact_times_and_the_names_of_the_metadata(package: Any, tmp_path: Path) -> None:
    records = [record(package, "T"), record(package, "T", price=-UNIT // 2, instrument=119),
               record(package, "T", price=UNDEFINED)]  # fmt: skip
    chunk = decoded(written(package, tmp_path, "trades", *records))
    rows = chunk.frames["trades"].with_columns(pl.col("ts", "local_ts").dt.timestamp("ns"))
    assert rows.select("ts", "local_ts", "venue", "symbol", "seq", "price", "qty", "side").rows() == [
        (NS + 1, NS + 500, "GLBX", "ESU4", 1, 5300.25, 3.0, "sell"),
        (NS + 1, NS + 500, "GLBX", "119", 2, -0.5, 3.0, "sell"),
    ]
    assert not chunk.has_ids, "several records may have one sequence number"
    assert [bad.line for bad in chunk.rejected] == [3]


def test_records_of_the_best_prices_are_quotes_or_trades(package: Any, tmp_path: Path) -> None:
    one_sided, both = price_level(package, 5300, None), price_level(package, 5300, 5301)
    chunk = decoded(written(package, tmp_path, "mbp-1", record(package, "A", one_sided), record(package, "T", both)))
    values = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    assert chunk.frames["quotes"].select(values).rows() == [(5300.0, 10.0, None, None)]
    assert chunk.frames["trades"].height == 1
    chunk = decoded(written(package, tmp_path, "tbbo", record(package, "T", both)))
    assert chunk.frames["trades"].height == 1
    assert chunk.companions["quotes"].select(values).rows() == [(5300.0, 10.0, 5301.0, 12.0)]


def test_books_of_ten_levels_and_bars(package: Any, tmp_path: Path) -> None:
    levels = [price_level(package, 5300 - level, 5301 + level if level < 3 else None) for level in range(10)]
    book = decoded(written(package, tmp_path, "mbp-10", record(package, "A", *levels))).frames["book"]
    assert book.select("state", "bid_price_9", "ask_price_2", "ask_price_3", "ask_qty_3").row(0) == (
        "whole", 5291.0, 5303.0, None, None,
    )  # fmt: skip
    bar = package.OHLCVMsg(33, 1, 118, NS, UNIT, 3 * UNIT, UNIT // 10, 2 * UNIT, 77)
    bars = decoded(written(package, tmp_path, "ohlcv-1m", bar)).frames["bars"]
    assert bars.select("open", "high", "low", "close", "volume", "vwap", "interval_s").rows() == [
        (1.0, 3.0, 0.1, 2.0, 77.0, None, 60)
    ]


def test_what_cannot_be_read_is_said(package: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="schema 'definition' is not read: one of trades"):
        decoded(written(package, tmp_path, "definition"))
    whole = written(package, tmp_path, "trades", record(package, "T"))
    cut = tmp_path / "cut.dbn"
    cut.write_bytes(zstandard.decompress(whole.read_bytes(), max_output_size=1 << 20)[:-5])
    with pytest.raises(UnreadableFileError, match="cut short or corrupt"):
        decoded(cut)


def test_without_the_package_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trades.dbn"
    path.write_bytes(b"DBN\x03")
    monkeypatch.setitem(sys.modules, "databento", None)
    with pytest.raises(ValueError, match=r"pip install 'tracebank\[databento\]'"):
        decoded(path)
