"""One pass over a file before anything is stored: how many lines of what it holds, and whether it can be taken at all.

Nothing is built here, order books least of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracebank_models.market.accounting import with_lines
from tracebank_models.market.chunks import DecodedChunk, DepthEvents, RejectedLine, Source
from tracebank_models.market.formats import reader
from tracebank_models.market.price_ticks import GridStep

MAX_REJECTED_SHARE = 0.01
_TEXTS_KEPT = 10_000
_HOPELESS = 1_000_000
_TRADED = {
    "trades": ["{}"],
    "quotes": ["bid_{}", "ask_{}"],
    "book": ["bid_{}_0", "ask_{}_0", "bid_{}_9", "ask_{}_9"],
    "liquidations": ["{}"],
}
"""Columns whose prices and quantities are whole steps of the instrument, `{}` being price or qty."""
_Numbers = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


_Steps = dict[tuple[str, str], tuple[GridStep, GridStep]]


class TooManyBadLines(ValueError):
    """More of a file's lines are bad than may be."""


@dataclass(frozen=True, slots=True)
class ObservedInstrument:
    """An instrument that a file holds, and the largest steps that all of its prices and quantities are multiples of."""

    venue: str
    symbol: str
    price_tick: float | None
    qty_step: float | None


@dataclass(slots=True)
class FileScan:
    """What a file holds."""

    source: Source
    lines: int = 0
    rejected: list[RejectedLine] = field(default_factory=list)
    """Every bad line; the text only of the first ten thousand."""
    ignored: dict[str, int] = field(default_factory=dict)
    counts: pl.DataFrame = field(default_factory=lambda: _no_counts())
    """`venue`, `symbol`, `day`, `table`, `kind`, `lines` and `records` (what the lines decode to)."""
    first_ts_ns: int | None = None
    """Earliest time in the file, in ns since 1970; None if it holds nothing."""
    last_ts_ns: int | None = None
    instruments: list[ObservedInstrument] = field(default_factory=list)

    @property
    def contradictions(self) -> list[str]:
        """What was said of the file and its content contradicts, one line each: the content was believed."""
        said = {"venue": self.source.venue, "symbol": self.source.symbol}
        found = {name: sorted({getattr(seen, name) for seen in self.instruments}) for name in said}
        return [
            f"{self.source.path}: {name} {value!r} is not used: the content names {', '.join(found[name])[:200]}"
            for name, value in said.items()
            if value and found[name] and value.casefold() not in map(str.casefold, found[name])
        ]


def scan(source: Source, *, chunk_lines: int = 65536, max_rejected_share: float = MAX_REJECTED_SHARE) -> FileScan:
    """Read a file once and report what it holds.

    Args:
        source: The file.
        chunk_lines: Lines decoded at a time.
        max_rejected_share: Greatest allowed share of bad lines, between 0 and 1.

    Raises:
        TooManyBadLines: The share is exceeded.
        UnreadableFileError: The packed data is cut short or corrupt.
        OSError: The file cannot be opened or read.
    """
    if not 0 <= max_rejected_share <= 1:
        raise ValueError(f"max_rejected_share: {max_rejected_share} is not allowed: between 0 and 1")
    found = FileScan(source)
    parts: list[pl.DataFrame] = []
    steps: _Steps = {}
    for chunk in reader(source.format).read(source, chunk_lines=chunk_lines):
        found.lines += chunk.lines
        for kind, lines in chunk.ignored.items():
            found.ignored[kind] = found.ignored.get(kind, 0) + lines
        _keep_rejected(found, chunk.rejected)
        for table, records, numbers in _records(chunk):
            parts.append(_counts(table, records))
            _widen(found, records)
            _refine(steps, records, numbers)
        if len(parts) > 256:
            parts = [_summed(parts)]
        if len(found.rejected) > max(_HOPELESS, max_rejected_share * found.lines):
            break
    if len(found.rejected) > max_rejected_share * found.lines:
        raise _too_many(source.path, found, max_rejected_share)
    found.counts = _summed(parts)
    found.instruments = [
        ObservedInstrument(venue, symbol, price.step, qty.step)
        for (venue, symbol), (price, qty) in sorted(steps.items())
    ]
    return found


