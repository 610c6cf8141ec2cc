"""Files to rows in one go: the register job, then the load job for every day and symbol that the files hold."""

import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import func, select

from tracebank.cli.grid import NUMBER, Grid
from tracebank.progress import track
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.dagster_home import dagster_instance
from tracebank_assets.market import catalogue
from tracebank_assets.market.assets import FAILED_FILES
from tracebank_assets.market.automation import LOAD_JOB, REGISTER_JOB
from tracebank_assets.market.closing_books import outdated_days
from tracebank_assets.market.partitions import partition_key
from tracebank_assets.market.survey import RegistrationError, files_of, listed, survey
from tracebank_models.market.mapping import shipped
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


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of every file at the paths of one call."""

    files: list[IngestedFile]
    """Files that are loaded."""
    skipped: dict[Path, str]
    """Files found in folders and archives that are of no market, and why not."""
    failed: dict[Path, str]
    """Files of which nothing was loaded, and why not."""


def ingest_paths(
    settings: Settings,
    paths: Sequence[Path],
    *,
    venue: str | None = None,
    symbol: str | None = None,
    mapping: str | None = None,
    max_rejected_share: float = 0.01,
) -> list[IngestedFile]:
    """Register files and load every partition that they hold, where every file must be read.

    Raises:
        RegistrationError: a path is not there, or nothing at the paths can be read.
        RunFailed: a file is refused (the others are loaded), or a partition cannot be loaded.
    """
    from tracebank_assets.runs import RunFailed

    done = ingest(settings, paths, venue=venue, symbol=symbol, mapping=mapping, max_rejected_share=max_rejected_share)
    if done.failed:
        raise RunFailed("; ".join(listed(done.failed, paths)))
    return done.files


def ingest(
    settings: Settings,
    paths: Sequence[Path],
    *,
    venue: str | None = None,
    symbol: str | None = None,
    mapping: str | None = None,
    max_rejected_share: float = 0.01,
) -> Ingested:
    """Register files and load every partition that they hold, leaving out those that cannot be read.

    Again does no harm.

    Raises:
        RegistrationError: a path is not there, or nothing at the paths can be read.
        RunFailed: a partition cannot be loaded.
    """
    from tracebank_assets.runs import run_job  # it needs the code location, which finds this module

    found = survey(paths, venue=venue, symbol=symbol, mapping=mapping)
    if not found.sources:
        raise RegistrationError(_nothing_read(paths, found.failed | found.skipped))
    config = {
        "paths": [str(path.absolute()) for path in paths],
        "venue": venue,
        "symbol": symbol,
        "mapping": _absolute(mapping),
        "max_rejected_share": max_rejected_share,
    }
    relational = open_relational(settings)
    try:
        with dagster_instance(settings) as instance:
            failed = _register(instance, config)
            hashes = catalogue.hashes_of(relational, found.sources.keys() - failed.keys())
            partitions = catalogue.partitions_of(relational, hashes)
            with track("loading days and symbols", len(partitions)) as advance:
                for day, name in _and_those_after(relational, partitions):
                    run_job(str(LOAD_JOB.name), instance, partition_key=partition_key(day, name))
                    advance(1)
        return Ingested(_accounts(relational, hashes), found.skipped, failed)
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


def _absolute(mapping: str | None) -> str | None:
    """A mapping's name, or the absolute path of its file."""
    return mapping if mapping is None or mapping in shipped() else str(Path(mapping).absolute())


def _register(instance: dg.DagsterInstance, config: dict[str, Any]) -> dict[Path, str]:
    """Run the job that registers; return the files that it could not, and why."""
    from tracebank_assets.runs import RunFailed, run_job

    try:
        run_job(str(REGISTER_JOB.name), instance, ops={"market__raw_files": config})
    except RunFailed as error:
        if FAILED_FILES not in error.metadata:
            raise
        return {Path(path): why for path, why in error.metadata[FAILED_FILES].value.items()}
    return {}


def _nothing_read(paths: Sequence[Path], left: dict[Path, str]) -> str:
    if not left:
        return f"nothing was read: there is no file in {', '.join(map(str, paths))}"
    return f"nothing was read of {files_of(left)}: {'; '.join(listed(left, paths))}"


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


def summary_table(done: Sequence[IngestedFile]) -> Grid:
    """The accounts as a table for the terminal."""
    table = Grid("file", *((name, NUMBER) for name in _KINDS), title="What became of every line")
    for file in done:
        table.add_row(file.path.name, *(f"{getattr(file, name):,}" for name in _KINDS))
    return table


def as_json(done: Ingested) -> str:
    """The account of a call: `files`, and `skipped` and `failed` with reasons."""
    left = {
        name: [{"path": str(path), "reason": why} for path, why in files.items()]
        for name, files in (("skipped", done.skipped), ("failed", done.failed))
    }
    files = [{**dataclasses.asdict(file), "path": str(file.path)} for file in done.files]
    return json.dumps({"files": files, **left}, indent=2)
