"""Assets of group `market`: registered files, the tables and bars that are read from them, and their quality."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import TableSize
from tracebank_assets.artifacts import artifact, artifact_by_table
from tracebank_assets.dialects import query_text
from tracebank_assets.market import catalogue, checks
from tracebank_assets.market.closing_books import Books, closing_rows, opening_books
from tracebank_assets.market.keys import GROUP, RAW_FILES, market_key
from tracebank_assets.market.partitions import DAY_BY_SYMBOL, add_to, day_and_symbol
from tracebank_assets.materialised import Figure, Materialised, materialised
from tracebank_models.market import mapping
from tracebank_models.market.accounting import LineAccounting
from tracebank_models.market.order_books import Gap
from tracebank_schemas.ingest import ClosingBook, IngestFile
from tracebank_schemas.market import BARS, BOOK, DEPTH_BANDS, DERIVATIVE_TICKERS, LIQUIDATIONS, QUOTES, TRADES
from tracebank_schemas.quality import QualityMeasure
from tracebank_schemas.series import Day, Partition, SeriesTable

DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(hours=30))
"""Of what the daily schedule loads."""
FILE_TABLES: dict[str, SeriesTable] = {
    table.name: table for table in (TRADES, QUOTES, BOOK, DERIVATIVE_TICKERS, LIQUIDATIONS, DEPTH_BANDS)
}
"""Tables that are read from files alone. Each has an asset that is made for every day and symbol, without rows where no
file has any: a partition that is not there would look as if it had been forgotten."""
FAILED_FILES = "failed"
"""Under this name a run tells which files it could not register, and why."""

_SQL = Path(__file__).parent / "sql"
"""Texts of queries, in a folder for each engine; TimescaleDB speaks PostgreSQL's."""


class RawFilesConfig(dg.Config):
    """Which files to register."""

    paths: list[str] = Field(default_factory=list)
    """Files or folders; empty means `<home>/raw` and the folder that the sensor watches (`TRACEBANK_WATCH`)."""
    venue: str | None = None
    """Venue, where neither content nor path tells it."""
    symbol: str | None = None
    """Symbol, where neither content nor path tells it."""
    mapping: str | None = None
    """How all the files are read: the name of a mapping, or the path of a TOML file that is one."""
    max_rejected_share: float = 0.01
    """Share of unreadable lines above which a file is refused and nothing of it is written."""


@artifact(GROUP, IngestFile, kinds={"python"}, files=[mapping.FOLDER])
def raw_files(
    context: dg.AssetExecutionContext, config: RawFilesConfig, stores: Stores
) -> Iterator[dg.MaterializeResult]:
    """Market files that were registered: known by their content, every line of them accounted for by kind.

    Registering scans a file once and writes `ingest_files`, `ingest_counts`, `rejected_rows` and `instruments`. A file
    with more unreadable lines than `max_rejected_share` is refused whole: the run fails once the others are registered.
    """
    from tracebank_assets.market.registration import register_paths

    paths = [Path(path) for path in config.paths] or _usual_folders(stores.settings)
    with materialised(context, stores) as made:
        done = register_paths(
            stores.relational,
            paths,
            venue=config.venue,
            symbol=config.symbol,
            mapping=config.mapping,
            max_rejected_share=config.max_rejected_share,
        )
        if done.failed and not done.hashes:
            raise _failure(done.failed)
        made.inputs |= {str(path): sha for path, sha in done.hashes.items()}
        made.wrote(done.lines, done.bytes)
    add_to(context.instance, catalogue.partitions_of(stores.relational, done.hashes.values()))
    counts = {"files": len(done.hashes), "new_files": done.new, "rejected": done.rejected}
    yield made.result({**counts, "skipped_files": len(done.skipped), "failed_files": len(done.failed)})
    if done.failed:
        raise _failure(done.failed)


def _failure(failed: Mapping[Path, str]) -> dg.Failure:
    files = {str(path): why for path, why in failed.items()}
    said = "; ".join(f"{path}: {why}" for path, why in files.items())
    return dg.Failure(said, metadata={FAILED_FILES: dg.MetadataValue.json(files)}, allow_retries=False)


