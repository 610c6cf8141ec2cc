"""Binance's klines as bars: archives with and without header, in ms and us, and the streams of a recorder."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tracebank_models.market.chunks import DECODED, DecodedChunk, Source
from tracebank_models.market.formats import UnknownFormatError, reader, source_of

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
MINUTE = "1704067200000,42283.58,42298.62,42261.02,42298.61,4.0,1704067259999,169100.0,12,2,84550.0,0"
LOCAL = 1_704_067_260_000_000_000


def decoded(path: Path, text: str, **said: str) -> DecodedChunk:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    source = source_of(path)
    chunks = list(reader(source.format).read(Source(path, source.format, **said)))
    assert len(chunks) == 1
    assert chunks[0].frames["bars"].schema == DECODED["bars"]
    return chunks[0]


@pytest.mark.parametrize("header", [f"{HEADER}\n", "", HEADER.title() + "\n"])
def test_files_come_with_a_header_or_without(tmp_path: Path, header: str) -> None:
    path = tmp_path / "futures" / "um" / "daily" / "klines" / "BTCUSDT" / "1m" / "BTCUSDT-1m-2024-01-01.csv"
    chunk = decoded(path, f"{header}{MINUTE}\n")
    assert chunk.ignored == ({"header": 1} if header else {})
    assert chunk.frames["bars"].drop("line").rows() == [
        (datetime(2024, 1, 1, tzinfo=UTC), "binance_usdm", "BTCUSDT", 42283.58, 42298.62, 42261.02, 42298.61, 4.0,
         42275.0, 12, None, 60, "klines")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("opened", "closed", "seconds"),
    [
        ("1735689600000000", "1735689600999999", 1),
        ("1735689600000", "1735775999999", 86_400),
        ("1735689600000", "1738367999999", 31 * 86_400),
    ],
)
def test_the_length_is_that_from_open_to_close_in_ms_and_us(
    tmp_path: Path, opened: str, closed: str, seconds: int
) -> None:
    line = f"{opened},0.316,0.316,0.316,0.316,0,{closed},0,0,0,0,0\n"
    bars = decoded(tmp_path / "spot" / "DOGEUSDT-1s-2025-01-01.csv", line).frames["bars"]
    assert bars.select("venue", "vwap", "trades", "interval_s").rows() == [("binance_spot", None, 0, seconds)]
    assert bars["ts"].to_list() == [datetime(2025, 1, 1, tzinfo=UTC)]


def test_volumes_in_contracts_have_no_mean_price(tmp_path: Path) -> None:
    bars = decoded(tmp_path / "BTCUSD_PERP-1m-2024-01-01.csv", f"{MINUTE}\n").frames["bars"]
    assert bars.select("venue", "volume", "vwap").rows() == [("binance_coinm", 4.0, None)]


def test_what_nothing_tells_is_asked_for_and_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="klines of spot and futures look the same: pass venue, one of binance_spot"):
        decoded(tmp_path / "BTCUSDT-1m-2024-01-01.csv", f"{MINUTE}\n")
    with pytest.raises(ValueError, match="symbol is in neither the name nor the lines"):
        decoded(tmp_path / "data.csv", f"{MINUTE}\n", venue="binance_spot")
    said = decoded(tmp_path / "data.csv", f"{MINUTE}\n", venue="binance_spot", symbol="BTCUSDT").frames["bars"]
    assert said.select("venue", "symbol").rows() == [("binance_spot", "BTCUSDT")]


def test_klines_of_prices_without_trades_are_no_bars(tmp_path: Path) -> None:
    path = tmp_path / "futures" / "um" / "markPriceKlines" / "BTCUSDT-1m-2024-01-01.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BTCUSDT-1m-2024-01-01.csv", f"{HEADER}\n{MINUTE}\n")
    with pytest.raises(UnknownFormatError, match="is of no known format"):
        source_of(path)


def kline(*, closed: bool, bare: bool = False, **changed: object) -> str:
    bar = {
        "t": 1704067200000, "T": 1704067259999, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 9, "o": "42283.58",
        "c": "42298.61", "h": "42298.62", "l": "42261.02", "v": "4.0", "n": 9, "x": closed, "q": "169100.0",
        "V": "2", "Q": "84550.0", "B": "0",
    }  # fmt: skip
    data = {"e": "kline", "E": 1704067260001, "s": "BTCUSDT", "k": bar | changed}
    text = data if bare else {"stream": "btcusdt@kline_1m", "data": data}
    return f"{LOCAL} {json.dumps(text, separators=(',', ':'))}"


@pytest.mark.parametrize("bare", [False, True])
def test_only_closed_bars_of_a_stream_are_stored(tmp_path: Path, bare: bool) -> None:
    lines = [kline(closed=False, bare=bare), kline(closed=True, bare=bare), kline(closed=True, bare=bare, o="x")]
    path = tmp_path / "venue=binance_spot" / "recorded"
    chunk = decoded(path, "\n".join(lines), venue="binance_spot")
    kind = "kline" if bare else "kline_1m"
    assert chunk.ignored == {f"{kind}:not_closed": 1}
    assert [bad.line for bad in chunk.rejected] == [3]
    assert chunk.frames["bars"].drop("line").rows() == [
        (datetime(2024, 1, 1, tzinfo=UTC), "binance_spot", "BTCUSDT", 42283.58, 42298.62, 42261.02, 42298.61, 4.0,
         42275.0, 9, None, 60, kind)
    ]  # fmt: skip
