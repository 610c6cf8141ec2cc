from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tracebank.engines.duckdb.store import DuckDBStore
from tracebank_benchmarks.tsdb import data as data_module
from tracebank_benchmarks.tsdb.asked import rows_asked
from tracebank_benchmarks.tsdb.data import (
    asked_parameters,
    example_parameters,
    from_files,
    from_store,
    generate,
    small_data,
)
from tracebank_benchmarks.tsdb.data_set import DataSet, DataSetWriter, TableCheck, check, opened
from tracebank_benchmarks.tsdb.oracle import answer
from tracebank_benchmarks.tsdb.oracle.multiples import unambiguous
from tracebank_benchmarks.tsdb.workloads import BY_ID, READS
from tracebank_models.market.synthetic_exchange import FeedDefects, Instrument, SyntheticMarket, simulate, write_day
from tracebank_schemas import market
from tracebank_schemas.tsdb_benchmark import BOOK, TABLES, TRADES

from .rows import at, book, trades

MARKET = SyntheticMarket(
    symbols=(Instrument("SYNBTC"), Instrument("SYNETH", tick_size="0.05", base_price="2600.00")),
    duration_s=40,
    streams=("trade", "depth10"),
    defects=FeedDefects(ties=0.3),
)
SESSIONS = [(symbol.symbol, venue) for symbol in MARKET.symbols for venue in MARKET.venues]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The synthetic data set at a thousandth of the paper's counts."""
    return generate(0.001, tmp_path_factory.mktemp("data"))


def test_small_data_has_what_engines_disagree_about() -> None:
    prints, quotes = small_data(0)
    for frame, table in ((prints, TRADES), (quotes, BOOK)):
        assert frame.schema == table.polars_schema
        assert frame["seq"].is_unique().all()
        assert frame["seq"].is_sorted()
        assert frame["ts"].is_sorted()
        assert frame.group_by("symbol", "ts").len()["len"].max() > 1  # type: ignore[operator]
        assert frame["symbol"].n_unique() >= 3
        assert frame["venue"].n_unique() == 3
        assert frame["ts"].dt.date().n_unique() == 3
        assert frame.null_count().sum_horizontal().item() == 0
    minutes = prints.group_by("symbol", pl.col("ts").dt.truncate("1m")).len()
    assert minutes["len"].min() == 1
    assert prints.filter(pl.col("symbol") == "ONCE").height == 1
    assert quotes.filter(pl.col("symbol") == "ONCE").is_empty()
    assert quotes.filter(pl.col("bid_price_0") >= pl.col("ask_price_0")).is_empty()
    assert (prints["price"] == prints["price"].shift(1)).sum() > prints.height / 4
    assert_frame_equal(small_data(0)[1], quotes)
    assert not small_data(1)[1].equals(quotes)


def test_parameters_are_the_declared_ones_and_come_again_by_seed() -> None:
    frames = small_data(7)
    for workload in READS:
        first = example_parameters(workload, *frames, 5)
        assert tuple(first) == workload.parameters
        assert example_parameters(workload, *frames, 5) == first
        for value in first.values():
            if isinstance(value, datetime):
                assert value.tzinfo is not None


def test_every_small_answer_has_rows_for_some_seed() -> None:
    frames = small_data(3)
    for workload in READS:
        assert any(
            answer(workload, example_parameters(workload, *frames, seed), *frames).num_rows for seed in range(40)
        ), workload.id


def test_the_synthetic_data_set(tiny: DataSet) -> None:
    assert tiny.rows["bench_book"] == pytest.approx(33_000, rel=0.01)
    assert tiny.rows["bench_trades"] == pytest.approx(20_000, rel=0.15)
    for table in TABLES:
        frame = tiny.frame(table)
        assert frame.schema == table.polars_schema
        assert frame["seq"].to_list() == list(range(1, frame.height + 1))
        assert frame["ts"].is_sorted()
        assert frame["ts"].dt.date().n_unique() == 7
        assert frame["symbol"].n_unique() == 10
        assert_frame_equal(pl.concat([pl.DataFrame(block) for block in tiny.frames(table)]), frame)
        assert tiny.rows[table.name] == frame.height
        assert tiny.raw_bytes[table.name] > frame.height * 40


