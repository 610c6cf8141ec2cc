"""The market assets, from files to rows: what is stored, accounted for, checked and entered in the ledger."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import select

from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank.stores.relational import RelationalStore
from tracebank_assets.dagster_home import dagster_instance
from tracebank_assets.definitions import defs
from tracebank_assets.market.assets import FILE_TABLES
from tracebank_assets.market.ingestion import IngestedFile, ingest_paths
from tracebank_assets.market.partitions import add_to, partition_key
from tracebank_assets.market.survey import RegistrationError
from tracebank_assets.runs import RunFailed, run_job
from tracebank_models.market.synthetic_exchange import FeedDefects, Manifest, SyntheticMarket, write_day
from tracebank_schemas.ingest import IngestCount, IngestFile, Instrument, RejectedRow
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.market import BARS, BOOK, QUOTES, TRADES
from tracebank_schemas.quality import QualityMeasure

DAY = date(2024, 8, 8)
DEFECTS = FeedDefects(gaps=0.001, duplicates=0.01, late=0.01, unreadable=0.002)
MARKET = SyntheticMarket(day=DAY, duration_s=120, seed=3, defects=DEFECTS)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_day(MARKET, tmp_path_factory.mktemp("recorded"))


@contextmanager
def _found_by_assets(settings: Settings) -> Iterator[None]:
    """Settings that assets find in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (settings.environment() | {"DAGSTER_HOME": str(settings.home / "dagster")}).items():
            patch.setenv(name, value)
        yield


@dataclass(frozen=True)
class Loaded:
    """A home into which everything was ingested, for tests that leave it as it is."""

    home: Settings
    relational: RelationalStore
    files: list[IngestedFile]


@pytest.fixture(scope="module")
def loaded(recorded: Manifest, module_settings: Settings) -> Iterator[Loaded]:
    upgrade(module_settings)
    with _found_by_assets(module_settings):
        files = ingest_paths(module_settings, [_folder(recorded)], max_rejected_share=0.1)
    store = open_relational(module_settings)
    yield Loaded(module_settings, store, files)
    store.close()


def _checks(relational: RelationalStore) -> dict[tuple[str, str, str], QualityMeasure]:
    with relational.session() as session:
        found = session.scalars(select(QualityMeasure)).all()
        session.expunge_all()
    return {(measure.partition, measure.venue, measure.check_name): measure for measure in found}


def _folder(recorded: Manifest) -> Path:
    return recorded.files[0].path.parents[1]


def test_every_line_of_every_file_is_accounted_for(loaded: Loaded, recorded: Manifest) -> None:
    done = {file.path: file for file in loaded.files}

    assert set(done) == {file.path for file in recorded.files}
    for file in recorded.files:
        account = done[file.path]
        assert account.lines == file.lines
        assert account.stored + account.duplicate + account.ignored + account.rejected == file.lines
        assert account.rejected == sum(file.unreadable.values())
        assert account.duplicate == sum(file.duplicates.values())
        assert account.stored == sum(file.rows.values())


def test_stored_rows_are_those_the_exchange_wrote(loaded: Loaded, recorded: Manifest) -> None:
    written: Counter[tuple[str, str, str]] = Counter()
    for file in recorded.files:
        for stream, rows in file.rows.items():
            table = {"trade": "trades", "bookTicker": "quotes", "depth10": "book"}[stream]
            written[table, file.venue, file.symbol] += rows
    store = open_series(loaded.home)
    for table in (TRADES, QUOTES, BOOK):
        rows = store.read(table, columns=["venue", "symbol"]).group_by("venue", "symbol").len()
        found = {(table.name, venue, symbol): count for venue, symbol, count in rows.iter_rows()}
        assert found == {key: rows for key, rows in written.items() if key[0] == table.name}


def test_ingesting_again_changes_nothing(loaded: Loaded, recorded: Manifest) -> None:
    store = open_series(loaded.home)
    before = {table.name: store.read(table) for table in (TRADES, QUOTES, BOOK, BARS)}

    with _found_by_assets(loaded.home):
        assert ingest_paths(loaded.home, [_folder(recorded)], max_rejected_share=0.1) == loaded.files
    for table in (TRADES, QUOTES, BOOK, BARS):
        assert store.read(table).equals(before[table.name])


def test_overlapping_recordings_are_stored_once(
    home: Settings, relational: RelationalStore, recorded: Manifest, tmp_path: Path
) -> None:
    one = recorded.files[0]
    again = tmp_path / f"venue={one.venue}" / "second_recorder.zst"
    again.parent.mkdir()
    import zstandard

    lines = zstandard.ZstdDecompressor().stream_reader(one.path.open("rb")).read()
    again.write_bytes(zstandard.ZstdCompressor(level=1).compress(lines + b"\n"))

    first, second = sorted(ingest_paths(home, [one.path, again], max_rejected_share=0.1), key=lambda file: file.stored)
    assert (first.stored, second.stored) == (0, sum(one.rows.values()))
    assert first.duplicate == sum(one.rows.values()) + sum(one.duplicates.values())


