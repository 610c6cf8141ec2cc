from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebank_models.market import columns
from tracebank_models.market.chunks import BOOK_LEVELS, DECODED, DecodedChunk, Source
from tracebank_models.market.codecs import UnreadableFileError, read_head

NS = 1723075200123456789
MOMENT = datetime(2024, 8, 8, tzinfo=UTC)
TRADE = {
    "ts": NS, "local_ts": NS + 5, "clock": "exchange", "venue": "v", "symbol": "S", "seq": 7, "price": 2.5, "qty": 3.0,
    "side": "buy",
}  # fmt: skip
QUOTE = {
    "ts": NS,
    "venue": "v",
    "symbol": "S",
    "seq": 7,
    "bid_price": 1.0,
    "bid_qty": 2.0,
    "ask_price": 1.5,
    "ask_qty": 0.0,
}


def write_csv(folder: Path, rows: list[dict], name: str = "t.csv") -> Path:
    path = folder / name
    text = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
    path.write_text("\n".join(text) + "\n")
    return path


def write_parquet(folder: Path, rows: list[dict] | pa.Table, name: str = "t.parquet", **options: object) -> Path:
    path = folder / name
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), path, **options)
    return path


def chunks_of(path: Path, chunk_lines: int = 65536, **said: str) -> list[DecodedChunk]:
    chunks = list(columns.read(Source(path, "columns", **said), chunk_lines=chunk_lines))
    for chunk in chunks:
        ((table, frame),) = chunk.frames.items()
        assert frame.schema == pl.Schema(DECODED[table])
        assert frame.height + sum(chunk.ignored.values()) + len(chunk.rejected) == chunk.lines <= chunk_lines
    return chunks


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_trades_with_every_column(tmp_path, write) -> None:
    path = write(tmp_path, [TRADE, TRADE | {"side": "unknown", "local_ts": None, "clock": "local"}])
    assert columns.matches(read_head(path), path)
    (chunk,) = chunks_of(path)
    first, second = chunk.trades.rows(named=True)
    assert chunk.trades["ts"].dt.epoch("ns").to_list() == [NS, NS]
    assert chunk.trades["local_ts"].dt.epoch("ns").to_list() == [NS + 5, None]
    kept = ("venue", "symbol", "seq", "price", "qty", "side", "clock", "kind")
    assert [first[name] for name in kept] == ["v", "S", 7, 2.5, 3.0, "buy", "exchange", "trades"]
    assert (second["side"], second["clock"]) == ("unknown", "local")
    assert chunk.has_ids


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_quotes_without_the_optional_columns(tmp_path, write) -> None:
    row = {name: value for name, value in QUOTE.items() if name not in ("seq", "venue", "symbol")}
    path = write(tmp_path, [row, row | {"bid_price": None, "bid_qty": None}])
    (chunk,) = chunks_of(path, venue="x", symbol="Y")
    first, second = chunk.quotes.rows(named=True)
    assert (first["venue"], first["symbol"], first["clock"], first["local_ts"]) == ("x", "Y", "exchange", None)
    assert first["seq"] == first["line"] == (2 if write is write_csv else 1)
    assert not chunk.has_ids
    assert (second["bid_price"], second["bid_qty"], second["ask_price"], second["ask_qty"]) == (None, None, 1.5, 0.0)


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_book_keeps_its_levels_and_state(tmp_path, write) -> None:
    row = {"ts": NS, "venue": "v", "symbol": "S"} | {name: float(i + 1) for i, name in enumerate(BOOK_LEVELS)}
    (chunk,) = chunks_of(write(tmp_path, [row]))
    assert chunk.book["state"].to_list() == ["whole"]
    assert chunk.book.select(BOOK_LEVELS).row(0) == tuple(float(i + 1) for i in range(40))
    partial = row | {"bid_price_9": None, "bid_qty_9": None, "state": "partial"}
    (chunk,) = chunks_of(write(tmp_path, [partial, row | {"state": "stale"}, row | {"state": "fresh"}]))
    assert [bad.reason for bad in chunk.rejected] == ["state: 'fresh' is not allowed: whole or partial or stale"]
    assert chunk.book["bid_price_9"].to_list() == [None, 10.0]
    assert chunk.book["state"].to_list() == ["partial", "stale"]


TIMES = {
    "2024-08-08T00:00:00Z": 0,
    "2024-08-08 00:00:00": 0,
    "2024-08-08T00:00:00.123456789": 123456789,
    "2024-08-08T00:00:00.5+00:00": 500000000,
    "2024-08-08T02:00:00+02:00": 0,
    "2024-08-07T18:30:00.000000001-0530": 1,
    "2024-08-08 00:00:00.000001 UTC": 1000,
    "1723075200001": 1000000,
    "1723075200000001": 1000,
    "1723075200000000001": 1,
}


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_times_as_text_of_every_form(tmp_path, write) -> None:
    (chunk,) = chunks_of(write(tmp_path, [TRADE | {"ts": time, "local_ts": time} for time in TIMES]))
    assert chunk.rejected == []
    expected = [int(MOMENT.timestamp()) * 10**9 + ns for ns in TIMES.values()]
    assert chunk.trades["ts"].dt.epoch("ns").to_list() == expected
    assert chunk.trades["local_ts"].to_list() == chunk.trades["ts"].to_list()


