"""`tracebank doctor`: which stores, servers, licences and devices are there, and what to do about what is missing."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tracebank.cli.grid import Grid
    from tracebank.cli.inspection import Finding
    from tracebank.settings import Settings

_STYLES = {"ok": "green", "missing": "yellow", "broken": "red"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Stores, servers, licences and devices: versions, and what to do about what is missing."""
    from tracebank.cli.as_json import json_text
    from tracebank.cli.grid import print_grids
    from tracebank.cli.inspection import inspect
    from tracebank.settings import Settings

    settings = Settings.load()
    found = inspect(settings)
    if as_json:
        sys.stdout.write(settings.redact(json_text(found)))
    else:
        print_grids(_grids(found, settings))
    if any(entry.state == "broken" for entry in found):
        raise typer.Exit(1)


def _grids(found: list[Finding], settings: Settings) -> Iterator[Grid]:
    from rich.text import Text

    from tracebank.cli.grid import PROSE, Grid

    for section, entries in itertools.groupby(found, lambda entry: entry.section):
        grid = Grid("", "what", ("found → what to do", PROSE), title=section)
        for entry in entries:
            advice = f" → {entry.advice}" if entry.advice else ""
            mark = Text(entry.state, style=_STYLES[entry.state])
            grid.add_row(mark, entry.name, settings.redact(entry.detail + advice))
        yield grid
