"""`tracebank doctor`: which stores, servers, licences and devices are there, and what to do about what is missing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tracebank.cli.inspection import Finding
    from tracebank.settings import Settings

_MARKS = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "broken": "[red]broken[/]"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Stores, servers, licences and devices: versions, and what to do about what is missing."""
    import dataclasses
    import json

    from tracebank.cli.inspection import inspect
    from tracebank.settings import Settings

    settings = Settings.load()
    found = inspect(settings)
    if as_json:
        text = json.dumps([dataclasses.asdict(entry) for entry in found], indent=2)
        sys.stdout.write(settings.redact(text) + "\n")
    else:
        _show(found, settings)
    if any(entry.state == "broken" for entry in found):
        raise typer.Exit(1)


def _show(found: list[Finding], settings: Settings) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("", "what", "found", "what to do"):
        table.add_column(name, overflow="fold")
    section = found[0].section
    for entry in found:
        if entry.section != section:
            table.add_section()
            section = entry.section
        detail, advice = settings.redact(entry.detail), settings.redact(entry.advice)
        table.add_row(_MARKS[entry.state], entry.name, escape(detail), escape(advice))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