def test_bars_agree_with_polars(loaded: Loaded) -> None:
    store = open_series(loaded.home)
    keys = ["venue", "symbol", pl.col("ts").dt.truncate("1m").alias("ts")]
    expected = (
        store.read(TRADES)
        .sort("ts", "seq")
        .group_by(keys)
        .agg(
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("qty").sum().alias("volume"),
            ((pl.col("price") * pl.col("qty")).sum() / pl.col("qty").sum()).alias("vwap"),
            pl.len().cast(pl.Int64).alias("trades"),
            pl.lit(60, pl.Int64).alias("interval_s"),
        )
    )
    spreads = (
        store.read(QUOTES).group_by(keys).agg((pl.col("ask_price") - pl.col("bid_price")).mean().alias("mean_spread"))
    )
    expected = expected.join(spreads, on=["venue", "symbol", "ts"], how="left").sort("venue", "symbol", "ts")

    assert_frame_equal(
        store.read(BARS), expected.select(BARS.polars_schema.names()), rel_tol=1e-9, check_row_order=True
    )


def test_tables_without_rows_are_made_and_bars_of_files_come_before_computed_ones(
    home: Settings, relational: RelationalStore, tmp_path: Path
) -> None:
    midnight = 1_723_075_200
    (tmp_path / "XBTUSD.csv").write_text(f"{midnight},57000,1\n{midnight + 60},57001,2\n{midnight + 61},57002,2\n")
    (tmp_path / "XBTUSD_1.csv").write_text(f"{midnight},57000,57010,56990,57005,7.5,12\n")
    ingest_paths(home, [tmp_path])

    bars = open_series(home).read(BARS).sort("ts").select("open", "high", "close", "volume", "vwap", "interval_s")
    assert bars.rows() == [(57000, 57010, 57005, 7.5, None, 60), (57001, 57002, 57002, 4.0, 57001.5, 60)]
    with relational.session() as session:
        made = {entry.asset_key: entry.rows for entry in session.scalars(select(Materialization))}
        left = session.scalars(select(IngestCount).where(IngestCount.stored.is_(None))).all()
    for table in FILE_TABLES:
        assert made[f"market/{table}"] == (3 if table == "trades" else 0)
    assert not left, "lines of bars are settled too"
    assert all(measure.passed for measure in _checks(relational).values() if measure.check_name == "line_accounting")


def test_quality_finds_what_was_planted_and_nothing_else(loaded: Loaded, recorded: Manifest) -> None:
    measures = _checks(loaded.relational)
    for file in recorded.files:
        key = f"{DAY}|{file.symbol}", file.venue
        assert measures[*key, "line_accounting"].passed
        assert measures[*key, "crossed_books"].value == 0
        assert measures[*key, "time_going_back"].value == 0
        assert measures[*key, "price_outliers"].value == 0
        assert measures[*key, "missing_trades"].value <= file.dropped["trade"]
        assert (measures[*key, "missing_trades"].value > 0) == (file.dropped["trade"] > 0)


def test_holes_in_trade_ids_count_only_where_ids_run_on(
    home: Settings, relational: RelationalStore, tmp_path: Path
) -> None:
    head = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
    for venue in ("binance", "bybit-spot", "okex-swap"):
        rows = [
            f"{venue},AB,{1_704_067_200_000_000 + seq},{1_704_067_200_000_100 + seq},{seq},buy,5,1\n" for seq in (1, 5)
        ]
        (tmp_path / f"{venue}_trades_2024-01-01_AB.csv").write_text(head + "".join(rows))
    ingest_paths(home, [tmp_path])

    found = {m.venue: m.value for m in _checks(relational).values() if m.check_name == "missing_trades"}
    assert list(found.values()) == [3]


def test_the_ledger_tells_which_rows_came_from_which_run(loaded: Loaded, recorded: Manifest) -> None:
    partition = f"{DAY}|SYNBTC"
    with loaded.relational.session() as session:
        query = select(Materialization).where(Materialization.partition == partition)
        query = query.order_by(Materialization.finished_at)
        rows = {entry.asset_key: entry for entry in session.scalars(query)}
        assert set(rows) == {f"market/{name}" for name in (*FILE_TABLES, "bars", "quality")}
        trades, bars = rows["market/trades"], rows["market/bars"]
        stored = open_series(loaded.home).size(TRADES, {"day": DAY, "symbol": "SYNBTC"})
        assert (trades.rows, trades.bytes) == (stored.rows, stored.bytes)
        assert trades.peak_memory > 0
        assert trades.started_at < trades.finished_at <= datetime.now(UTC)
        assert bars.input_versions["market/trades"] == trades.data_version
        # Two venues' files have one name: both are inputs.
        hashes = [file.sha256 for file in recorded.files if file.symbol == "SYNBTC"]
        assert sorted(trades.input_versions.values()) == sorted(hashes)