def _records(chunk: DecodedChunk) -> Iterator[tuple[str, pl.DataFrame, list[_Numbers]]]:
    """Yield each table's records with `lines`, and pairs of their prices, quantities and records (by index)."""
    for frames, elsewhere in ((chunk.frames, False), (chunk.companions, True)):
        for table, frame in frames.items():
            if len(frame):
                everything = np.arange(len(frame))
                sides = _TRADED.get(table, [])
                pairs = [(_column(frame, side, "price"), _column(frame, side, "qty"), everything) for side in sides]
                yield table, with_lines(frame, elsewhere=elsewhere), pairs
    if chunk.depth is not None and len(chunk.depth.events):
        depth = chunk.depth
        owner = np.repeat(np.arange(len(depth.events)), np.diff(depth.offsets))
        yield "book", depth.events.with_columns(lines_of(depth)), [(depth.price, depth.qty, owner)]


def _column(frame: pl.DataFrame, name: str, what: str) -> NDArray[np.float64]:
    return frame[name.format(what)].to_numpy()


def lines_of(depth: DepthEvents) -> pl.Series:
    """Return how many lines of the file each depth event was made of."""
    return pl.Series("lines", np.ones(len(depth.events), np.int64) if depth.lines is None else depth.lines, pl.Int64)


def _no_counts() -> pl.DataFrame:
    text = dict.fromkeys(("venue", "symbol"), pl.String)
    numbers = dict.fromkeys(("lines", "records"), pl.Int64)
    return pl.DataFrame(schema={**text, "day": pl.Date, "table": pl.String, "kind": pl.String, **numbers})


def _counts(table: str, records: pl.DataFrame) -> pl.DataFrame:
    keys = (pl.col("ts").dt.date().alias("day"), pl.lit(table).alias("table"))
    counted = records.select("venue", "symbol", *keys, "kind", "lines", pl.lit(1, pl.Int64).alias("records"))
    return _summed([counted])


def _summed(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Add counts up by all their keys."""
    together = pl.concat([_no_counts(), *parts])
    return together.group_by("venue", "symbol", "day", "table", "kind", maintain_order=True).sum()


def _widen(found: FileScan, records: pl.DataFrame) -> None:
    times = records["ts"].dt.timestamp("ns")
    low, high = int(times.min()), int(times.max())  # type: ignore[arg-type]
    found.first_ts_ns = low if found.first_ts_ns is None else min(low, found.first_ts_ns)
    found.last_ts_ns = high if found.last_ts_ns is None else max(high, found.last_ts_ns)


def _refine(steps: _Steps, records: pl.DataFrame, numbers: list[_Numbers]) -> None:
    """Take more prices and quantities into account."""
    names = records.select("venue", "symbol").unique(maintain_order=True).with_row_index("instrument")
    several = len(names) > 1
    joined = records.select("venue", "symbol").join(names, on=["venue", "symbol"], maintain_order="left", how="left")
    codes = joined["instrument"].to_numpy()
    for code, venue, symbol in names.iter_rows():
        known = steps.setdefault((venue, symbol), (GridStep(), GridStep()))
        for price, qty, owner in numbers:
            mine = codes[owner] == code if several else slice(None)
            for step, values in zip(known, (price[mine], qty[mine]), strict=True):
                step.refine(values[np.isfinite(values)])


def _keep_rejected(found: FileScan, rejected: list[RejectedLine]) -> None:
    room = max(_TEXTS_KEPT - len(found.rejected), 0)
    found.rejected += rejected[:room]
    found.rejected += [RejectedLine(bad.line, bad.reason, "") for bad in rejected[room:]]


def _too_many(path: Path, found: FileScan, allowed: float) -> TooManyBadLines:
    bad = len(found.rejected)
    first = "; ".join(f"line {line.line}: {line.reason}" for line in found.rejected[:3])
    share = bad / found.lines
    return TooManyBadLines(
        f"{path}: {bad} of {found.lines} lines ({share:.1%}) are bad, at most {allowed:.1%} may be. {first}"
    )
