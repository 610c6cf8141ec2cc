"""Every table of the product on a terminal: columns where they fit, else a record a block.

Nothing is cut. A text is wrapped between its words, prose anywhere; numbers and ids stay on one line.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from tracebank.cli.cells import in_lines, printable

_UNBOUNDED: Final = 1_000_000
_GAP: Final = 2
_LINES: Final = 4
"""Lines that a text may be wrapped to before records are the better form."""
_NARROWEST: Final = 16
"""Columns below which prose is not squeezed."""

_RULE: Final = 40
_PLAIN: Final = Console()

Kind = Literal["text", "number", "prose"]
TEXT: Final[Kind] = "text"
NUMBER: Final[Kind] = "number"
PROSE: Final[Kind] = "prose"
Head = str | tuple[str, Kind]

Line = list[tuple[str, str]]
"""Texts with their styles."""
Cell = str | Text | None
"""Text to be cleaned, text with a style, or None for null."""


def console(file: IO[str] | None = None) -> Console:
    """A console as wide as the terminal, or as COLUMNS says; without either, lines are as long as they are."""
    if (file or sys.stdout).isatty() or os.environ.get("COLUMNS", "").isdigit():
        return Console(file=file, highlight=False)
    return unbounded(file)


def print_grids(grids: Iterable[Grid]) -> None:
    """Print tables with an empty line between them."""
    screen = console()
    for at, grid in enumerate(grids):
        if at:
            screen.print()
        screen.print(grid)


def unbounded(file: IO[str] | None = None) -> Console:
    """A console whose lines are as long as they are."""
    return Console(file=file, width=_UNBOUNDED, highlight=False)


@dataclass
class _Column:
    name: str
    kind: Kind
    cells: list[Text] = field(default_factory=list)

    @property
    def natural(self) -> int:
        """Columns that it takes if nothing is wrapped."""
        return max(map(cell_len, self._texts()))

    @property
    def least(self) -> int:
        """Columns below which it is not to be read."""
        if self.kind == PROSE:
            return max(cell_len(self.name), min(self.natural, _NARROWEST))
        words = max((cell_len(word) for text in self._texts() for word in text.split()), default=0)
        return self.natural if self.kind == NUMBER else max(words, -(-self.natural // _LINES))

    def _texts(self) -> list[str]:
        return [self.name, *(line for cell in self.cells for line in cell.plain.split("\n"))]


class Grid:
    """A table that `Console.print` lays out for the width that it has."""

    def __init__(self, *heads: Head, title: str = "", vertical: bool = False, before: int = 0) -> None:
        """Without rows.

        Args:
            heads: the columns' names, each with its kind where that is not text.
            title: above it.
            vertical: a record a block, however wide the terminal is.
            before: records that were shown already.
        """
        self.title = title
        self.vertical = vertical
        self._before = before
        named: list[tuple[str, Kind]] = [(head, TEXT) if isinstance(head, str) else head for head in heads]
        self._columns = [_Column(printable(name), kind) for name, kind in named]
        self._ends: set[int] = set()

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._columns[0].cells) if self._columns else 0

    def keep(self, rows: int) -> None:
        """Drop what comes after so many rows."""
        for column in self._columns:
            del column.cells[rows:]

    def add_row(self, *cells: Cell) -> None:
        """Add a cell for every column."""
        for column, cell in zip(self._columns, cells, strict=True):
            column.cells.append(_clean(cell))

    def add_section(self) -> None:
        """Draw a line below the last row."""
        self._ends.add(self.rows - 1)

    def is_vertical(self, width: int) -> bool:
        """Whether it is shown as records at that width."""
        return self.vertical or (len(self._columns) > 1 and self._needed(1) > width)

    def _needed(self, gap: int) -> int:
        return sum(column.least for column in self._columns) + gap * (len(self._columns) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Its lines, as rich asks for them."""
        width = options.max_width
        if self.title:
            yield Text(printable(self.title), style="bold")
        if self._columns:
            for line in self._records(width) if self.is_vertical(width) else self._table(width):
                for text, style in line:
                    yield Segment(text, console.get_style(style))
                yield Segment.line()
            if not self.rows:
                yield Text("no rows", style="dim")

    def _table(self, width: int) -> Iterator[Line]:
        gap = _GAP if self._needed(_GAP) <= width else 1
        gaps = gap * (len(self._columns) - 1)
        widths = _widths(self._columns, width - gaps)
        rule: Line = [("─" * (sum(widths) + gaps), "dim")]
        yield from self._row([Text(column.name, style="bold") for column in self._columns], widths, gap)
        yield rule
        for at, row in enumerate(self._rows()):
            yield from self._row(row, widths, gap)
            if at in self._ends and at + 1 < self.rows:
                yield rule

    def _row(self, cells: Sequence[Text], widths: Sequence[int], gap: int) -> Iterator[Line]:
        wrapped = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for texts in itertools.zip_longest(*wrapped, fillvalue=""):
            line: Line = []
            owed = 0  # spaces that are written when something follows them
            for column, cell, text, width in zip(self._columns, cells, texts, widths, strict=True):
                spare = width - cell_len(text)
                if text:
                    line.append((" " * (owed + (spare if column.kind == NUMBER else 0)) + text, str(cell.style)))
                    owed = 0 if column.kind == NUMBER else spare
                else:
                    owed += spare
                owed += gap
            yield line

    def _records(self, width: int) -> Iterator[Line]:
        names = [column.name for column in self._columns]
        if not self.rows:
            yield from ([(text, "bold")] for text in _wrapped(Text(", ".join(names)), width))
        across = max(map(cell_len, names)) + _GAP
        for at, row in enumerate(self._rows(), self._before + 1):
            yield [(f"─── {at:,} ".ljust(min(width, _RULE), "─"), "dim")]
            for name, cell in zip(names, row, strict=True):
                yield from _pair(name, cell, across, width)

    def _rows(self) -> Iterator[tuple[Text, ...]]:
        return zip(*(column.cells for column in self._columns), strict=True)