@pytest.mark.parametrize(
    "dtype",
    [
        pa.timestamp("ms"),
        pa.timestamp("us", "UTC"),
        pa.timestamp("ns", "America/New_York"),
        pa.timestamp("ns"),
        pa.int64(),
        pa.uint64(),
    ],
)
def test_times_of_parquet_types(tmp_path, dtype) -> None:
    whole = pa.array([MOMENT, MOMENT + timedelta(milliseconds=1), None])
    column = whole.cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    column = (
        column.cast(dtype) if pa.types.is_integer(dtype) else whole.cast(pa.timestamp(dtype.unit, "UTC")).cast(dtype)
    )
    if pa.types.is_timestamp(dtype) and dtype.tz is None:
        column = whole.cast(pa.timestamp(dtype.unit, "UTC")).cast(pa.int64()).cast(dtype)
    table = pa.Table.from_pylist([TRADE] * 3).set_column(0, "ts", column).set_column(1, "local_ts", column)
    (chunk,) = chunks_of(write_parquet(tmp_path, table))
    assert chunk.trades["ts"].to_list() == [MOMENT, MOMENT + timedelta(milliseconds=1)]
    assert chunk.trades["local_ts"].to_list() == [MOMENT, MOMENT + timedelta(milliseconds=1)]
    assert [(bad.line, bad.reason) for bad in chunk.rejected] == [
        (3, "ts: an empty cell is not allowed: a time from 2000 to 2099")
    ]


def test_other_types_of_parquet_columns(tmp_path) -> None:
    table = pa.Table.from_pylist([TRADE] * 2)
    table = table.set_column(3, "venue", table["venue"].dictionary_encode())
    table = table.set_column(6, "price", table["price"].cast(pa.decimal128(12, 4)))
    table = table.set_column(7, "qty", table["qty"].cast(pa.int32()))
    (chunk,) = chunks_of(write_parquet(tmp_path, table))
    assert chunk.trades.select("venue", "price", "qty").rows() == [("v", 2.5, 3.0)] * 2
    table = table.set_column(6, "price", pa.array([True, False])).set_column(5, "seq", pa.array([1.5, 2.0]))
    with pytest.raises(ValueError, match=r"columns of trades of a wrong type: 'seq \(Float64\)', 'price \(Boolean\)'"):
        chunks_of(write_parquet(tmp_path, table))


