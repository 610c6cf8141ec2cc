"""The way out of frequent mistakes in a query, whatever engine found them: a word, a name, a quote, a time.

Engines suggest names, too: of columns that is kept, of tables it is not, since it may be one that nobody may query.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from tracebank_schemas.catalogue import METADATA, TABLES

NOT_THERE: Final = "'tracebank demo' makes rows to try, 'tracebank ingest FILES' takes yours"
"""The way out of a store without tables."""

ACTIVATIONS: Final = "series.activations"
_TABLES: Final = tuple(
    map(
        re.compile,
        (
            r"Unknown table expression identifier '([^']+)'",
            r"Table with name \"?([^\s\"!]+)\"? does not exist",
            r"relation \"([^\"]+)\" does not exist",
            r"No catalog \+ schema named \"([^\"]+)\"",
            r"(?:Table|Database) `?([^\s`]+?)`? does(?: not|n't) exist",
        ),
    )
)
_COLUMNS: Final = tuple(
    map(
        re.compile,
        (
            r"Unknown expression(?: or function)? identifier `([^`]+)`",
            r"Identifier '([^']+)' cannot be resolved",
            r"Referenced column \"([^\"]+)\" not found",
            r"does not have a column named \"([^\"]+)\"",
            r"column \"?([^\"\s]+)\"? does not exist",
        ),
    )
)
_SYNTAX: Final = re.compile(
    r"syntax error at (?:position \d+ \(([^\s)]*).*?\)|or near \"([^\"]*)\")|only: (\w+) is not"
)
_MOMENT: Final = re.compile(
    r"(?:convert string|while converting|[Vv]alue) '?([^']+?)'? (?:to type|to|cannot be parsed as) DateTime"
)
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?\s?(Z|[+-]\d\d:?(?:\d\d)?)?", re.IGNORECASE
)
_ENGINES: Final = ("system.", "information_schema.", "pg_")
"""What the names of the engines' own tables begin with."""
_SUGGESTED: Final = re.compile(
    r"[.!]* ?(?:Maybe you meant|Did you mean|Candidate (?:bindings|tables)|Perhaps you meant).*$"
)
_WORDS: Final = (
    *("SELECT", "FROM", "WHERE", "GROUP", "ORDER", "BY", "LIMIT", "HAVING", "JOIN", "USING", "BETWEEN", "DISTINCT"),
    *("WITH", "UNION", "OFFSET", "DESCRIBE", "EXPLAIN", "SHOW", "INNER", "LEFT", "CROSS", "ASOF"),
)
_BY_LACKS: Final = re.compile(r"\b(ORDER|GROUP)\s+(?!BY\b)\w", re.IGNORECASE)
_UNSET: Final = re.compile(
    r"Substitution `(\w+)` is not set|following(?: prepared statement)? parameters: (\w+)"
    r"|query parameter is missing: (\w+)"
)
_UNLIKE: Final = re.compile(
    r"no supertype for types .*String|Cannot compare values of type VARCHAR|operator does not exist: (?:text|character)"
)
_HIDDEN: Final = (
    (re.compile(r"\b_relational\b"), "relational"),
    (re.compile(r"\b_activations\.\w+"), "series.activations"),
)


def known_names() -> list[str]:
    """Tables that a query may name, as declared."""
    return [
        *(f"series.{name}" for name in (*TABLES, "activations")),
        *(f"relational.{name}" for name in METADATA.tables),
    ]


def way_out(query: str, message: str) -> str:
    """An engine's message with what to do instead, where the mistake is one of those known.

    Args:
        query: what the user wrote.
        message: one line.
    """
    for hidden, shown in _HIDDEN:
        message = message if hidden.search(query) else hidden.sub(shown, message)
    if table := _first(_TABLES, message):
        return _of_table(query, message, table)
    if column := _first(_COLUMNS, message):
        return _of_column(query, message, column)
    if moment := _MOMENT.search(message):
        return f"{message}; write it as {_written(moment.group(1))}, in UTC"
    if unset := _UNSET.search(message):
        name = next(filter(None, unset.groups()))
        return f"{message}; give it: --param {name}=VALUE, in Python parameters={{'{name}': VALUE}}"
    if _UNLIKE.search(message):
        return f"{message}; compare texts with texts, which stand in single quotes"
    if syntax := _SYNTAX.search(message):
        if lacks := _BY_LACKS.search(query):
            return f"{message}. Did you mean {lacks.group(1).upper()} BY?"
        if open_ := _unclosed(query):
            return message if "arenthes" in message else f"{message}; {open_}"
        return message + _asked(_near(_suspects(query, next(filter(None, syntax.groups()), "")), _WORDS, 0.75))
    return message


