"""One SQL over both stores where PostgreSQL or TimescaleDB holds the series: its dialect, asked as a role that reads.

Series tables lie in the schema `series`, and views of the relational tables in `relational` where both stores are one
database. PostgreSQL reaches no other database by itself: elsewhere `relational` is refused in one line.

What holds is the role (`reader`). The look at a statement's first word only tells sooner, and in plainer words.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import psycopg
import pyarrow as pa
from psycopg import sql
from sqlglot import TokenType, tokenize
from sqlglot.errors import TokenError

from tracebank.engines.postgresql.answers import answer
from tracebank.engines.postgresql.reader import check, reader_url
from tracebank.engines.postgresql.relational import VIEWS, in_one_database
from tracebank.engines.postgresql.store import conninfo
from tracebank.query.contract import Answer, Limits, Request, first_rows
from tracebank.query.errors import READ_ONLY, SqlCancelled, SqlError, SqlLimit, SqlRefused
from tracebank.settings import Settings, without_password
from tracebank.stores.faults import StoreError
from tracebank_schemas.catalogue import METADATA, TABLES

_COMMENT: Final = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
_ASKED: Final = ("SELECT", "WITH", "VALUES", "TABLE")
_TOLD: Final = ("SHOW", "EXPLAIN")
_CATALOGUE: Final = "; 'tracebank tables --columns' tells of tables"
_SORTS: Final = 24
"""Shares that a query's memory is divided into: PostgreSQL bounds each sort and hash of each of three processes."""
_LARGEST: Final = 2**31 - 1


@contextlib.contextmanager
def opened(settings: Settings, request: Request) -> Iterator[Answer]:
    """The answer of one statement in PostgreSQL's SQL, parameters as `%(name)s`; open for the length of the block.

    Raises:
        SqlError: the query is refused or fails; one line.
        StoreError: the server cannot be reached, or nobody may be asked who only reads.
    """
    text, word = _admitted(request.text)
    with closing(_connected(settings, request.limits)) as session:
        if not settings.reader_trusted:
            check(session, reader_url(settings))
        with _faults(settings, request.limits):
            if request.parameters:
                text = psycopg.ClientCursor(session).mogrify(text.encode(), dict(request.parameters))
            found = _told(session, text) if word in _TOLD else answer(session, text, request.rows)
        batches = first_rows(_watched(found.batches, settings, request.limits), request.rows)
        yield Answer(found.schema, batches)


def _admitted(query: str) -> tuple[str, str]:
    """The statement without a semicolon at its end, and its first word."""
    text = query.strip()
    rest = text
    while found := _COMMENT.match(rest):
        rest = rest[found.end() :]
    if not rest:
        raise SqlError("the query is empty")
    if "\0" in text:
        raise SqlError("the query holds a NUL byte")
    word = (rest.lstrip("( \t\r\n").split(None, 1) or [rest])[0].split("(")[0].upper()
    if word not in (*_ASKED, *_TOLD):
        raise SqlRefused(f"{READ_ONLY}: {word[:40]} is not let through; use {', '.join((*_ASKED, *_TOLD))}{_CATALOGUE}")
    with contextlib.suppress(TokenError):  # the engine says better what is wrong with it
        last = tokenize(text, read="postgres")[-1]
        text = text[: last.start] if last.token_type == TokenType.SEMICOLON else text
    return text, word


def _connected(settings: Settings, limits: Limits) -> psycopg.Connection:
    url = reader_url(settings)
    given = {
        "search_path": "series",
        "default_transaction_read_only": "on",
        "statement_timeout": str(min(max(1, round(limits.seconds * 1000)), _LARGEST)),
        "work_mem": f"{min(max(64, limits.memory // _SORTS >> 10), _LARGEST)}kB",
        "hash_mem_multiplier": "1",
    }
    try:
        return psycopg.connect(conninfo(url, given), autocommit=True)
    except psycopg.Error as error:
        text = without_password(" ".join(str(error).split()), url)
        hint = f"; queries log in as {url.username}, which 'tracebank db upgrade' makes and mends"
        raise StoreError(f"series store {url.render_as_string()}: {text[:400]}{hint}") from None


def _told(session: psycopg.Connection, text: str) -> Answer:
    """Answers of SHOW and EXPLAIN, which are text. Prepared, so that a second statement is refused."""
    cursor = session.execute(text.encode(), prepare=True)
    names = [column.name for column in cursor.description or []]
    rows = [[None if value is None else str(value) for value in row] for row in cursor.fetchall()]
    columns = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(names))]
    table = pa.Table.from_arrays(columns, names)
    return Answer(table.schema, iter(table.to_batches()))


def _watched(batches: Iterator[pa.RecordBatch], settings: Settings, limits: Limits) -> Iterator[pa.RecordBatch]:
    with _faults(settings, limits):
        yield from batches


@contextlib.contextmanager
def _faults(settings: Settings, limits: Limits) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    except psycopg.Error as error:
        raise _told_apart(error, settings, limits, time.monotonic() - begun) from None
    except UnicodeError:
        raise SqlError("the query or a parameter holds what is no text") from None


def _told_apart(error: psycopg.Error, settings: Settings, limits: Limits, seconds: float) -> SqlError:
    said = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    text = _line(". ".join(filter(None, said)) or str(error), settings)
    match error.sqlstate:
        case "57014":
            if seconds < limits.seconds:
                return SqlCancelled("the query was cancelled")
            return SqlLimit(f"the query took longer than {limits.seconds:g} s; use --timeout, TRACEBANK_QUERY_TIMEOUT")
        case "53200" | "53400" | "54001":
            return SqlLimit(f"the query took more than the server gives it: {text}")
        case "25006":
            return SqlRefused(f"{READ_ONLY}: {text}")
        case "42501":
            return SqlRefused(f"{READ_ONLY}: {text}{_missing(error.diag.message_primary or '', settings)}")
    return SqlError(text)


def _missing(text: str, settings: Settings) -> str:
    """The statement that gives the reader what it lacks of what it should have."""
    role = sql.Identifier(str(reader_url(settings).username)).as_string()
    ours = [("series", "table", list(TABLES))]
    if in_one_database(settings.series, settings.relational):
        ours.append((VIEWS, "view", list(METADATA.tables)))
    for schema, kind, names in ours:
        if text.endswith(f"schema {schema}"):
            return f"; run: GRANT USAGE ON SCHEMA {schema} TO {role}"
        if any(text.endswith(f"{kind} {name}") for name in names):
            return f"; run: GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"
    return ""


def _line(message: str, settings: Settings) -> str:
    text = without_password(" ".join(message.split()), reader_url(settings))[:400]
    if f"{VIEWS}." in text and "does not exist" in text and not in_one_database(settings.series, settings.relational):
        shown = settings.relational.render_as_string()
        return (
            f"relational: PostgreSQL reaches the relational store only where it is the same database, and {shown} is"
            " not; set TRACEBANK_RELATIONAL_URL to the series store's database, or query each store by itself"
        )
    return settings.redact(text) or "the engine gave no reason"