def _usual_folders(settings: Settings) -> list[Path]:
    return [folder for folder in (settings.home / "raw", settings.incoming) if folder.is_dir()]


@artifact_by_table(
    GROUP,
    *FILE_TABLES.values(),
    name="market_tables",
    checks=checks.TABLE_CHECKS,
    checks_of={BOOK.name: checks.BOOK_CHECKS},
    deps=[RAW_FILES],
    kinds={"table"},
    partitions_def=DAY_BY_SYMBOL,
    freshness_policy=DAILY,
    files=[mapping.FOLDER],
)
def market_tables(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """What the registered files hold of one day and symbol, table by table, read in one pass."""
    day, symbol = day_and_symbol(context)
    tables = [table for name, table in FILE_TABLES.items() if market_key(name) in context.selected_asset_keys]
    if not catalogue.files_of(stores.relational, day, symbol):
        raise dg.Failure(f"no registered file holds {symbol} on {day}; register one with 'tracebank ingest PATH'")
    files = catalogue.files_of(stores.relational, day, symbol, [table.name for table in tables])
    with ExitStack() as stack:
        partition: Partition = {"day": day, "symbol": symbol}
        written = {
            table.name: stack.enter_context(materialised(context, stores, table, partition, key=market_key(table.name)))
            for table in tables
        }
        opening = opening_books(stores.relational, day, symbol) if BOOK.name in written else {}
        loaded = _load(stores, written, files, opening, day, symbol)
    catalogue.settle(stores.relational, files, list(written), loaded.accounts, loaded.gaps, opening, day, symbol)
    for name, made in written.items():
        of_table = [account for account in loaded.accounts if account.table == name]
        found = [checks.table_check(of_table, made.stored.rows)]
        if name == BOOK.name:
            found.append(checks.book_check(loaded.states))
        yield made.result(_figures(of_table, made.stored), found)


@dataclass(slots=True)
class _Loaded:
    """What was met while files were read."""

    accounts: list[LineAccounting] = field(default_factory=list)
    gaps: list[tuple[Path, Gap]] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    """Rows of the book by state."""


def _versions(files: list[catalogue.RegisteredFile]) -> dict[str, str]:
    """By content: files of one name, in folders of their own, are several inputs."""
    return {file.sha256: file.version for file in files}


def _load(
    stores: Stores,
    written: Mapping[str, Materialised],
    files: list[catalogue.RegisteredFile],
    opening: Books,
    day: date,
    symbol: str,
) -> _Loaded:
    """Read the files into the tables, books beginning with what earlier days left; and keep what these leave."""
    from tracebank_models.market.order_books import OrderBooks
    from tracebank_models.market.pipeline import Accounting, load

    accounting, loaded, books = Accounting(), _Loaded(), OrderBooks(day, opening)
    for made in written.values():
        made.inputs |= _versions(files)
    sources = [file.source for file in files]
    with track(f"loading {symbol} of {day}", catalogue.lines_in(stores.relational, files)) as advance:
        for chunk in load(sources, day=day, symbol=symbol, tables=list(written), accounting=accounting, books=books):
            loaded.gaps += [(chunk.path, gap) for gap in chunk.gaps]
            for name, frame in chunk.batches.items():
                written[name].write(frame)
            if BOOK.name in chunk.batches:
                loaded.states.update(dict(chunk.batches[BOOK.name]["state"].value_counts().iter_rows()))
            advance(chunk.lines)
    if BOOK.name in written:
        made = written[BOOK.name]
        made.inputs |= {f"closing book of {venue}": opening[venue, symbol].content for venue, symbol in books.opened}
        made.into(ClosingBook, {"day": day, "symbol": symbol}).write(list(closing_rows(day, books.closing)))
    loaded.accounts = [account for account in accounting.lines if account.table in written]
    return loaded


def _figures(accounts: list[LineAccounting], stored: TableSize) -> dict[str, Figure]:
    return {
        "lines": sum(account.lines for account in accounts),
        "duplicate_lines": sum(account.duplicate for account in accounts),
        "ignored_lines": sum(account.ignored for account in accounts),
        "bytes_per_row": round(stored.bytes / stored.rows, 2) if stored.rows else 0.0,
    }


_BARS_OF = [RAW_FILES, market_key("trades"), market_key("quotes")]


@artifact(
    GROUP,
    BARS,
    checks=checks.TABLE_CHECKS,
    deps=_BARS_OF,
    partitions_def=DAY_BY_SYMBOL,
    kinds={"sql"},
    files=[_SQL],
    freshness_policy=DAILY,
)
def bars(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Bars that files hold, and one-minute bars of the trades: OHLCV, VWAP, number of trades and mean spread, computed
    in SQL where the rows lie. Where a file has the bar of a minute, that is the one.
    """
    day, symbol = day_and_symbol(context)
    files = catalogue.files_of(stores.relational, day, symbol, [BARS.name])
    with materialised(context, stores, BARS, {"day": day, "symbol": symbol}) as made:
        for key in _BARS_OF[1:]:
            made.used(key, str(context.partition_key))
        made.inputs |= _versions(files)
        of_files, accounts = _bars_of_files(files, day, symbol)
        computed = _query_day(stores, "bars.sql", day, symbol)
        computed = computed.select(pl.col(name).cast(kind) for name, kind in BARS.polars_schema.items())
        computed = computed.join(of_files, on=BARS.unique_key, how="anti")
        made.write(pl.concat([of_files, computed]))
    catalogue.settle(stores.relational, files, [BARS.name], accounts, [], {}, day, symbol)
    return made.result(checks=[checks.table_check(accounts, made.stored.rows - computed.height)])


def _bars_of_files(
    files: list[catalogue.RegisteredFile], day: date, symbol: str
) -> tuple[pl.DataFrame, list[LineAccounting]]:
    """The bars that files hold, and what became of their lines."""
    from tracebank_models.market.pipeline import Accounting, load

    accounting, sources = Accounting(), [file.source for file in files]
    chunks = load(sources, day=day, symbol=symbol, tables=[BARS.name], accounting=accounting)
    held = [chunk.batches[BARS.name] for chunk in chunks if BARS.name in chunk.batches]
    accounts = [account for account in accounting.lines if account.table == BARS.name]
    return pl.concat([pl.DataFrame(schema=BARS.polars_schema), *held]), accounts


@artifact(
    GROUP,
    QualityMeasure,
    checks={name: what for name, (what, _) in checks.QUALITY_CHECKS.items()},
    deps=[market_key(name) for name in (*FILE_TABLES, BARS.name)],
    partitions_def=DAY_BY_SYMBOL,
    kinds={"sql"},
    files=[_SQL],
    freshness_policy=DAILY,
)
def quality(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """How sound a partition is: lines accounted for, crossed books, time going back, gaps, prices far off."""
    day, symbol = day_and_symbol(context)
    partition = {"asset_key": "market/quality", "partition": str(context.partition_key)}
    with materialised(context, stores, QualityMeasure, partition) as made:
        found = _query_day(stores, "quality.sql", day, symbol)
        measures = checks.quality_measures(stores, found, day, symbol, str(context.partition_key))
        made.write([measure.row() for measure in measures])
    return made.result(checks=checks.quality_results(measures))


def _query_day(stores: Stores, file: str, day: date, symbol: str) -> pl.DataFrame:
    first, after = (_nanoseconds(moment) for moment in Day.bounds(day))
    text = query_text(_SQL / file, stores.series.engine)
    answer = pl.from_arrow(stores.series.query(text, {"symbol": symbol, "first": first, "after": after}))
    if not isinstance(answer, pl.DataFrame):
        raise StoreError(f"{file}: the engine gave no table")
    return answer


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


LOADED = [market_tables, bars, quality]
"""Assets that are made of registered files, one partition per day and symbol."""