BAD = {
    "price": ["-1e16", "NaN", "inf", "-inf", "", "x", "1e300"],
    "qty": ["-1", "nan"],
    "ts": ["", "2024-08-08", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "2024-02-30T00:00:00Z", "12", "soon"],
    "local_ts": ["soon", "9999-01-01T00:00:00Z"],
    "side": ["hold", ""],
    "clock": ["wall", ""],
    "seq": ["-1", "1.5", ""],
    "venue": [""],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_bad_cell_rejects_its_row_with_the_reason(tmp_path, write, name, value) -> None:
    good = {key: str(cell) for key, cell in TRADE.items()}
    (chunk,) = chunks_of(write(tmp_path, [good, good | {name: value or None}, good]))
    shift = 1 if write is write_csv else 0
    assert chunk.trades["line"].to_list() == [1 + shift, 3 + shift]
    (bad,) = chunk.rejected
    assert bad.line == 2 + shift
    assert bad.reason.startswith(
        f"{name}: {value!r} is not allowed: " if value else f"{name}: an empty cell is not allowed"
    )
    assert value in bad.text


def test_numbers_of_parquet_are_checked_too(tmp_path) -> None:
    rows = [TRADE | {"price": price} for price in (1.0, float("nan"), float("inf"), -float("inf"), None)]
    (chunk,) = chunks_of(write_parquet(tmp_path, rows))
    assert [(bad.line, bad.reason.split(" is not")[0]) for bad in chunk.rejected] == [
        (2, "price: nan"), (3, "price: inf"), (4, "price: -inf"), (5, "price: an empty cell"),
    ]  # fmt: skip


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_prices_at_and_below_zero_are_stored_and_trades_of_nothing_ignored(tmp_path, write) -> None:
    trades = [TRADE | {"price": price, "qty": qty} for price, qty in ((-37.63, 1.0), (0.0, 2.0), (-1.0, 0.0))]
    (chunk,) = chunks_of(write(tmp_path, trades))
    assert chunk.trades.select("price", "qty").rows() == [(-37.63, 1.0), (0.0, 2.0)]
    assert chunk.ignored["trades:nothing"] == 1
    quotes = [QUOTE | {"bid_price": -2.5, "ask_price": 0.0, "ask_qty": qty} for qty in (1.0, 0.0)]
    (chunk,) = chunks_of(write(tmp_path, quotes))
    assert chunk.quotes.select("bid_price", "ask_price", "ask_qty").rows() == [(-2.5, 0.0, 1.0), (-2.5, None, None)]


@pytest.mark.parametrize(
    ("suffix", "index"),
    [("csv", None), ("csv", "ts"), *(("parquet", index) for index in (None, "row", "ts", ["symbol", "row"]))],
)
def test_the_index_of_a_pandas_frame_is_left_out_unless_it_is_a_column(tmp_path, index, suffix) -> None:
    frame = pd.DataFrame([TRADE, TRADE | {"seq": 8}, TRADE | {"seq": 9}], index=pd.Index([3, 4, 5], name="row"))
    frame = frame.rename_axis(None) if index is None else frame.reset_index().set_index(index)
    frame = frame.drop(columns="row", errors="ignore").query("seq != 8")
    path = tmp_path / f"t.{suffix}"
    frame.to_csv(path) if suffix == "csv" else frame.to_parquet(path)
    (chunk,) = chunks_of(path)
    assert chunk.trades["seq"].to_list() == [7, 9]
    assert chunk.trades["ts"].dt.timestamp("ns").to_list() == [NS, NS]


def test_quoted_csv_and_packed_csv(tmp_path) -> None:
    names = ",".join(f'"{name}"' for name in TRADE)
    row = '"2024-08-08T00:00:00Z","","exchange","v","S","7","2.5",3,"buy"'
    path = tmp_path / "t.csv"
    path.write_bytes(gzip.compress(f"{names}\r\n{row}\r\n\r\n{row},4\r\n".encode()))
    assert columns.matches(read_head(path), path)
    (chunk,) = chunks_of(path)
    assert chunk.trades.select("ts", "local_ts", "symbol", "price").rows() == [(MOMENT, None, "S", 2.5)]
    assert chunk.ignored == {"header": 1, "blank": 1}
    assert [(bad.line, bad.reason) for bad in chunk.rejected] == [(4, "the line has 10 fields, not 9")]


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_wrong_columns_are_one_error_that_names_them(tmp_path, write) -> None:
    row = {name: value for name, value in TRADE.items() if name not in ("qty", "venue")} | {"colour": "red"}
    path = write(tmp_path, [row])
    with pytest.raises(
        ValueError, match="columns of trades missing: 'venue', 'qty'; unknown: 'colour'; allowed: ts, local_ts"
    ):
        chunks_of(path)
    with pytest.raises(ValueError, match="columns of trades missing: 'qty'; unknown: 'colour'"):
        chunks_of(path, venue="x")
    with pytest.raises(ValueError, match=r"make no table: one of bid_price_0 \(book\), bid_price \(quotes\), price"):
        chunks_of(write(tmp_path, [{"ts": 1, "a": 2}]))
    assert write is write_parquet or not columns.matches([b"ts,a", b"1,2"], path)


def test_a_column_named_twice_and_no_content(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join([*TRADE, "qty"]) + "\n")
    with pytest.raises(ValueError, match="named twice: 'qty'"):
        chunks_of(path)
    path.write_text("")
    assert chunks_of(path) == []
    assert not columns.matches([], path)


def test_a_damaged_parquet_file_says_so(tmp_path) -> None:
    path = write_parquet(tmp_path, [TRADE] * 1000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableFileError, match="the Parquet file is cut short or corrupt"):
        chunks_of(path)


def test_parquet_row_groups_are_streamed_and_numbered_through(tmp_path) -> None:
    rows = [TRADE | {"seq": i, "side": "buy" if i % 7 else "bad"} for i in range(1000)]
    chunks = chunks_of(write_parquet(tmp_path, rows, row_group_size=300), chunk_lines=128)
    assert sum(chunk.lines for chunk in chunks) == 1000
    stored = pl.concat([chunk.trades for chunk in chunks])
    assert stored["line"].to_list() == [i + 1 for i in range(1000) if i % 7]
    assert (stored["seq"] + 1 == stored["line"]).all()
    assert [bad.line for chunk in chunks for bad in chunk.rejected] == list(range(1, 1001, 7))


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2000, 1, 3), datetime(2099, 12, 28), timezones=ZONES)


@settings(max_examples=40, deadline=None)
@given(
    moments=st.lists(st.tuples(MOMENTS, st.integers(0, 999), st.booleans()), min_size=1, max_size=20),
    chunk_lines=st.integers(1, 25),
)
def test_iso_times_of_any_zone_and_the_accounting(tmp_path_factory, moments, chunk_lines) -> None:
    rows = []
    for moment, ns, bad in moments:
        text = f"{moment:%Y-%m-%dT%H:%M:%S.%f}{ns:03d}{moment:%z}".replace("+00:00", "Z")
        rows.append(TRADE | {"ts": text, "side": "neither" if bad else "sell"})
    chunks = chunks_of(write_csv(tmp_path_factory.mktemp("columns"), rows), chunk_lines)
    assert sum(chunk.lines for chunk in chunks) == len(rows) + 1
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [(m - epoch) // timedelta(microseconds=1) * 1000 + ns for m, ns, bad in moments if not bad]
    assert [ns for chunk in chunks for ns in chunk.trades["ts"].dt.epoch("ns")] == expected
    rejected = {bad.line for chunk in chunks for bad in chunk.rejected}
    assert rejected == {line for line, (_, _, bad) in enumerate(moments, 2) if bad}