def test_the_check_is_exact(tiny: DataSet) -> None:
    frame = tiny.frame(TRADES)
    found = tiny.checks["bench_trades"]
    assert found.rows == frame.height
    assert found.sum_seq == frame.height * (frame.height + 1) // 2
    assert found.by_symbol == dict(frame.group_by("symbol").len().iter_rows())
    assert found.sum_ticks == sum(round(price * 10**8) for price in frame["price"])
    assert found.sum_lots == sum(round(qty * 10**8) for qty in frame["qty"])
    for table in TABLES:
        assert check(table, tiny.frames(table)) == tiny.checks[table.name]
        one_lot_off = [pl.DataFrame(block).with_columns(pl.col("seq") + 1).to_arrow() for block in tiny.frames(table)]
        assert check(table, one_lot_off) != tiny.checks[table.name]


def test_it_is_made_once(tiny: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "simulate_chunks", None)
    assert generate(0.001, tiny.folder.parent) == tiny
    assert [path.name for path in tiny.folder.parent.iterdir()] == [tiny.folder.name]
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="is not accepted; allowed: above 0"):
            generate(scale, tiny.folder.parent)


def test_what_runs_ask_has_answers(tiny: DataSet) -> None:
    prints, quotes = tiny.frame(TRADES), tiny.frame(BOOK)
    for workload in READS:
        parameters = asked_parameters(workload, prints, quotes, 1)
        assert tuple(parameters) == workload.parameters
        assert asked_parameters(workload, prints, quotes, 1) == parameters
        if workload.id not in ("R7", "R8", "R22", "R23"):  # a day has a minute's rows, and so no returns
            assert answer(workload, parameters, prints, quotes).num_rows, workload.id


def test_windows_are_where_the_data_are_busiest(tiny: DataSet) -> None:
    """As in recordings that begin just before midnight: what the first day has is next to nothing."""
    prints, quotes = tiny.frame(TRADES), tiny.frame(BOOK)
    days = prints["ts"].dt.date()
    first, busy = days.min(), days.unique().sort()[3]
    kept = [
        frame.filter((frame["ts"].dt.date() == busy) | ((frame["ts"].dt.date() == first) & (frame["seq"] <= 2)))
        for frame in (prints, quotes)
    ]
    for workload in READS:
        parameters = asked_parameters(workload, *kept, 1)
        if "start" in parameters and workload.id not in ("R3", "R18", "R26"):
            assert parameters["start"].date() == busy, workload.id  # type: ignore[union-attr]
        rows = rows_asked(workload, parameters, *kept)
        # A day has a minute's rows here: R26, which ends before the last minute, has those of the first day.
        least = {"R15": 20, "R16": 20, "R28": 20, "R26": 1}.get(workload.id, 100)
        assert rows >= least, (workload.id, rows)
        if workload.id not in ("R7", "R8", "R22", "R23"):
            assert answer(workload, parameters, *kept).num_rows, workload.id
    trades_only = asked_parameters(BY_ID["R9"], *kept, 1)
    assert rows_asked(BY_ID["R9"], trades_only, *kept) == kept[0].filter(
        pl.col("symbol") == trades_only["symbol"], pl.col("ts").dt.date() == busy).height  # fmt: skip


def test_thresholds_have_rows_above_them_though_most_values_are_equal(tiny: DataSet) -> None:
    flat = tiny.frame(TRADES).with_columns(
        price=pl.when(pl.col("seq") % 7 == 0).then(1.0).otherwise(2.0), qty=pl.when(pl.col("seq") % 5 == 0).then(1.0)
        .otherwise(3.0))  # fmt: skip
    for read in ("R9", "R24"):
        parameters = asked_parameters(BY_ID[read], flat, tiny.frame(BOOK), 1)
        assert answer(BY_ID[read], parameters, flat, tiny.frame(BOOK)).num_rows, read


def test_trades_whose_answer_rounding_could_change_are_not_asked() -> None:
    data = trades(
        (0, "A", "x", 1, 1.0, 0.1),
        (1, "A", "x", 2, 1.0, 0.1),
        (2, "A", "x", 3, 1.0, 0.1),
        (3, "A", "x", 4, 1.0, 0.35),
        (4, "A", "x", 5, 1.0, 3.0),
    )
    assert unambiguous({"seqs": (1, 2, 3), "end": at(60)}, data.lazy()) == [2, 3]


