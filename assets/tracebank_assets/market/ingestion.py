"""Files to rows in one go: the register job, then the load job for every day and symbol that the files hold."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.table import Column, Table
from sqlalchemy import func, select

from tracebank.progress import track
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.dagster_home import dagster_instance
from tracebank_assets.market import catalogue
from tracebank_assets.market.automation import LOAD_JOB, REGISTER_JOB
from tracebank_assets.market.closing_books import outdated_days
from tracebank_assets.market.partitions import partition_key
from tracebank_assets.market.registration import files_under
from tracebank_schemas.ingest import IngestCount, IngestFile

_log = logging.getLogger(__name__)
_GONE = (
    "%s of %s could now stand on the closing book before it, but %s is not there;"
    " to load it again, 'tracebank ingest' the file from where it lies now"
)
_KINDS = ("lines", "stored", "duplicate", "ignored", "rejected")


@dataclass(frozen=True, slots=True)
class IngestedFile:
    """The account of one file after it was loaded: the four kinds of lines add up to `lines`."""

    path: Path
    lines: int
    stored: int
    duplicate: int
    ignored: int
    rejected: int


def ingest_paths(
    settings: Settings,
    paths: Sequence[Path],
    *,
    venue: str | None = None,
    symbol: str | None = None,
    max_rejected_share: float = 0.01,
) -> list[IngestedFile]:
    """Register files and load every partition that they hold; again does no harm.

    Raises:
        RegistrationError: a path is not there.
        RunFailed: a file is refused, or a partition cannot be loaded.
    """
    from tracebank_assets.runs import run_job  # it needs the code location, which finds this module

    files_under(paths)
    config = {
        "paths": [str(path.absolute()) for path in paths],
        "venue": venue,
        "symbol": symbol,
        "max_rejected_share": max_rejected_share,
    }
    relational = open_relational(settings)
    with dagster_instance(settings) as instance:
        run_job(str(REGISTER_JOB.name), instance, ops={"market__raw_files": config})
        named, found = files_under(paths)
        hashes = catalogue.hashes_of(relational, [*named, *found])
        partitions = catalogue.partitions_of(relational, hashes)
        with track("loading days and symbols", len(partitions)) as advance:
            for day, name in _and_those_after(relational, partitions):
                run_job(str(LOAD_JOB.name), instance, partition_key=partition_key(day, name))
                advance(1)
    try:
        return _accounts(relational, hashes)
    finally:
        relational.close()


def _and_those_after(relational: RelationalStore, partitions: Sequence[tuple[date, str]]) -> Iterator[tuple[date, str]]:
    """Yield partitions, then, while there are, those whose book has another one to stand on since what was loaded."""
    yield from partitions
    seen: set[tuple[date, str]] = set()
    symbols = {symbol for _, symbol in partitions}
    while waiting := [each for each in outdated_days(relational, symbols) if each not in seen]:
        seen.add(waiting[0])
        if gone := catalogue.missing_files(relational, *waiting[0]):
            _log.warning(_GONE, *waiting[0], gone[0])
        else:
            yield waiting[0]


def _accounts(relational: RelationalStore, hashes: Sequence[str]) -> list[IngestedFile]:
    settled = (
        select(
            IngestCount.sha256,
            func.sum(IngestCount.stored),
            func.sum(IngestCount.duplicate),
            func.sum(IngestCount.ignored),
        )
        .where(IngestCount.sha256.in_(hashes))
        .group_by(IngestCount.sha256)
    )
    with relational.reading() as session:
        sums = {sha256: tuple(int(value or 0) for value in values) for sha256, *values in session.execute(settled)}
        files = session.scalars(select(IngestFile).where(IngestFile.sha256.in_(hashes)).order_by(IngestFile.path))
        return [_account(file, sums.get(file.sha256, (0, 0, 0))) for file in files]


def _account(file: IngestFile, settled: tuple[int, ...]) -> IngestedFile:
    stored, duplicate, ignored = settled
    ignored += sum(file.ignored.values())
    return IngestedFile(Path(file.path), file.lines, stored, duplicate, ignored, file.rejected)


def summary_table(done: Sequence[IngestedFile]) -> Table:
    """The accounts as a table for the terminal."""
    table = Table("file", *(Column(name, justify="right") for name in _KINDS), title="What became of every line")
    for file in done:
        table.add_row(file.path.name, *(f"{getattr(file, name):,}" for name in _KINDS))
    return table
