"""`tracebank tables`: what can be queried."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tracebank.cli.grid import Grid
    from tracebank.query.catalogue import TableInfo


def tables(
    columns: Annotated[bool, typer.Option("--columns", help="List every column with its type and unit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, columns included.")] = False,
) -> None:
    """Databases, tables, columns, units, rows and bytes."""
    from tracebank.query.catalogue import tables as listed
    from tracebank.query.connection import Connection
    from tracebank.settings import Settings

    found = listed(Connection(Settings.load()))
    if as_json:
        from tracebank.cli.as_json import write_json

        write_json(found)
        return
    if not found:
        sys.stderr.write(
            "there are no tables yet; run 'tracebank db upgrade', or 'tracebank demo' for some with rows\n"
        )
        return
    from tracebank.cli.grid import print_grids

    print_grids(_columns(found) if columns else tables_by_database(found))


def tables_by_database(found: list[TableInfo]) -> list[Grid]:
    """A table for each database: its tables with their rows and sizes."""
    from tracebank.cli.grid import NUMBER, PROSE, Grid, Head

    grids: dict[str, Grid] = {}
    for entry in found:
        heads: tuple[Head, ...] = (
            "table",
            ("rows", NUMBER),
            ("bytes", NUMBER),
            ("columns", NUMBER),
            ("what it is", PROSE),
        )
        grid = grids.setdefault(entry.database, Grid(*heads, title=entry.database))
        grid.add_row(entry.name, _count(entry.rows), _count(entry.bytes), str(len(entry.columns)), entry.doc)
    return list(grids.values())


def _columns(found: list[TableInfo]) -> list[Grid]:
    from tracebank.cli.grid import PROSE, Grid

    grids = []
    for entry in found:
        grid = Grid("column", "type", "unit", ("what it is", PROSE), title=f"{entry.database}.{entry.name}")
        for column in entry.columns:
            grid.add_row(column.name, column.type, column.unit, column.doc)
        grids.append(grid)
    return grids


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
