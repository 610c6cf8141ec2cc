"""`tracebank tables`: what can be queried."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from tracebank.query.catalogue import TableInfo


def tables(
    columns: Annotated[bool, typer.Option("--columns", help="List every column with its type and unit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, columns included.")] = False,
) -> None:
    """Databases, tables, columns, units, rows and bytes."""
    from tracebank.query.catalogue import tables as listed
    from tracebank.settings import Settings

    found = listed(Settings.load())
    if as_json:
        import dataclasses

        import msgspec

        sys.stdout.buffer.write(
            msgspec.json.format(msgspec.json.encode([dataclasses.asdict(t) for t in found])) + b"\n"
        )
        return
    if not found:
        sys.stderr.write("there are no tables yet; run 'tracebank db upgrade'\n")
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200).print(_columns(found) if columns else _tables(found))


def _tables(found: list[TableInfo]) -> Table:
    table = grid("database", "table", "rows>", "bytes>", "columns>", "what it is")
    for entry in found:
        table.add_row(
            entry.database, entry.name, _count(entry.rows), _count(entry.bytes), str(len(entry.columns)), entry.doc
        )
    return table


def _columns(found: list[TableInfo]) -> Table:
    table = grid("table", "column", "type", "unit", "what it is")
    for entry in found:
        for column in entry.columns:
            table.add_row(f"{entry.database}.{entry.name}", column.name, column.type, column.unit, column.doc)
        table.add_section()
    return table


def grid(*names: str) -> Table:
    """An empty table with these heads; a head that ends in > is of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name in names:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
    return table


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
