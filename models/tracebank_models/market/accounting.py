"""What became of every line of the files: stored, a duplicate, ignored or rejected; together, the file's lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

INSTRUMENT_KEYS = ("venue", "symbol", "day", "kind")


def with_lines(rows: pl.DataFrame, *, elsewhere: bool = False) -> pl.DataFrame:
    """Give decoded rows the column `lines`: a line that makes several rows counts once, with the first of them.

    Args:
        rows: With `line`, those of one line side by side.
        elsewhere: The lines are counted with the rows of another table.
    """
    first = pl.lit(False) if elsewhere else pl.col("line").ne_missing(pl.col("line").shift())
    return rows.with_columns(first.cast(pl.Int64).alias("lines"))


@dataclass(slots=True)
class LineAccounting:
    """Lines of one file, of one kind and, where they name one, of one instrument and day."""

    path: Path
    venue: str | None
    symbol: str | None
    day: date | None
    """Day of the exchange's time in UTC. This and the two above are None for lines that are of no instrument."""
    table: str | None
    """The table the lines are for; None where they are for none."""
    kind: str
    lines: int = 0
    stored: int = 0
    duplicate: int = 0
    ignored: int = 0
    rejected: int = 0
    rows: int = 0
    """Rows stored; fewer than `stored` where several lines make one row."""

    @property
    def accounted(self) -> int:
        """Lines whose fate is known; anything but `lines` is an error in a reader."""
        return self.stored + self.duplicate + self.ignored + self.rejected


class Accounting:
    """Gathers the accounting of a load, chunk by chunk."""

    def __init__(self) -> None:
        self._lines: dict[tuple[object, ...], LineAccounting] = {}
        self._file_lines: dict[Path, int] = {}

    @property
    def lines(self) -> list[LineAccounting]:
        """The accounting so far, in the order in which kinds were met."""
        return list(self._lines.values())

    @property
    def file_lines(self) -> dict[Path, int]:
        """Lines read of each file so far."""
        return dict(self._file_lines)

    def unaccounted(self, path: Path) -> int:
        """Return how many lines of a file have no fate: zero once all tables, days and symbols of it were loaded."""
        return self._file_lines.get(path, 0) - sum(entry.accounted for entry in self.lines if entry.path == path)

    def add_file_lines(self, path: Path, lines: int) -> None:
        """Count lines read."""
        self._file_lines[path] = self._file_lines.get(path, 0) + lines

    def add_ignored(self, path: Path, kind: str, lines: int) -> None:
        """Count lines that carry nothing to store."""
        entry = self._entry(path, None, None, None, None, kind)
        entry.lines += lines
        entry.ignored += lines

    def add_rejected(self, path: Path, lines: int) -> None:
        """Count lines that could not be read."""
        if lines:
            entry = self._entry(path, None, None, None, None, "rejected")
            entry.lines += lines
            entry.rejected += lines

    def add_rows(self, path: Path, table: str, records: pl.DataFrame) -> None:
        """Count what was decoded for a table.

        Args:
            path: The file.
            table: The table.
            records: One row per decoded record, with `ts`, `venue`, `symbol`, `kind`, `lines` (of the file, that it was
                made of) and `fate`: "stored", "duplicate" or "ignored".
        """
        fates = [pl.col("lines").filter(pl.col("fate") == fate).sum() for fate in ("stored", "duplicate", "ignored")]
        totals = (
            records.with_columns(pl.col("ts").dt.date().alias("day"))
            .group_by(INSTRUMENT_KEYS, maintain_order=True)
            .agg(
                pl.col("lines").sum(),
                *(total.alias(name) for total, name in zip(fates, ("stored", "duplicate", "ignored"), strict=True)),
                (pl.col("fate") == "stored").sum().alias("rows"),
            )
        )
        for venue, symbol, day, kind, *counts in totals.iter_rows():
            entry = self._entry(path, venue, symbol, day, table, kind)
            entry.lines += counts[0]
            entry.stored += counts[1]
            entry.duplicate += counts[2]
            entry.ignored += counts[3]
            entry.rows += counts[4]

    def _entry(
        self, path: Path, venue: str | None, symbol: str | None, day: date | None, table: str | None, kind: str
    ) -> LineAccounting:
        key = (path, venue, symbol, day, table, kind)
        if key not in self._lines:
            self._lines[key] = LineAccounting(path, venue, symbol, day, table, kind)
        return self._lines[key]
