"""`tracebank sql`: a query from the argument, a file or stdin; its answer to the terminal or a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperCommand


class Format(StrEnum):
    """Forms of an answer."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


_BINARY = (Format.PARQUET, Format.ARROW)
_SUFFIXES: Mapping[str, Format] = {f".{form}": form for form in Format if form is not Format.TABLE} | {
    ".pq": Format.PARQUET,
    ".feather": Format.ARROW,
    ".jsonl": Format.NDJSON,
    ".txt": Format.TABLE,
    "": Format.TABLE,
}


_TOLD = re.compile(r"\s*(?:EXPLAIN|SHOW|DESC)", re.IGNORECASE)
"""Statements whose answers are texts to be read whole."""


class SqlCommand(TyperCommand):
    """Takes a statement that begins with a comment, `-- …`, for a statement."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put such a statement behind the options, where nothing is an option."""
        end = args.index("--") if "--" in args else len(args)
        options = [given for given in args[:end] if not self._is_statement(given)]
        statements = [given for given in args[:end] if self._is_statement(given)]
        return super().parse_args(ctx, [*options, "--", *statements, *args[end + 1 :]])

    def _is_statement(self, given: str) -> bool:
        known = {option for parameter in self.params for option in parameter.opts}
        return given.startswith("--") and given.partition("=")[0] not in known and any(map(str.isspace, given))


def sql(
    query: Annotated[
        str | None, typer.Argument(help="One statement in the SQL of the series store; '-' reads it from stdin.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the statement from this file.")] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Form of the answer; default: by --output's suffix, else table.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    vertical: Annotated[
        bool, typer.Option("--vertical", help="A record a block, as when the columns do not fit.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Every digit, and long texts and lists whole.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, whole or not at all.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Most rows to give.", min=0)] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds after which it is stopped; default TRACEBANK_QUERY_TIMEOUT.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory the engine may hold, e.g. 2GiB; default TRACEBANK_QUERY_MEMORY.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="name=value for {name:Type} ($name, %(name)s) in the statement.")
    ] = None,
) -> None:
    """Query both stores, read-only: series.*, relational.* and system.*."""
    statement = _statement(query, file)
    parameters = _parameters(param or [])
    chosen = Format.JSON if as_json else form if form is not None else _form_of(output)
    if chosen in _BINARY and output is None and sys.stdout.isatty():
        raise typer.BadParameter(f"{chosen} is not for a terminal; use --output FILE or a pipe", param_hint="--format")
    if output is not None and output.is_dir():
        raise typer.BadParameter(f"{output}: is a folder; name a file in it", param_hint="--output")
    if output is not None and not output.absolute().parent.is_dir():
        raise typer.BadParameter(f"{output}: there is no folder {output.absolute().parent}", param_hint="--output")
    limits = {"timeout": timeout, "memory": _bytes(memory)}
    _answer(statement, parameters, chosen, output, limit, limits, (full, vertical))


def _answer(
    statement: str,
    parameters: dict[str, object],
    form: Format,
    output: Path | None,
    limit: int | None,
    limits: Mapping[str, Any],
    shown: tuple[bool, bool],
) -> None:
    from tracebank.cli.answer_table import PAGE, Look
    from tracebank.cli.output import Sink
    from tracebank.cli.progress import ReadingProgress
    from tracebank.query.connection import connect

    rows = PAGE + 1 if form is Format.TABLE and limit is None else limit
    with (
        ReadingProgress() as progress,
        connect().open(statement, parameters=parameters, limit=rows, progress=progress.update, **limits) as answer,
        Sink(output) as sink,
    ):
        to_terminal = output is None and sys.stdout.isatty()
        batches = progress.finished_by(answer.batches) if to_terminal else answer.batches
        full, vertical = shown
        sink.write(form, answer.schema, batches, Look(limit is None, full or bool(_TOLD.match(statement)), vertical))


def _bytes(text: str | None) -> int | None:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return None if text is None else int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise typer.BadParameter(
            f"{text!r} is not accepted; use bytes, e.g. 500MiB or 2GiB", param_hint="--memory"
        ) from None


def _form_of(output: Path | None) -> Format:
    if output is None:
        return Format.TABLE
    suffix = output.suffix.lower()
    if suffix not in _SUFFIXES:
        raise typer.BadParameter(
            f"{output}: {suffix} cannot be written; use {', '.join(filter(None, _SUFFIXES))}",
            param_hint="--output",
        )
    return _SUFFIXES[suffix]


def _statement(query: str | None, file: Path | None) -> str:
    if query is not None and file is not None:
        raise typer.BadParameter("give the statement once: as the argument or with --file", param_hint="--file")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise typer.BadParameter(f"{file} cannot be read: {reason}", param_hint="--file") from None
    if query is not None and query != "-":
        return query
    if query is None and sys.stdin.isatty():
        raise typer.BadParameter("give a statement, --file FILE, or a statement on stdin", param_hint="QUERY")
    return sys.stdin.read()


def _parameters(pairs: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.isidentifier():
            raise typer.BadParameter(f"{pair!r} is not name=value", param_hint="--param")
        found[name] = value
    return found
