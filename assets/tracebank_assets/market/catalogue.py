"""What the relational store knows of market files: registering, finding those of a partition, settling accounts."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tracebank.stores.relational import RelationalStore
from tracebank_assets.market.closing_books import Books, note_opening
from tracebank_models.market.accounting import LineAccounting
from tracebank_models.market.chunks import Source
from tracebank_models.market.file_scan import FileScan
from tracebank_models.market.instruments import instrument_units
from tracebank_models.market.order_books import Gap
from tracebank_models.market.price_ticks import common_step
from tracebank_models.market.unpacking import packed, size_of
from tracebank_schemas.ingest import IngestCount, IngestFile, Instrument, RejectedRow, SequenceGap

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RegisteredFile:
    """A registered file as a source to read."""

    sha256: str
    source: Source

    @property
    def version(self) -> str:
        """What its rows depend on: its content, and the mapping by which it is read."""
        if self.source.mapping is None:
            return self.sha256
        return f"{self.sha256} {hashlib.sha256(self.source.mapping.encode()).hexdigest()}"


def sha256_of(path: Path) -> str:
    """Hash of a file as it lies on disk, or of a member of an archive."""
    digest = hashlib.sha256()
    for piece in packed(path):
        digest.update(piece)
    return digest.hexdigest()


def registered(relational: RelationalStore, sha256: str, path: Path, mapping: str | None = None) -> bool:
    """Whether a file of this content is registered, by this mapping if one is given; remember where it lies now."""
    with relational.session() as session:
        known = session.get(IngestFile, sha256)
        if known is None or mapping not in (None, known.mapping):
            return False
        known.path = str(path)
        return True


def register(relational: RelationalStore, sha256: str, scan: FileScan) -> None:
    """Write what a scan found in one transaction: the file, the account of its lines, rejects and instruments."""
    source = scan.source
    file = IngestFile(
        sha256=sha256,
        path=str(source.path),
        format=source.format,
        venue=source.venue,
        symbol=source.symbol,
        mapping=source.mapping,
        bytes=size_of(source.path),
        lines=scan.lines,
        rows=int(scan.counts["lines"].sum()),
        rejected=len(scan.rejected),
        ignored=scan.ignored,
        first_ts=_moment(scan.first_ts_ns),
        last_ts=_moment(scan.last_ts_ns),
        registered_at=datetime.now(UTC),
    )
    with relational.session() as session:
        relational.upsert(session, IngestFile, [file.row()])
        session.execute(delete(IngestCount).where(IngestCount.sha256 == sha256))
        relational.upsert(session, IngestCount, _count_rows(sha256, scan))
        session.execute(delete(RejectedRow).where(RejectedRow.sha256 == sha256))
        relational.upsert(session, RejectedRow, _rejected_rows(sha256, scan))
        _merge_instruments(relational, session, scan)


def _moment(nanoseconds: int | None) -> datetime | None:
    return None if nanoseconds is None else _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _count_rows(sha256: str, scan: FileScan) -> list[dict[str, object]]:
    counts = scan.counts.drop("records").rename({"table": "table_name"})
    return [{"sha256": sha256, **row} for row in counts.iter_rows(named=True)]


def _rejected_rows(sha256: str, scan: FileScan) -> list[dict[str, object]]:
    file = str(scan.source.path)
    return [
        {"sha256": sha256, "line": bad.line, "file": file, "reason": _storable(bad.reason), "text": _storable(bad.text)}
        for bad in scan.rejected
    ]


def _storable(text: str) -> str:
    """Text with the one character that PostgreSQL cannot hold shown as what it is."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def _merge_instruments(relational: RelationalStore, session: Session, scan: FileScan) -> None:
    rows = []
    first, last = _moment(scan.first_ts_ns), _moment(scan.last_ts_ns)
    for seen in scan.instruments:
        known = session.get(Instrument, (seen.venue, seen.symbol))
        units = instrument_units(seen.venue, seen.symbol)
        row = Instrument(
            venue=seen.venue,
            symbol=seen.symbol,
            kind=units.kind,
            price_unit=units.price_unit,
            qty_unit=units.qty_unit,
            price_tick=common_step(seen.price_tick, known.price_tick if known else None),
            qty_step=common_step(seen.qty_step, known.qty_step if known else None),
            first_ts=min((value for value in (first, known and known.first_ts) if value), default=None),
            last_ts=max((value for value in (last, known and known.last_ts) if value), default=None),
        )
        rows.append(row.row())
    relational.upsert(session, Instrument, rows)


