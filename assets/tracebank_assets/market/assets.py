"""Assets of group `market`: registered files, and the trades, quotes, books, bars and quality made of them."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.metering import Meter, metered
from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
from tracebank.stores.opening import held_open
from tracebank_assets.dialects import query_text
from tracebank_assets.market import catalogue, checks
from tracebank_assets.market.keys import CODE_VERSION, GROUP, RAW_FILES, SYNTHETIC_DAY, market_key
from tracebank_assets.market.partitions import DAY_BY_SYMBOL, add_to, day_and_symbol
from tracebank_assets.reporting import Figure, Made, report, table_metadata
from tracebank_models.market.accounting import LineAccounting
from tracebank_schemas.market import BARS, BOOK, QUOTES, TRADES
from tracebank_schemas.series import Day, Partition, SeriesTable

FILE_TABLES: dict[str, SeriesTable] = {table.name: table for table in (TRADES, QUOTES, BOOK)}
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
    max_rejected_share: float = 0.01
    """Share of unreadable lines above which a file is refused and nothing of it is written."""


@dg.asset(
    key=RAW_FILES,
    deps=[SYNTHETIC_DAY],
    group_name=GROUP,
    code_version=CODE_VERSION,
    kinds={"python"},
    metadata={"dagster/relation_identifier": "relational.ingest_files"},
)
def raw_files(context: dg.AssetExecutionContext, config: RawFilesConfig, stores: Stores) -> dg.MaterializeResult:
    """Market files that were registered: known by their content, every line of them accounted for by kind.

    Registering scans a file once and writes `ingest_files`, `ingest_counts`, `rejected_rows` and `instruments`. A file
    with more unreadable lines than `max_rejected_share` is refused whole.
    """
    from tracebank_assets.market.registration import register_paths

    paths = [Path(path) for path in config.paths] or _usual_folders(stores.settings)
    with metered() as meter:
        done = register_paths(
            stores.relational,
            paths,
            venue=config.venue,
            symbol=config.symbol,
            max_rejected_share=config.max_rejected_share,
        )
    add_to(context.instance, catalogue.partitions_of(stores.relational, done.hashes.values()))
    made = Made(RAW_FILES, done.lines, done.bytes, CODE_VERSION, {str(path): sha for path, sha in done.hashes.items()})
    return report(
        context, stores, made, meter, {"files": len(done.hashes), "new_files": done.new, "rejected": done.rejected}
    )


def _usual_folders(settings: Settings) -> list[Path]:
    return [folder for folder in (settings.home / "raw", settings.incoming) if folder.is_dir()]


def _table_spec(table: SeriesTable) -> dg.AssetSpec:
    return dg.AssetSpec(
        market_key(table.name),
        deps=[RAW_FILES],
        description=table.doc,
        group_name=GROUP,
        code_version=CODE_VERSION,
        kinds={"table"},
        metadata=table_metadata(table),
        skippable=True,
    )


@dg.multi_asset(
    name="market_tables",
    specs=[_table_spec(table) for table in FILE_TABLES.values()],
    check_specs=[spec for table in FILE_TABLES.values() for spec in checks.table_check_specs(market_key(table.name))],
    partitions_def=DAY_BY_SYMBOL,
    can_subset=True,
)
def market_tables(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Trades, quotes and books of one day and symbol, read from the registered files in one pass."""
    day, symbol = day_and_symbol(context)
    tables = [table for name, table in FILE_TABLES.items() if market_key(name) in context.selected_asset_keys]
    files = catalogue.files_of(stores.relational, day, symbol)
    if not files:
        raise dg.Failure(f"no registered file holds {symbol} on {day}; register one with 'tracebank ingest PATH'")
    with metered() as meter:
        loaded = _load(stores, tables, files, day, symbol)
    with held_open(stores.series):
        results = [_table_result(context, stores, table, files, loaded, meter) for table in tables]
    yield from results