def test_the_users_files(tmp_path: Path) -> None:
    write_day(MARKET, tmp_path / "recordings")
    paths = sorted((tmp_path / "recordings").rglob("*.zst"))
    found = from_files(paths, tmp_path / "data")
    days = [simulate(MARKET, *session) for session in SESSIONS]
    for table, name in ((TRADES, "trades"), (BOOK, "book")):
        frame = found.frame(table)
        expected = pl.concat([getattr(day, name) for day in days]).drop("seq").select(frame.drop("seq").columns)
        assert_frame_equal(frame.drop("seq"), expected, check_row_order=False)
        assert frame["ts"].is_sorted()
        assert frame["seq"].to_list() == list(range(1, frame.height + 1))
    assert found.scale == 0
    assert from_files(paths, tmp_path / "data") == found
    with pytest.raises(ValueError, match="no rows for bench_trades, bench_book"):
        from_files([], tmp_path / "data")
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_the_users_stored_days(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "series.duckdb")
    day = simulate(MARKET, *SESSIONS[0])
    partial = day.book.with_columns(state=pl.when(pl.int_range(pl.len()) < 9).then(pl.lit("stale")).otherwise("state"))
    partial = partial.with_columns(ask_price_9=pl.when(pl.int_range(pl.len()) != 20).then("ask_price_9"))
    store.append(market.TRADES, day.trades)
    store.append(market.BOOK, partial)
    found = from_store(store, [MARKET.day, MARKET.day + timedelta(days=1)], tmp_path / "data")
    assert found.rows == {"bench_trades": day.trades.height, "bench_book": day.book.height - 10}
    with pytest.raises(ValueError, match="no rows for"):
        from_store(store, [date(2000, 1, 1)], tmp_path / "data")


def test_a_data_set_that_fails_leaves_the_one_that_stands(tmp_path: Path) -> None:
    place = tmp_path / "set"

    def written(price: float, *, breaks: bool = False) -> DataSet | None:
        with DataSetWriter(place, 0.0, {"kind": "test"}) as writer:
            writer.put(TRADES, trades((2, "A", "x", 0, price, 1.0), (1, "A", "x", 0, price, 2.0)))
            writer.put(BOOK, book((1, "A", "x", 0, 1.0, 2.0)))
            if breaks:
                raise RuntimeError("broke")
        return opened(place)

    first = written(1.5)
    assert first is not None
    assert first.frame(TRADES)["qty"].to_list() == [2.0, 1.0]
    assert first.checks["bench_trades"] == TableCheck(2, 3, {"A": 2}, 300_000_000, 300_000_000)
    with pytest.raises(RuntimeError, match="broke"):
        written(2.5, breaks=True)
    assert opened(place) == first
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    second = written(2.5)
    assert second is not None
    assert second.hash != first.hash
    assert written(2.5) == second
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["tables"]["bench_trades"]["files"][0]["day"] == "2024-08-08"
    second.paths(TRADES)[0].unlink()
    assert opened(place) is None


def test_rows_that_tie_keep_the_order_they_came_in(tmp_path: Path) -> None:
    ties = trades(*((1, "A", "x", 0, 1.0, float(n)) for n in range(1, 50)))
    eve = datetime(2024, 8, 7, 23, 59, 59, 999_000, tzinfo=UTC)
    with DataSetWriter(tmp_path / "set", 0.0, {}) as writer:
        writer.put(TRADES, ties[:20])
        writer.put(TRADES, ties[:1].with_columns(ts=pl.lit(eve).cast(pl.Datetime("ns", "UTC")), qty=100.0))
        writer.put(TRADES, ties[20:])
        writer.put(BOOK, book((1, "A", "x", 0, 1.0, 2.0)))
    found = opened(tmp_path / "set")
    assert found is not None
    assert found.frame(TRADES)["qty"].to_list() == [100.0, *(float(n) for n in range(1, 50))]
    assert len(found.paths(TRADES)) == 2
    assert answer(BY_ID["R12"], {}, found.frame(TRADES), found.frame(BOOK)).column("seq").to_pylist() == [50]