def _unclosed(query: str) -> str:
    """What is wrong with the number of parentheses outside texts; empty where nothing is."""
    bare = re.sub(r"'(?:[^'\\]|\\.|'')*'", "", query)
    more = bare.count("(") - bare.count(")")
    return "" if not more else f"a parenthesis is not {'closed' if more > 0 else 'opened'}"


def _first(patterns: Iterable[re.Pattern[str]], message: str) -> str:
    return next((found.group(1) for pattern in patterns if (found := pattern.search(message))), "")


def _asked(names: Sequence[str]) -> str:
    return f". Did you mean {' or '.join(names)}?" if names else ""


def _of_table(query: str, message: str, table: str) -> str:
    name = table.rpartition(".")[2]
    written = re.search(rf"(\w+\.)?{re.escape(name)}(\.\w+)?", query, re.IGNORECASE)
    wanted = (written.group() if written else table).lower()
    known = [] if wanted.startswith(_ENGINES) else known_names()
    if wanted in known or f"series.{wanted}" in known:
        wanted = wanted if wanted in known else f"series.{wanted}"
        if wanted == ACTIVATIONS:  # its own message says why
            return message
        return f"{wanted} is not there yet: {NOT_THERE}"
    schema, _, short = wanted.rpartition(".")
    near = [full for full in known if full.partition(".")[2] == short]
    if not near:
        there = schema in ("series", "relational")
        within = {full.partition(".")[2]: full for full in known if not there or full.startswith(f"{schema}.")}
        near = [within[one] for one in _near([short], list(within), 0.75)]
    return _SUGGESTED.sub("", message) + (_asked(near[:2]) or "; 'tracebank tables' lists what there is")


def _of_column(query: str, message: str, column: str) -> str:
    if not re.search(r"\bFROM\b", query, re.IGNORECASE):
        return message if "FROM" in message else f"{message}; the statement has no FROM"
    if f'"{column}"' in query:
        return f"{_SUGGESTED.sub('', message)}; a text stands in single quotes: '{column}'"
    prefix, dot, name = column.rpartition(".")
    words = set(re.findall(r"\w+", query.lower()))
    named = [table for table in TABLES.values() if table.name in words]
    known = [one.name for table in named for one in table.columns]
    known += [
        one for table in METADATA.tables.values() if table.name in words for one in map(str, table.columns.keys())
    ]
    near = [name] if name in known and dot else _near([name], list(dict.fromkeys(known)))
    if near:
        return _SUGGESTED.sub("", message) + _asked(near if name in known else [f"{prefix}{dot}{one}" for one in near])
    if re.search(rf"(?:[=<>(,]|\bLIKE)\s*{re.escape(column)}\b", query, re.IGNORECASE):
        return f"{_SUGGESTED.sub('', message)}; a text stands in single quotes: '{column}'"
    return message if _SUGGESTED.search(message) else f"{message}; 'tracebank tables --columns' lists what there is"


def _near(wanted: Iterable[str], known: Sequence[str], cutoff: float = 0.6) -> list[str]:
    """Of what is known the two most like the first of what is wanted that is like any."""
    for word in wanted:
        if near := difflib.get_close_matches(word, known, 2, cutoff):
            return near
    return []


def _suspects(query: str, at: str) -> list[str]:
    """Words at which a statement may have gone wrong: the one that the parser stopped at, and the ones before it."""
    words = re.findall(r"\w+", query.upper())
    places = [place for place, word in enumerate(words) if word == at.upper()]
    found = [word for place in places for word in (words[place], *words[place - 1 : place])]
    return [word for word in found if word not in _WORDS]


def _written(moment: str) -> str:
    found = _ISO.fullmatch(moment.strip())
    if not found:
        return "'2024-08-08 00:00:00'"
    day, clock, fraction, zone = found.groups()
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}{(zone or 'Z').upper()}").astimezone(UTC)
    except ValueError:
        return "'2024-08-08 00:00:00'"
    return f"'{instant:%Y-%m-%d %H:%M:%S}{fraction or ''}'"
