"""The tree of commands: the platform's own, and those of other packages, which are loaded only when they are called."""

from __future__ import annotations

import ast
import importlib.util
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated, Any, Final

import click
import typer
from typer.core import TyperCommand, TyperGroup

from tracebank.cli.database import database
from tracebank.cli.doctor import doctor
from tracebank.cli.explore import explore
from tracebank.cli.export import export
from tracebank.cli.garbage import gc
from tracebank.cli.query import SqlCommand, sql
from tracebank.cli.serve import serve
from tracebank.cli.tables import tables

GROUP: Final = "tracebank.commands"
"""Entry points: a command's name -> a typer app, a click command or a function."""


class Commands(TyperGroup):
    """The platform's commands and the entry points' ones."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, for the help page."""
        own = super().list_commands(ctx)
        return own + sorted(name for name in _entry_points() if name not in own)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command for the help page; those of other packages are not loaded for that."""
        own = super().get_command(ctx, cmd_name)
        point = _entry_points().get(cmd_name)
        if own is not None or point is None:
            return own
        return TyperCommand(cmd_name, help=_summary(point))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command to run, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        point = _entry_points().get(name or "")
        if point is not None and super().get_command(ctx, name or "") is None:
            command = _loaded(point)
        return name, command, rest


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _loaded(point: EntryPoint) -> click.Command:
    try:
        found: Any = point.load()
    except (ImportError, AttributeError) as error:
        raise click.ClickException(f"command {point.name}: {point.value} cannot be loaded: {error}") from error
    if isinstance(found, click.Command):
        return found
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(point.name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = point.name
    return command


def _summary(point: EntryPoint) -> str:
    """First sentence of the command's docstring, read from its source without running it."""
    module, _, attribute = point.value.partition(":")
    try:
        spec = importlib.util.find_spec(module)
        tree = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
    except (ImportError, OSError, SyntaxError, ValueError):
        return f"(of {module})"
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == attribute]
    doc = ast.get_docstring(functions[0]) if functions else ast.get_docstring(tree)
    return (doc or f"(of {module})").split("\n\n")[0].replace("\n", " ")


app = typer.Typer(
    name="tracebank",
    cls=Commands,
    help="Every trace that models and markets leave is a row you can query.",
    no_args_is_help=True,
    suggest_commands=False,  # click does
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tracebank {version('tracebank')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", help="The version.", is_eager=True, callback=_tell_version)] = False,
) -> None: ...


app.command("sql", cls=SqlCommand)(sql)
app.command("tables")(tables)
app.command("doctor")(doctor)
app.command("export")(export)
app.command("serve")(serve)
app.command("explore")(explore)
app.command("gc")(gc)
app.add_typer(database, name="db")
