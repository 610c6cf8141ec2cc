"""`tracebank gc`: what nothing refers to any more, told, and removed when that is asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tracebank.cli.grid import Grid
    from tracebank.garbage import Garbage


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this it is only told.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, each thing by name.")] = False,
) -> None:
    """Tell, or remove, files and rows that nothing refers to: of models, dictionaries and studies that are gone."""
    from tracebank.cli.as_json import write_json
    from tracebank.cli.grid import print_grids
    from tracebank.garbage import Home
    from tracebank.settings import Settings
    from tracebank.stores.opening import open_relational, open_series

    settings = Settings.load()
    relational = open_relational(settings)
    try:
        home = Home(settings, relational, open_series(settings))
        found = home.remove() if delete else home.found()
    finally:
        relational.close()
    if as_json:
        write_json({"removed": delete, "found": found})
        return
    if not found:
        sys.stdout.write("everything is referred to\n")
        return
    print_grids([_by_kind(found)])
    sys.stdout.write("removed\n" if delete else "nothing was removed; 'tracebank gc --delete' removes it\n")


def _by_kind(found: list[Garbage]) -> Grid:
    from tracebank.cli.grid import NUMBER, Grid

    grid = Grid("kind", ("things", NUMBER), ("files", NUMBER), ("rows", NUMBER), ("bytes", NUMBER))
    for kind in dict.fromkeys(one.kind for one in found):
        _add(grid, kind, [one for one in found if one.kind == kind])
    grid.add_section()
    _add(grid, "all", found)
    return grid


def _add(grid: Grid, kind: str, of_kind: list[Garbage]) -> None:
    sums = (sum(getattr(one, name) for one in of_kind) for name in ("files", "rows", "bytes"))
    grid.add_row(kind, f"{len(of_kind):,}", *(f"{value:,}" for value in sums))