def files_of(
    relational: RelationalStore, day: date, symbol: str, tables: Iterable[str] | None = None
) -> list[RegisteredFile]:
    """Files that hold rows of a day and symbol, of any table or of those asked for, earliest first."""
    held = (IngestCount.day == day) & (IngestCount.symbol == symbol)
    if tables is not None:
        held &= IngestCount.table_name.in_(tables)
    query = (
        select(IngestFile)
        .where(IngestFile.sha256.in_(select(IngestCount.sha256).where(held)))
        .order_by(IngestFile.first_ts, IngestFile.path)
    )
    with relational.reading() as session:
        return [
            RegisteredFile(
                file.sha256, Source(Path(file.path), file.format, file.venue, file.symbol, mapping=file.mapping)
            )
            for file in session.scalars(query)
        ]


def missing_files(relational: RelationalStore, day: date, symbol: str) -> list[Path]:
    """Files that hold rows of a day and symbol, and do not lie any more where they were last seen."""
    return [file.source.path for file in files_of(relational, day, symbol) if not file.source.path.exists()]


def hashes_of(relational: RelationalStore, paths: Iterable[Path]) -> list[str]:
    """Content hashes of registered files, by where they lie."""
    query = select(IngestFile.sha256).where(IngestFile.path.in_([str(path) for path in paths]))
    with relational.reading() as session:
        return list(session.scalars(query))


def partitions_of(relational: RelationalStore, hashes: Iterable[str] | None = None) -> list[tuple[date, str]]:
    """Days and symbols with rows in the given files, or in every file that has lines not yet loaded."""
    query = select(IngestCount.day, IngestCount.symbol).distinct().order_by(IngestCount.day, IngestCount.symbol)
    if hashes is None:
        query = query.where(IngestCount.stored.is_(None))
    else:
        query = query.where(IngestCount.sha256.in_(list(hashes)))
    with relational.reading() as session:
        return [(day, symbol) for day, symbol in session.execute(query)]


def symbols_on(relational: RelationalStore, day: date) -> list[str]:
    """Symbols that registered files hold rows of on a day."""
    query = select(IngestCount.symbol).where(IngestCount.day == day).distinct().order_by(IngestCount.symbol)
    with relational.reading() as session:
        return list(session.scalars(query))


def lines_in(relational: RelationalStore, files: Iterable[RegisteredFile]) -> int:
    """Lines of registered files together."""
    query = select(func.sum(IngestFile.lines)).where(IngestFile.sha256.in_([file.sha256 for file in files]))
    with relational.reading() as session:
        return int(session.scalar(query) or 0)


def settle(
    relational: RelationalStore,
    files: Sequence[RegisteredFile],
    tables: Sequence[str],
    accounts: Iterable[LineAccounting],
    gaps: Iterable[tuple[Path, Gap]],
    opening: Books,
    day: date,
    symbol: str,
) -> None:
    """Write what became of the lines of a partition, the gaps met and the books stood on, in one transaction.

    Args:
        relational: the catalogue.
        files: files that were read.
        tables: tables that were loaded; the account of others stands.
        accounts: of these tables, this day and symbol.
        gaps: with the file each was met in.
        opening: closing books of earlier days that were there to stand on.
        day: of the partition.
        symbol: of the partition.
    """
    hashes = {file.source.path: file.sha256 for file in files}
    known = IngestCount.sha256.in_(hashes.values()) & (IngestCount.day == day) & (IngestCount.symbol == symbol)
    with relational.session() as session:
        session.execute(delete(IngestCount).where(known, IngestCount.table_name.in_(tables)))
        relational.upsert(session, IngestCount, [_settled_row(hashes[account.path], account) for account in accounts])
        if "book" in tables:
            session.execute(delete(SequenceGap).where(SequenceGap.day == day, SequenceGap.symbol == symbol))
            relational.upsert(session, SequenceGap, [_gap_row(hashes[path], gap, day) for path, gap in gaps])
            note_opening(session, day, symbol, opening)


def _settled_row(sha256: str, account: LineAccounting) -> dict[str, object]:
    return {
        "sha256": sha256,
        "venue": account.venue,
        "symbol": account.symbol,
        "day": account.day,
        "table_name": account.table,
        "kind": account.kind,
        "lines": account.lines,
        "stored": account.stored,
        "duplicate": account.duplicate,
        "ignored": account.ignored,
        "rows": account.rows,
    }


def _gap_row(sha256: str, gap: Gap, day: date) -> dict[str, object]:
    return {
        "sha256": sha256,
        "venue": gap.venue,
        "symbol": gap.symbol,
        "day": day,
        "got_seq": gap.seq,
        "expected_seq": gap.expected_seq,
        "ts": _moment(gap.ts_ns),
    }
