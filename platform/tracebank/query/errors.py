"""What a user of the SQL sees when a query cannot be answered: one line, without the engine's stack noise."""

from __future__ import annotations

import re

_PREFIX = re.compile(r"^.*?Code: \d+\. DB::Exception: ", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)\. DB::Exception")
_NOISE = re.compile(r"(: )?In scope .*|: while executing .*|\(version [^)]*\)|Stack trace:.*", re.DOTALL)
_NAME = re.compile(r"\s*\([A-Z][A-Z0-9_]+\)\s*$")
_EXPECTED = re.compile(r"\. Expected (?:one of: .*|end of query)", re.DOTALL)
_LONGEST = 400

_READONLY = 164
_CANCELLED = 394
_OUT_OF_TIME = (159, 209)
_OUT_OF_MEMORY = (241, 243)

READ_ONLY = "refused, queries are read-only"
"""How every refusal begins."""


OUT_OF_TIME = "the query took longer than it may; give it more with --timeout or TRACEBANK_QUERY_TIMEOUT (seconds)"
OUT_OF_MEMORY = "the query took more memory than it may; give it more with --memory or TRACEBANK_QUERY_MEMORY (2GiB)"


class SqlError(ValueError):
    """A query was refused or failed: one line that says why."""


class SqlRefused(SqlError):
    """The statement would write, or reach what a query may not reach."""


class SqlLimit(SqlError):
    """The query took more time or memory than it may."""


class SqlCancelled(SqlError):
    """The query was cancelled."""


def one_line(message: str) -> str:
    """The engine's message without codes, scopes and versions, on one line.

    Args:
        message: text of the engine's exception.
    """
    text = message
    while _PREFIX.match(text):
        text = _PREFIX.sub("", text, count=1)
    text = _EXPECTED.sub("", _NOISE.sub("", text)).replace("Syntax error: failed", "syntax error")
    while _NAME.search(text):
        text = _NAME.sub("", text)
    text = " ".join(text.split()).rstrip(" .:")
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    return text or "the engine gave no reason"


def from_engine(error: Exception) -> SqlError:
    """The engine's exception as a `SqlError`.

    Args:
        error: what the client raised.
    """
    message = str(error)
    found = _CODE.search(message)
    code = int(found.group(1)) if found else 0
    text = one_line(message)
    if code == _READONLY:
        return SqlRefused(f"{READ_ONLY}: {text.removeprefix('default: ')}")
    if code == _CANCELLED:
        return SqlCancelled("the query was cancelled")
    if code in _OUT_OF_TIME:
        return SqlLimit(OUT_OF_TIME)
    if code in _OUT_OF_MEMORY:
        return SqlLimit(OUT_OF_MEMORY)
    return SqlError(text)
