"""What came in: instruments, files, the account of their lines, refused lines, gaps, and books at the end of a day."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import JSON, Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import Base, HomePath

_FILE = "ingest_files.sha256"


class Instrument(Base):
    """Something traded at a venue, with the units that its series rows are in."""

    __tablename__ = "instruments"

    venue: Mapped[str] = mapped_column(String(64), primary_key=True, doc="e.g. binance_spot")
    symbol: Mapped[str] = mapped_column(String(64), primary_key=True, doc="the venue's own name")
    kind: Mapped[str | None] = mapped_column(
        String(32), doc="spot, linear, inverse, option, equity or synthetic; null where the venue is not known"
    )
    price_unit: Mapped[str | None] = mapped_column(String(32), doc="unit of prices, e.g. USDT; null where not known")
    qty_unit: Mapped[str | None] = mapped_column(
        String(32), doc="unit of quantities, e.g. BTC or contracts; null where not known"
    )
    price_tick: Mapped[float | None] = mapped_column(
        Float, doc="step that all prices of a file of ten different ones or more are multiples of, price_unit"
    )
    qty_step: Mapped[float | None] = mapped_column(Float, doc="the same of quantities, qty_unit")
    first_ts: Mapped[datetime | None] = mapped_column(doc="first row seen, UTC")
    last_ts: Mapped[datetime | None] = mapped_column(doc="last row seen, UTC")


class IngestFile(Base):
    """A file that was registered, known by its content."""

    __tablename__ = "ingest_files"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True, doc="of the file as it lies on disk")
    path: Mapped[str] = mapped_column(HomePath, doc="where it was last seen; ./ is the home")
    format: Mapped[str] = mapped_column(String(32), doc="of the file, e.g. recorder, lobster or mapped")
    venue: Mapped[str | None] = mapped_column(String(64), doc="given by the user or the path, else null")
    symbol: Mapped[str | None] = mapped_column(String(64), doc="given by the user or the path, else null")
    mapping: Mapped[str | None] = mapped_column(Text, doc="text of the mapping by which it is read, else null")
    bytes: Mapped[int] = mapped_column(doc="size on disk")
    lines: Mapped[int] = mapped_column(doc="lines in it")
    rows: Mapped[int] = mapped_column(doc="lines that carry something to store")
    rejected: Mapped[int] = mapped_column(doc="lines that could not be read")
    ignored: Mapped[dict[str, int]] = mapped_column(JSON, doc="lines that carry nothing to store, by kind")
    first_ts: Mapped[datetime | None] = mapped_column(doc="earliest time in it, UTC")
    last_ts: Mapped[datetime | None] = mapped_column(doc="latest time in it, UTC")
    registered_at: Mapped[datetime] = mapped_column(doc="UTC")


class IngestCount(Base):
    """The account of a file's lines: found when it is registered, settled when its partition is loaded."""

    __tablename__ = "ingest_counts"
    __table_args__ = (Index(None, "day", "symbol"),)

    sha256: Mapped[str] = mapped_column(String(64), ForeignKey(_FILE, ondelete="CASCADE"), primary_key=True)
    venue: Mapped[str] = mapped_column(String(64), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, doc="UTC day of ts")
    table_name: Mapped[str] = mapped_column(String(32), primary_key=True, doc="series table that they are rows of")
    kind: Mapped[str] = mapped_column(String(64), primary_key=True, doc="stream or record kind in the file")
    lines: Mapped[int] = mapped_column(doc="lines found")
    stored: Mapped[int | None] = mapped_column(doc="lines stored; null until the partition is loaded")
    duplicate: Mapped[int | None] = mapped_column(doc="lines already seen; null until loaded")
    ignored: Mapped[int | None] = mapped_column(doc="lines superseded, e.g. older than a snapshot; null until loaded")
    rows: Mapped[int | None] = mapped_column(doc="rows made of the stored lines; null until loaded")


class RejectedRow(Base):
    """A line that could not be read, with the reason."""

    __tablename__ = "rejected_rows"

    sha256: Mapped[str] = mapped_column(String(64), ForeignKey(_FILE, ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, doc="1-based line number")
    file: Mapped[str] = mapped_column(Text, doc="path of the file when it was read")
    reason: Mapped[str] = mapped_column(Text, doc="why it was refused")
    text: Mapped[str] = mapped_column(Text, doc="start of the line")


class SequenceGap(Base):
    """Updates that the source skipped: the book is stale from here until a snapshot heals it."""

    __tablename__ = "sequence_gaps"

    sha256: Mapped[str] = mapped_column(String(64), ForeignKey(_FILE, ondelete="CASCADE"), primary_key=True)
    venue: Mapped[str] = mapped_column(String(64), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, doc="UTC day of ts")
    got_seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, doc="update id that came")
    expected_seq: Mapped[int] = mapped_column(doc="update id that was due")
    ts: Mapped[datetime] = mapped_column(doc="time of the update that came, UTC")


class ClosingBook(Base):
    """The whole depth of a book at the end of a day: the next day's rows stand on it where the update ids join."""

    __tablename__ = "closing_books"

    venue: Mapped[str] = mapped_column(String(64), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, doc="UTC day that it ends")
    seq: Mapped[int] = mapped_column(doc="last update id in it")
    after_snapshot: Mapped[bool] = mapped_column(doc="whether that id is a snapshot's")
    state: Mapped[str] = mapped_column(String(8), doc="whole (on a snapshot without a gap since), partial or stale")
    bids_from: Mapped[float | None] = mapped_column(
        Float, doc="lowest price from which on a whole book's bids are all known; null: no end; price_unit"
    )
    asks_to: Mapped[float | None] = mapped_column(
        Float, doc="highest price up to which a whole book's asks are all known; null: no end; price_unit"
    )
    bid_levels: Mapped[int] = mapped_column(doc="bid levels in it")
    ask_levels: Mapped[int] = mapped_column(doc="ask levels in it")
    content: Mapped[str] = mapped_column(String(16), doc="digest of the above and the levels")
    opened_on: Mapped[str | None] = mapped_column(
        String(16),
        doc="content of the book before it that was there to stand on, empty: none; null: load the day again",
    )
    # The last column, so that SQLite finds the others without reading through it.
    levels: Mapped[str] = mapped_column(Text, doc="base64 of an Arrow file with the columns is_bid, price and qty")
