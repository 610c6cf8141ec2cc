"""`tracebank export`: tables as a folder of Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    folder: Annotated[Path, typer.Argument(help="Where to; made if need be.")],
    tables: Annotated[
        list[str] | None, typer.Argument(help="series.trades, relational.features, …; all where none is given.")
    ] = None,
    partition: Annotated[
        list[str] | None, typer.Option(help="key=value: only partitions with that value, e.g. day=2024-08-08.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Write tables, or partitions of them, as Parquet files that DuckDB and Polars open."""
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank.query.export import export as exported
    from tracebank.settings import Settings

    wanted = {}
    for pair in partition or []:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{pair!r} is not key=value", param_hint="--partition")
        wanted[name] = value
    with shown_on(Console(stderr=True)):
        found = exported(Settings.load(), folder, tables or [], wanted)
    if as_json:
        from tracebank.cli.as_json import write_json

        write_json(found)
        return
    from tracebank.cli.grid import NUMBER, Grid, console

    table = Grid("table", ("files", NUMBER), ("rows", NUMBER), ("bytes", NUMBER))
    for entry in found:
        table.add_row(entry.table, f"{entry.files:,}", f"{entry.rows:,}", f"{entry.bytes:,}")
    console().print(table)
