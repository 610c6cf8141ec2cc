"""Checks of market assets: lines accounted for, and how sound the rows are."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl
from sqlalchemy import func, select

from tracebank.resources import Stores
from tracebank_models.market.accounting import LineAccounting
from tracebank_models.market.order_book import STATES
from tracebank_schemas.ingest import IngestCount, IngestFile, SequenceGap
from tracebank_schemas.quality import QualityMeasure

_ACCOUNTING = "line_accounting"
TABLE_CHECKS = {
    _ACCOUNTING: "Every line read is stored, a duplicate or ignored, and the store holds as many rows as were made of"
    " them."
}
"""The check of a table that is read from files, beside the standard ones."""

_WHOLE_ROWS = "whole_rows"
MOST_NOT_WHOLE = 0.01
"""Share of rows of a book that may be partial or stale before the check warns."""
BOOK_CHECKS = {_WHOLE_ROWS: f"At most {MOST_NOT_WHOLE:.0%} of the rows are partial or stale."}
"""The check of the book beside those of every table."""

QUALITY_CHECKS: dict[str, tuple[str, dg.AssetCheckSeverity]] = {
    "line_accounting": ("stored + duplicate + ignored + rejected lines are all lines", dg.AssetCheckSeverity.ERROR),
    "crossed_books": ("no whole book has its best bid at or above its best ask", dg.AssetCheckSeverity.ERROR),
    "time_going_back": ("the exchange's time never falls while its sequence rises", dg.AssetCheckSeverity.WARN),
    "sequence_gaps": ("no update of the book was skipped", dg.AssetCheckSeverity.WARN),
    "missing_trades": ("trade ids have no holes", dg.AssetCheckSeverity.WARN),
    "price_outliers": ("no price is more than ten standard deviations from the mean", dg.AssetCheckSeverity.WARN),
}
"""Checks of `[market, quality]`: what each means, and how bad it is when it fails."""


def table_check(accounts: list[LineAccounting], rows: int) -> dg.AssetCheckResult:
    """Line accounting of a table that was just written.

    Args:
        accounts: of its lines.
        rows: that the store holds.
    """
    lines = sum(account.lines for account in accounts)
    accounted = sum(account.stored + account.duplicate + account.ignored for account in accounts)
    made = sum(account.rows for account in accounts)
    return dg.AssetCheckResult(
        check_name=_ACCOUNTING,
        passed=lines == accounted and made == rows,
        metadata={"lines": lines, "accounted": accounted, "rows_made": made, "rows_stored": rows},
    )


def book_check(states: Mapping[str, int]) -> dg.AssetCheckResult:
    """How many rows of a book that was just written are not whole.

    Args:
        states: rows by state.
    """
    rows = sum(states.values())
    share = 1 - states.get("whole", 0) / rows if rows else 0.0
    return dg.AssetCheckResult(
        check_name=_WHOLE_ROWS,
        passed=share <= MOST_NOT_WHOLE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"share_not_whole": share, **{state: states.get(state, 0) for state in STATES}},
    )


def quality_measures(
    stores: Stores, found: pl.DataFrame, day: date, symbol: str, partition: str
) -> list[QualityMeasure]:
    """All measures of a partition: those found in the series rows, and those that the catalogue tells."""
    rows = list(found.select("venue", "check_name", "value", "checked").iter_rows())
    rows += _account_rows(stores, day, symbol) + _gap_rows(stores, day, symbol)
    now = datetime.now(UTC)
    return [
        QualityMeasure(
            asset_key="market/quality",
            partition=partition,
            venue=venue,
            check_name=name,
            value=float(value),
            checked=int(checked),
            passed=value == 0,
            measured_at=now,
        )
        for venue, name, value, checked in rows
    ]


def _account_rows(stores: Stores, day: date, symbol: str) -> list[tuple[str, str, float, int]]:
    """Lines of the partition, and of the files behind it as wholes, that are in no account."""
    settled = IngestCount.stored + IngestCount.duplicate + IngestCount.ignored
    here = (IngestCount.day == day, IngestCount.symbol == symbol)
    files = select(IngestCount.sha256).where(*here)
    by_venue = (
        select(IngestCount.venue, func.sum(IngestCount.lines), func.coalesce(func.sum(settled), 0))
        .where(*here)
        .group_by(IngestCount.venue)
    )
    by_file = select(IngestCount.sha256, func.sum(IngestCount.lines)).where(IngestCount.sha256.in_(files))
    with stores.relational.reading() as session:
        counted = {sha256: int(lines or 0) for sha256, lines in session.execute(by_file.group_by(IngestCount.sha256))}
        known = session.scalars(select(IngestFile).where(IngestFile.sha256.in_(files)))
        unaccounted = sum(_unaccounted_in(file, counted[file.sha256]) for file in known)
        found = [(venue, int(lines or 0), int(accounted or 0)) for venue, lines, accounted in session.execute(by_venue)]
    return [
        (venue, _ACCOUNTING, float(abs(lines - accounted) + unaccounted), lines) for venue, lines, accounted in found
    ]


def _unaccounted_in(file: IngestFile, counted: int) -> int:
    return abs(file.lines - file.rejected - sum(file.ignored.values()) - counted)


def _gap_rows(stores: Stores, day: date, symbol: str) -> list[tuple[str, str, float, int]]:
    book_lines = (
        select(IngestCount.venue, func.sum(IngestCount.lines))
        .where(IngestCount.day == day, IngestCount.symbol == symbol, IngestCount.table_name == "book")
        .group_by(IngestCount.venue)
    )
    gaps = (
        select(SequenceGap.venue, func.count())
        .where(SequenceGap.day == day, SequenceGap.symbol == symbol)
        .group_by(SequenceGap.venue)
    )
    with stores.relational.reading() as session:
        by_venue = {venue: int(count) for venue, count in session.execute(gaps)}
        return [
            (venue, "sequence_gaps", float(by_venue.get(venue, 0)), int(lines or 0))
            for venue, lines in session.execute(book_lines)
        ]


def quality_results(measures: list[QualityMeasure]) -> list[dg.AssetCheckResult]:
    """One result per check over all venues."""
    results = []
    for name, (_, severity) in QUALITY_CHECKS.items():
        mine = [measure for measure in measures if measure.check_name == name]
        results.append(
            dg.AssetCheckResult(
                check_name=name,
                passed=all(measure.passed for measure in mine),
                severity=severity,
                metadata={
                    "at_fault": sum(measure.value for measure in mine),
                    "checked": sum(measure.checked for measure in mine),
                    "by_venue": {measure.venue: measure.value for measure in mine},
                },
            )
        )
    return results
