"""The benchmarks of the stores run, and measure what they say; how fast it is here is nobody's promise."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from tracebank_benchmarks.market_rates import codecs, store
from tracebank_schemas.market import BOOK, TRADES


def test_every_step_is_measured_and_held_against_the_bare_one(tmp_path: Path) -> None:
    rates = store.measure(tmp_path, TRADES, store.trades(2_000), repetitions=1)
    assert [rate.step for rate in rates] == ["bare insert_arrow", "replace", "bare query_arrow", "read"]
    assert all(rate.wall_seconds > 0 and rate.cpu_seconds > 0 and rate.rows == 2_000 for rate in rates)
    assert [rate.bar for rate in rates] == [None, store.WRITE_BAR, None, store.READ_BAR]
    assert rates[1].wall_ratio == rates[1].wall_seconds / rates[0].wall_seconds
    assert rates[3].cpu_ratio == rates[3].cpu_seconds / rates[2].cpu_seconds


def test_the_made_rows_fit_their_tables() -> None:
    assert store.trades(100).schema == TRADES.polars_schema
    book = store.book(1_000)
    assert book.schema == BOOK.polars_schema
    assert book.filter(pl.col("bid_price_0") >= pl.col("ask_price_0")).is_empty()
    assert store.trades(100).equals(store.trades(100))


def test_codecs_are_measured_on_the_columns_that_can_have_them(tmp_path: Path) -> None:
    frame = store.trades(5_000)
    with codecs.bare_client(tmp_path / "store") as client:
        plain = codecs.cost(client, tmp_path, TRADES, frame, "LZ4", 1)
        delta = codecs.cost(client, tmp_path, TRADES, frame, "T64, ZSTD(1)", 1)
        keys = dict(codecs.sort_costs(client, tmp_path, TRADES, frame))
    assert set(plain.bytes_per_row) == {"ts", "local_ts", "seq", "price", "qty"}
    assert set(delta.bytes_per_row) == {"ts", "local_ts", "seq"}
    assert 0 < delta.bytes_per_row["seq"] < plain.bytes_per_row["seq"] < 8.5
    assert list(keys) == [", ".join(key) for key in codecs.SORT_KEYS]
    assert min(keys.values()) > 0


def test_more_rows_are_the_same_rows_later() -> None:
    frame = store.trades(100)
    more = codecs.longer(frame, 250)
    assert more.height == 250
    assert more[:100].equals(frame)
    assert more["seq"].n_unique() == 250
    assert more["ts"].max() > datetime(2024, 8, 9, tzinfo=UTC)  # type: ignore[operator]