def _load(
    stores: Stores, tables: list[SeriesTable], files: list[catalogue.RegisteredFile], day: date, symbol: str
) -> list[LineAccounting]:
    from tracebank_models.market.pipeline import Accounting, load

    accounting, gaps = Accounting(), []
    names = [table.name for table in tables]
    sources = [file.source for file in files]
    with (
        ExitStack() as stack,
        track(f"loading {symbol} of {day}", catalogue.lines_in(stores.relational, files)) as advance,
    ):
        partition: Partition = {"day": day, "symbol": symbol}
        writers = {table.name: stack.enter_context(stores.series.replacing(table, partition)) for table in tables}
        for chunk in load(sources, day=day, symbol=symbol, tables=names, accounting=accounting):
            gaps += [(chunk.path, gap) for gap in chunk.gaps]
            for name, frame in chunk.batches.items():
                writers[name].write(frame)
            advance(chunk.lines)
        with held_open(stores.series):  # one opening for all the commits
            stack.close()
    accounts = [account for account in accounting.lines if account.table in names]
    catalogue.settle(stores.relational, files, names, accounts, gaps, day, symbol)
    return accounts


def _table_result(
    context: dg.AssetExecutionContext,
    stores: Stores,
    table: SeriesTable,
    files: list[catalogue.RegisteredFile],
    accounts: list[LineAccounting],
    meter: Meter,
) -> dg.MaterializeResult:
    day, symbol = day_and_symbol(context)
    accounts = [account for account in accounts if account.table == table.name]
    size = stores.series.size(table, {"day": day, "symbol": symbol})
    inputs = {file.source.path.name: file.sha256 for file in files}
    made = Made(market_key(table.name), size.rows, size.bytes, CODE_VERSION, inputs)
    figures: dict[str, Figure] = {
        "lines": sum(account.lines for account in accounts),
        "duplicate_lines": sum(account.duplicate for account in accounts),
        "ignored_lines": sum(account.ignored for account in accounts),
        "bytes_per_row": round(size.bytes / size.rows, 2) if size.rows else 0.0,
    }
    results = checks.table_checks(stores, market_key(table.name), table, accounts, size.rows)
    return report(context, stores, made, meter, figures, results)


@dg.asset(
    key=market_key("bars"),
    deps=[market_key("trades"), market_key("quotes")],
    group_name=GROUP,
    code_version=CODE_VERSION,
    partitions_def=DAY_BY_SYMBOL,
    kinds={"sql"},
    metadata=table_metadata(BARS),
    check_specs=[checks.schema_check_spec(market_key("bars"))],
)
def bars(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """One-minute bars: OHLCV, VWAP, number of trades and mean spread, computed in SQL where the rows lie."""
    day, symbol = day_and_symbol(context)
    with metered() as meter:
        frame = _query_day(stores, "bars.sql", day, symbol)
        frame = frame.select(pl.col(name).cast(kind) for name, kind in BARS.polars_schema.items())
        written = stores.series.replace(BARS, {"day": day, "symbol": symbol}, frame)
    inputs = checks.input_versions(stores, context, ["market/trades", "market/quotes"])
    made = Made(market_key("bars"), written.rows, written.bytes, CODE_VERSION, inputs)
    return report(context, stores, made, meter, checks=[checks.schema_check(stores, market_key("bars"), BARS)])


@dg.asset(
    key=market_key("quality"),
    deps=[market_key(name) for name in FILE_TABLES],
    group_name=GROUP,
    code_version=CODE_VERSION,
    partitions_def=DAY_BY_SYMBOL,
    kinds={"sql"},
    metadata={"dagster/relation_identifier": "relational.quality_measures"},
    check_specs=checks.quality_check_specs(market_key("quality")),
)
def quality(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """How sound a partition is: lines accounted for, crossed books, time going back, gaps, prices far off."""
    day, symbol = day_and_symbol(context)
    with metered() as meter:
        found = _query_day(stores, "quality.sql", day, symbol)
        measures = checks.quality_measures(stores, found, day, symbol, str(context.partition_key))
        checks.write_measures(stores, measures)
    inputs = checks.input_versions(stores, context, [f"market/{name}" for name in FILE_TABLES])
    made = Made(market_key("quality"), len(measures), 0, CODE_VERSION, inputs)
    return report(context, stores, made, meter, checks=checks.quality_results(market_key("quality"), measures))


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
