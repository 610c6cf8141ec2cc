"""An answer as a table for a person: in pages, so that memory is bounded, and saying what it leaves out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from rich.console import Console

from tracebank.cli.cells import Cells
from tracebank.cli.grid import NUMBER, TEXT, Grid, Head

PAGE: Final = 1000
"""Rows below one heading, and most that are shown unasked."""
_RECORDS: Final = 100
"""Most records that are shown unasked: each takes as many lines as it has columns."""

_LINE: Final = 80


@dataclass(frozen=True, slots=True)
class Look:
    """How an answer is shown."""

    is_bounded: bool = True
    """Show no more than a screen or two of rows."""
    full: bool = False
    """Every digit, every character, every element."""
    vertical: bool = False
    """A record a block."""


def write_table(screen: Console, schema: pa.Schema, batches: Iterable[pa.RecordBatch], look: Look) -> None:
    """Write an answer; what is left out is told on stderr.

    Args:
        screen: where to.
        schema: of the answer.
        batches: the answer. Of a bounded one no more than `PAGE` rows are shown.
        look: how.
    """
    cells, done, first = Cells(full=look.full), 0, ""
    grid = _grid(schema, look, done)
    for piece in _pieces(batches):
        if look.is_bounded and done == PAGE:
            first = f"{PAGE:,} rows"
            break
        if grid.rows == PAGE:
            screen.print(grid)
            grid = _grid(schema, look, done)
        columns = [cells.column(name, column) for name, column in zip(schema.names, piece.columns, strict=True)]
        for row in zip(*columns, strict=True):
            grid.add_row(*row)
        done += piece.num_rows
    if look.is_bounded and grid.rows > _RECORDS and grid.is_vertical(screen.width):
        grid.keep(_RECORDS)
        first = f"{_RECORDS} records"
    if first:
        _tell(f"the first {first}; --limit N gives more, --format csv gives all")
    if schema.names:
        screen.print(grid)
    if cells.shortened:
        _tell(_shortened(list(cells.shortened)))


def _grid(schema: pa.Schema, look: Look, done: int) -> Grid:
    heads: list[Head] = [(field.name, NUMBER if _is_number(field.type) else TEXT) for field in schema]
    return Grid(*heads, vertical=look.vertical, before=done)


def _pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches cut so that every page ends with one of them."""
    done = 0
    for batch in batches:
        at = 0
        while at < batch.num_rows:
            size = min(PAGE - done % PAGE, batch.num_rows - at)
            yield batch.slice(at, size)
            at, done = at + size, done + size


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _shortened(names: list[str]) -> str:
    """The columns as far as they go on one line of 80 characters."""
    for count in range(len(names), 0, -1):
        more = f" and {len(names) - count} more" if count < len(names) else ""
        text = f"shortened: {', '.join(names[:count])}{more}; --full shows them whole"
        if len(text) < _LINE:
            return text
    return f"shortened: {len(names)} columns; --full shows them whole"


def _tell(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
