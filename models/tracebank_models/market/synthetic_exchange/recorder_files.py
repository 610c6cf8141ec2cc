"""A synthetic day as files: one per venue and symbol, written whole or not at all, with a manifest of what is in it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import zstandard

from .configuration import COMPRESSIONS, STREAMS, SyntheticMarket
from .feed import DROPPED, DUPLICATED, LATE, READABLE, WRITTEN, Feed, arrive, lay_out, new_feed
from .recorder_lines import encode
from .recorder_words import words
from .tape import REST, Tape
from .venue_session import VenueSession

_LEVELS = {"zstd": 1, "gzip": 1}
UNREADABLE_FORMS = ("cut_short", "bad_receive_time", "stray_bytes")


@dataclass(frozen=True, slots=True)
class FileManifest:
    """One written file, and exactly what it holds."""

    path: Path
    venue: str
    symbol: str
    bytes: int
    sha256: str
    lines: int
    """All lines: `sum(rows) + sum(duplicates) + sum(unreadable) + rest_snapshots`."""
    rows: dict[str, int]
    """Readable lines per stream, each counted once."""
    dropped: dict[str, int]
    """Lines lost in gaps, per stream; they are not in the file."""
    duplicates: dict[str, int]
    """Lines that stand in the file a second time, per stream."""
    late: dict[str, int]
    """Lines with a smaller sequence number than one of their stream that stands before, per stream."""
    unreadable: dict[str, int]
    """Unreadable lines, by form."""
    rest_snapshots: int
    split_fills: int
    """Fills that met two resting orders: pairs of trades of one millisecond, price and side."""
    tied_trades: int
    """Trades of the same millisecond as the trade before them, sweeps and splits alike, before gaps."""
    signal_beta: float | None
    """Planted return in ticks per unit of outer-depth imbalance; None without a planted signal."""
    signal_r2: float | None
    """R² of the next window's return on the signal, by construction."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of one day, in the order venue, symbol."""

    market: SyntheticMarket
    files: tuple[FileManifest, ...]


class _Sink(Protocol):
    def write(self, data: memoryview, /) -> int: ...


@dataclass(slots=True)
class _Tally:
    """What is counted while a file is written."""

    lines: int = 0
    tied: int = 0
    last_trade_ms: int = -1

    def add(self, tape: Tape, lines: int) -> None:
        self.lines += lines
        ms = tape.trades[: int(tape.sizes[0]), 0] // 1_000_000
        if ms.size:
            self.tied += int(np.count_nonzero(np.diff(ms, prepend=self.last_trade_ms) == 0))
            self.last_trade_ms = int(ms[-1])


@dataclass(slots=True)
class _DayFile:
    """One file that is being written."""

    session: VenueSession
    feed: Feed
    tally: _Tally = field(default_factory=_Tally)

    def write(self, sink: _Sink) -> Iterator[int]:
        """Write every line; yields the snapshots written since the last time."""
        session = self.session
        fixed = words(session.market, session.instrument)
        for tape in session.tapes():
            lines = lay_out(self.feed, tape, arrive(self.feed, tape, session.market.defects), session.market.defects)
            for block in encode(fixed, tape, lines):
                sink.write(block)
            self.tally.add(tape, lines.shape[0])
            yield int(tape.sizes[2])

    def manifest(self, path: Path) -> FileManifest:
        """What the finished file holds."""
        counts, planted = self.feed.counts, self.session.planted
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()

        def per_stream(what: int) -> dict[str, int]:
            written = self.session.market.streams
            return {name: int(counts[kind, what]) for kind, name in enumerate(STREAMS) if name in written}

        return FileManifest(
            path=path,
            venue=self.session.venue,
            symbol=self.session.instrument.symbol,
            bytes=path.stat().st_size,
            sha256=sha256,
            lines=self.tally.lines,
            rows=per_stream(WRITTEN),
            dropped=per_stream(DROPPED),
            duplicates=per_stream(DUPLICATED),
            late=per_stream(LATE),
            unreadable=dict(zip(UNREADABLE_FORMS, self.feed.unreadable[READABLE + 1 :].tolist(), strict=True)),
            rest_snapshots=int(counts[REST, WRITTEN]),
            split_fills=self.session.split_fills,
            tied_trades=self.tally.tied,
            signal_beta=None if planted is None else planted.beta,
            signal_r2=self.session.signal_share(),
        )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside the path that takes its place if the block ends well, and is removed if it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _compressed(path: Path, compression: str) -> AbstractContextManager[_Sink]:
    """A sink of which the same input makes the same bytes: fixed level, one thread, no name and time in the header."""
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=_LEVELS["zstd"]).stream_writer(path.open("wb"), closefd=True)
    return _named_gzip(path)


@contextlib.contextmanager
def _named_gzip(path: Path) -> Iterator[_Sink]:
    with path.open("wb") as raw, gzip.GzipFile("", "wb", _LEVELS["gzip"], raw, mtime=0) as sink:
        yield sink


def day_path(market: SyntheticMarket, symbol: str, venue: str, out: Path) -> Path:
    """Where the file of a venue and symbol lies: `<out>/venue=<venue>/<symbol>_<yyyymmdd>.<zst or gz>`."""
    return out / f"venue={venue}" / f"{symbol}_{market.day:%Y%m%d}.{COMPRESSIONS[market.compression]}"


def write_day(market: SyntheticMarket, out: Path, *, progress: Callable[[int, int], None] | None = None) -> Manifest:
    """Simulate a market and write one recorder file per venue and symbol.

    Each file is written beside its place and then renamed, so a reader sees the old file or the new one; writing the
    same market again writes the same bytes.

    Args:
        market: What to simulate.
        out: Folder for the files; made if need be.
        progress: Called with the snapshots simulated so far and in all.

    Returns:
        The files and exactly what was planted in each.

    Raises:
        OSError: A file could not be written; files finished before it stand.
    """
    files: list[FileManifest] = []
    done, total = 0, market.snapshots * len(market.venues) * len(market.symbols)
    for venue in market.venues:
        for instrument in market.symbols:
            session = VenueSession.of(market, instrument.symbol, venue)
            day = _DayFile(session, new_feed(market, instrument.symbol, venue))
            path = day_path(market, instrument.symbol, venue, out)
            with _replacing(path) as temporary, _compressed(temporary, market.compression) as sink:
                for snapshots in day.write(sink):
                    done += snapshots
                    if progress is not None:
                        progress(done, total)
            files.append(day.manifest(path))
    return Manifest(market, tuple(files))