def _pair(name: str, cell: Text, across: int, width: int) -> Iterator[Line]:
    """A name and its value beside it, or below where the value has a word that would be broken."""
    room, style = width - across, str(cell.style)
    if max(map(cell_len, cell.plain.split()), default=0) > room:
        yield [(name, "bold")]
        yield from ([(" " * _GAP + text, style)] for text in _wrapped(cell, width - _GAP))
        return
    first, *others = _wrapped(cell, room)
    yield [(name, "bold"), (" " * (across - cell_len(name)) + first if first else "", style)]
    yield from ([(" " * across + text, style)] for text in others)


def _wrapped(cell: Text, width: int) -> list[str]:
    lines: list[str] = []
    for line in cell.plain.split("\n"):
        if cell_len(line) <= width:
            lines.append(line)
        else:
            lines += (part.plain.rstrip() for part in Text(line).wrap(_PLAIN, max(width, 1), overflow="fold"))
    return lines


def _clean(cell: Cell) -> Text:
    if cell is None:
        return Text("null", style="dim")
    if isinstance(cell, str):
        return Text(in_lines(cell))
    return Text(in_lines(cell.plain), style=cell.style)


def _widths(columns: Sequence[_Column], room: int) -> list[int]:
    """Each column's own width where there is room; else prose is wrapped first, and then the other texts."""
    natural, least = [column.natural for column in columns], [column.least for column in columns]
    if len(columns) == 1:
        return [min(natural[0], room)]
    beside = [low if column.kind == PROSE else high for column, low, high in zip(columns, least, natural, strict=True)]
    start = beside if sum(beside) <= room else least
    wanted, spare = sum(natural) - sum(start), room - sum(start)
    if wanted <= spare:
        return natural
    return [low + (high - low) * spare // wanted for low, high in zip(start, natural, strict=True)]
