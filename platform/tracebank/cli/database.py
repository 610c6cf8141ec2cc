"""`tracebank db`: bringing both stores up to what is declared, telling how far they are, and writing down changes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tracebank.stores.migrations import SchemaStatus

database = typer.Typer(
    help="Migrate both stores, and tell how far they are.", no_args_is_help=True, suggest_commands=False
)

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@database.command()
def upgrade(as_json: AsJson = False) -> None:
    """Bring both stores and the views of the one SQL up to what is declared. Safe to run again."""
    from tracebank.settings import Settings
    from tracebank.stores.opening import upgrade as upgrade_stores

    _show(upgrade_stores(Settings.load()), as_json)


@database.command()
def status(as_json: AsJson = False) -> None:
    """Compare what stands with what is declared; changes nothing. Exit code 1 where they differ."""
    from tracebank.settings import Settings
    from tracebank.stores.migrations import status as compared
    from tracebank.stores.opening import open_relational, open_series

    settings = Settings.load()
    relational = open_relational(settings)
    try:
        found = compared(open_series(settings), relational)
    finally:
        relational.close()
    _show(found, as_json)


@database.command()
def repair(as_json: AsJson = False) -> None:
    """Give up rows that the engine cannot read, so that their tables can be read without them."""
    from tracebank.settings import Settings
    from tracebank.stores.opening import open_series

    found = open_series(Settings.load()).discard_damage()
    if as_json:
        from tracebank.cli.as_json import write_json

        write_json(found)
        return
    for entry in found:
        sys.stdout.write(f"given up: {entry}\n")
    if not found:
        sys.stdout.write("nothing is damaged\n")


@database.command()
def revision(message: Annotated[str, typer.Option("--message", "-m", help="What changed, in a few words.")]) -> None:
    """Write the migration that a changed or new model needs. For developers; nothing stored is touched."""
    from tracebank.stores.migrations import revision as written

    made = written(message)
    sys.stdout.write("nothing to write: models and migrations agree\n" if made is None else f"{made}\n")


@database.command()
def docs() -> None:
    """Print the docs page of every table, as declared. For developers: redirect it to docs/tables.md."""
    from tracebank_schemas.docs import tables_page

    sys.stdout.write(tables_page())


def _show(found: SchemaStatus, as_json: bool) -> None:
    if as_json:
        import dataclasses

        from tracebank.cli.as_json import write_json

        write_json({**dataclasses.asdict(found), "current": found.current})
    else:
        behind = "" if found.revision == found.head else "; 'tracebank db upgrade' brings it there"
        sys.stdout.write(f"relational: {found.revision or 'nothing yet'} (newest {found.head}{behind})\n")
        for line in found.relational if found.revision else ():
            sys.stdout.write(f"  differs: {line}\n")
        sys.stdout.write(f"series: {'as declared' if not found.series else 'differs'}\n")
        for entry in found.series:
            mend = "added by 'tracebank db upgrade'" if entry.repairable else "not repaired by an upgrade"
            sys.stdout.write(f"  {entry.table}, {entry.what}: {entry.found}, declared {entry.declared}; {mend}\n")
        if found.activations:
            sys.stdout.write(f"series.activations: not there, {found.activations}\n")
        for line in found.remarks:
            sys.stdout.write(f"{line}\n")
    if not found.current:
        raise typer.Exit(1)