def test_instruments_and_rejected_rows_are_catalogued(loaded: Loaded, recorded: Manifest) -> None:
    with loaded.relational.session() as session:
        instruments = {(row.venue, row.symbol): row for row in session.scalars(select(Instrument))}
        assert set(instruments) == {(file.venue, file.symbol) for file in recorded.files}
        assert all(row.kind == "synthetic" and row.price_tick for row in instruments.values())
        rejected = session.scalars(select(RejectedRow)).all()
        assert len(rejected) == sum(sum(file.unreadable.values()) for file in recorded.files)
        assert all(row.reason and row.line > 0 for row in rejected)


def test_a_file_with_too_many_bad_lines_is_refused_whole(
    home: Settings, relational: RelationalStore, recorded: Manifest
) -> None:
    with pytest.raises(RunFailed, match=r"lines .* are bad, at most 0\.0% may be"):
        ingest_paths(home, [recorded.files[0].path], max_rejected_share=0.0)
    with relational.session() as session:
        for model in (IngestFile, IngestCount, RejectedRow, Instrument):
            assert session.scalars(select(model)).all() == []
    assert open_series(home).size(TRADES).rows == 0


def test_a_bad_file_does_not_keep_the_good_ones_out(
    home: Settings, relational: RelationalStore, recorded: Manifest, tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense.csv"
    nonsense.write_text("a,b\n1,2\n")
    with pytest.raises(RunFailed, match=r"nonsense\.csv"):
        ingest_paths(home, [nonsense, recorded.files[0].path], max_rejected_share=0.1)
    with relational.session() as session:
        assert [file.path for file in session.scalars(select(IngestFile))] == [str(recorded.files[0].path)]


def test_paths_that_do_not_exist_are_named(home: Settings) -> None:
    with pytest.raises(RegistrationError, match=r"/nowhere/at\.all: there is no such file or folder"):
        ingest_paths(home, [Path("/nowhere/at.all")])


def test_a_partition_without_files_says_what_to_do(home: Settings) -> None:
    with dagster_instance(home) as instance:
        add_to(instance, [(DAY, "NONE")])
        with pytest.raises(RunFailed, match="no registered file holds NONE on 2024-08-08; register one with"):
            run_job("load_market_day", instance, partition_key=partition_key(DAY, "NONE"))


def test_a_subset_of_the_tables_can_be_made(home: Settings, relational: RelationalStore, recorded: Manifest) -> None:
    with dagster_instance(home) as instance:
        config = {"paths": [str(_folder(recorded))], "max_rejected_share": 0.1}
        run_job("register_files", instance, ops={"market__raw_files": config})
        job = defs.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            instance=instance,
            partition_key=partition_key(DAY, "SYNETH"),
            asset_selection=[dg.AssetKey(["market", "trades"])],
        )
    assert done.success
    store = open_series(home)
    assert store.size(TRADES).rows > 0
    assert store.size(BOOK).rows == 0


def test_checks_fail_when_rows_are_lost(home: Settings, relational: RelationalStore, recorded: Manifest) -> None:
    ingest_paths(home, [_folder(recorded)], max_rejected_share=0.1)
    with relational.session() as session:
        count = session.scalars(select(IngestCount).where(IngestCount.symbol == "SYNBTC")).first()
        assert count is not None
        count.lines += 1
        venue = count.venue
    with dagster_instance(home) as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        job.execute_in_process(
            instance=instance,
            partition_key=partition_key(DAY, "SYNBTC"),
            asset_selection=[dg.AssetKey(["market", "quality"])],
        )
    assert not _checks(relational)[f"{DAY}|SYNBTC", venue, "line_accounting"].passed


def test_a_file_that_moved_is_known_by_its_content(
    home: Settings, relational: RelationalStore, recorded: Manifest, tmp_path: Path
) -> None:
    one = recorded.files[0]
    ingest_paths(home, [one.path], max_rejected_share=0.1)
    moved = tmp_path / f"venue={one.venue}" / "moved.zst"
    moved.parent.mkdir()
    shutil.copy(one.path, moved)
    ingest_paths(home, [moved], max_rejected_share=0.1)
    with relational.session() as session:
        assert [file.path for file in session.scalars(select(IngestFile))] == [str(moved)]


def test_a_bad_line_of_stray_bytes_is_kept_as_text(home: Settings, relational: RelationalStore, tmp_path: Path) -> None:
    body = b'{"e":"trade","s":"BTCUSDT","t":%d,"p":"10","q":"1","T":1723075200000,"m":true,"M":true}'
    lines = [b'1723075200000000000 {"stream":"btcusdt@trade","data":%s}' % (body % at) for at in range(9)]
    file = tmp_path / "recorded.txt"
    file.write_bytes(b"\n".join([*lines, b"\x00\x01\xff stray"]))
    assert [done.rejected for done in ingest_paths(home, [file], max_rejected_share=0.5)] == [1]
    with relational.session() as session:
        kept = session.scalars(select(RejectedRow)).one()
        assert (kept.line, kept.text) == (10, "\N{SYMBOL FOR NULL}\x01\N{REPLACEMENT CHARACTER} stray")
