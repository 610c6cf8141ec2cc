"""The book line by line: the same ticks as the reader's whole rows, and segments that end where rows are left out."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard

from tracebank_models.market.chunks import BOOK_LEVELS, Source
from tracebank_models.market.live_book import LiveBook, LiveTick
from tracebank_models.market.pipeline import load
from tracebank_models.market.synthetic_exchange import FeedDefects, Instrument, SyntheticMarket, write_day

NOW = 1_723_161_600 * 10**9
DEFECTS = FeedDefects(gaps=0.001, duplicates=0.02, unreadable=0.01)


def recording(folder: Path, streams: tuple[str, ...]) -> tuple[Path, list[bytes]]:
    market = SyntheticMarket(
        (Instrument("SYNBTC"),), ("synthetic_a",), duration_s=120, streams=streams, defects=DEFECTS, seed=0
    )
    path = write_day(market, folder).files[0].path
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())) as reader:
        return path, reader.read().split(b"\n")[:-1]


def ticks_of(book: LiveBook, lines: Iterable[bytes]) -> list[LiveTick]:
    return [tick for line in lines if (tick := book.take(line)) is not None]


def matrix(ticks: list[LiveTick]) -> np.ndarray:
    return np.array([np.concatenate([t.bid_price, t.bid_qty, t.ask_price, t.ask_qty]) for t in ticks])


@pytest.mark.parametrize("streams", [("trade", "depth10"), ("bookTicker", "depth"), ("depth", "depth10")])
def test_ticks_are_the_whole_rows_that_are_stored(tmp_path: Path, streams: tuple[str, ...]) -> None:
    path, lines = recording(tmp_path, streams)
    source = Source(path, "recorder", "synthetic_a", "SYNBTC")
    chunks = list(load([source], tables=["book"]))
    rows = pl.concat([chunk.batches["book"] for chunk in chunks if chunk.batches])
    whole = rows.with_row_index("row").filter(pl.col("state") == "whole").drop_nulls(BOOK_LEVELS)
    book = LiveBook("SYNBTC")
    ticks = ticks_of(book, lines)
    assert len(ticks) > 500
    assert [tick.time_ns for tick in ticks] == whole["local_ts"].dt.timestamp("ns").to_list()
    assert [tick.seq for tick in ticks] == whole["seq"].to_list()
    np.testing.assert_array_equal(matrix(ticks), whole.select(BOOK_LEVELS).to_numpy())
    # A segment ends where a stored row is none of the ticks, and nowhere else.
    breaks = np.diff(whole["row"].to_numpy().astype(np.int64)) > 1
    np.testing.assert_array_equal(np.diff([tick.segment for tick in ticks]), breaks)
    assert book.rejected == sum(len(chunk.rejected) for chunk in chunks) > 0
    assert book.left_out == len(rows) - len(whole)


def depth(update: int, bid: float = 100.0, levels: int = 10, symbol: str = "btcusdt") -> bytes:
    bids, asks = (
        [[f"{bid + sign * (at + offset)}", "1.5"] for at in range(levels)] for sign, offset in ((-1, 0), (1, 1))
    )
    text = f'{{"lastUpdateId":{update},"bids":{bids},"asks":{asks}}}'.replace("'", '"')
    return b'%d {"stream":"%s@depth10@100ms","data":%s}' % (NOW + update, symbol.encode(), text.encode())


def test_what_is_no_tick_ends_the_segment() -> None:
    book = LiveBook("BTCUSDT")
    crossed = depth(4).replace(b'"101.0"', b'"99.5"')
    lines = [depth(1), depth(2, levels=9), depth(3), crossed, crossed.replace(b":4,", b":5,"), depth(6), depth(7)]
    ticks = ticks_of(book, lines)
    assert [(tick.seq, tick.segment) for tick in ticks] == [(1, 0), (3, 1), (6, 2), (7, 2)]
    assert (book.left_out, book.rejected) == (3, 0)


def test_what_comes_again_and_what_is_of_another_symbol_is_passed_over() -> None:
    book = LiveBook("BTCUSDT")
    ticks = ticks_of(book, [depth(1), depth(1), depth(2, symbol="ethusdt"), b'{"id":1,"result":null}', depth(2)])
    assert [(tick.seq, tick.segment) for tick in ticks] == [(1, 0), (2, 0)]
    assert (ticks[0].bid_price[0], ticks[0].ask_price[0], ticks[0].time_ns) == (100.0, 101.0, NOW + 1)


def test_lines_that_cannot_be_read_are_counted() -> None:
    book = LiveBook("BTCUSDT")
    without_time = depth(2).partition(b" ")[2]
    assert ticks_of(book, [depth(1)[:-5], without_time, depth(2).replace(b'"1.5"', b'"-1"'), b"nothing"]) == []
    assert book.rejected == 4
