"""What DuckDB may be asked: the engine's own parser turns a statement into a tree, and only a tree that reads goes on.

Lists are of what is allowed (kinds of nodes, functions that make tables, settings), so that what a newer engine brings
is refused until it is looked at. Of plain functions, which compute from their arguments, the refused ones are listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tracebank.query.errors import READ_ONLY, SqlError, SqlRefused

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_EXPLAIN: Final = re.compile(r"\s*EXPLAIN\s+(?:ANALYZE\b\s*)?(?:\(\s*(?:ANALYZE|FORMAT)\b[^()]*\)\s*)?", re.IGNORECASE)
"""What may stand before an explained statement. Too much or too little leaves a rest that is no SELECT."""
_QUERIES: Final = _words("SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE")
_SOURCES: Final = _words("EMPTY BASE_TABLE SUBQUERY JOIN TABLE_FUNCTION EXPRESSION_LIST PIVOT SHOW_REF")
_CLASSES: Final = _words(
    "BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA OPERATOR PARAMETER"
    " POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW"
)
TABLE_FUNCTIONS: Final = _words(
    "duckdb_columns duckdb_constraints duckdb_functions duckdb_indexes duckdb_keywords duckdb_schemas duckdb_sequences"
    " duckdb_tables duckdb_types duckdb_views generate_series icu_calendar_names json_each json_tree pg_timezone_names"
    " pragma_show pragma_storage_info pragma_table_info pragma_version range repeat repeat_row summary unnest"
)
"""They make rows from their arguments, or tell of tables; others read files, run text, or tell paths and secrets."""
_FUNCTIONS: Final = _words(
    "current_connection_id current_query current_query_id current_setting current_transaction_id currval getenv"
    " getvariable json_execute_serialized_sql json_serialize_plan nextval parse_duckdb_log_message pg_sleep setseed"
    " setval sleep sleep_ms stats which_secret write_log"
)
"""Refused: they tell of the session or its settings, change something, or cannot be interrupted."""
_VIEWS: Final = _words("duckdb_databases duckdb_logs pg_prepared_statements pg_settings pragma_database_list")
"""The engine's own views that are refused: they tell paths, settings and other statements."""
_SETTINGS: Final = _words(
    "calendar default_collation default_null_order default_order memory_limit max_memory schema search_path threads"
    " timezone"
)
"""SHOW tells these."""
_PATH: Final = re.compile(r"[/\\.:*?\[]")


def admitted(connection: DuckDBPyConnection, text: str) -> str:
    """The one statement of a text that only reads, to be run as it is.

    Args:
        connection: whose parser is used; nothing is run.
        text: from the user.

    Raises:
        SqlError: it is empty or has a syntax error.
        SqlRefused: it would do anything but read tables.
    """
    statement = _single(connection, text)
    explained = _EXPLAIN.match(statement)
    rest = statement[explained.end() :] if explained else statement
    for node in _nodes(_tree(connection, rest)):
        if fault := _fault(node) or _shown(connection, node):
            raise SqlRefused(f"{READ_ONLY}: {fault}")
    return statement


def _single(connection: DuckDBPyConnection, text: str) -> str:
    import duckdb

    if "\0" in text:
        raise SqlError("the query has a NUL character; write chr(0) for it")
    try:
        found = connection.extract_statements(text)
        kinds = [statement.type.name for statement in found]
    except (duckdb.ParserException, UnicodeError) as error:
        raise SqlError(_parsed(str(error))) from None
    except ValueError:  # the client has no name for the kind
        kinds = ["a statement of this kind"] * len(found)
    if not found:
        raise SqlError("the query is empty")
    if len(found) > 1:
        raise SqlRefused(f"{READ_ONLY}: give one statement, not {len(found)}")
    if kinds == ["MULTI"]:
        raise SqlRefused(f"{READ_ONLY}: PIVOT makes types where it finds its columns by itself; write ON column IN (…)")
    if kinds[0] not in ("SELECT", "EXPLAIN"):
        raise SqlRefused(f"{READ_ONLY}: {kinds[0]} is not let through; use SELECT, SHOW, DESCRIBE or EXPLAIN")
    return str(found[0].query)


def _tree(connection: DuckDBPyConnection, text: str) -> dict[str, Any]:
    """The one SELECT that a text is, as the engine's parser sees it."""
    [(answer,)] = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [text]).fetchall()
    try:
        found = json.loads(answer)
    except RecursionError:
        raise SqlError("the query is nested too deeply") from None
    if found["error"]:
        if found["error_type"] == "not implemented":
            raise SqlRefused(f"{READ_ONLY}: only what is a SELECT throughout is let through")
        raise SqlError(_parsed(found["error_message"]))
    if len(found["statements"]) != 1:
        raise SqlRefused(f"{READ_ONLY}: give one statement")
    tree: dict[str, Any] = found["statements"][0]
    return tree


def _parsed(message: str) -> str:
    return " ".join(re.sub(r"\s*LINE \d+:.*", "", message, flags=re.DOTALL).split())[:400]


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _fault(node: dict[str, Any]) -> str | None:
    """Why a node may not be, or None."""
    kind = node.get("type")
    if "cte_map" in node and kind not in _QUERIES:
        return f"{str(kind).removesuffix('_NODE').removesuffix('_QUERY')} is not let through within a query"
    if "sample" in node and "select_list" not in node and kind not in _SOURCES:
        return f"{kind} is not let through as a source of rows"
    if "class" in node and node["class"] not in _CLASSES:
        return f"{node['class']} is not let through as an expression"
    if kind == "TABLE_FUNCTION" and (name := node["function"].get("function_name", "").lower()) not in TABLE_FUNCTIONS:
        return f"table function {name} is not let through"
    if (name := str(node.get("function_name", "")).lower()) in _FUNCTIONS:
        return f"function {name} is not let through"
    if kind == "BASE_TABLE":
        return _of_table(node)
    return None


def _of_table(node: dict[str, Any]) -> str | None:
    name = str(node["table_name"])
    if name.lower() in _VIEWS:
        return f"{name} is not let through; it tells of paths, settings or other statements"
    if _PATH.search(name):
        return f"{name!r} is no table; files are not read"
    return None


def _shown(connection: DuckDBPyConnection, node: dict[str, Any]) -> str | None:
    """SHOW of a setting, where it is not one that may be told."""
    if node.get("type") != "SHOW_REF":
        return None
    name = str(node["table_name"]).strip('"').lower()
    known = connection.execute("SELECT 1 FROM duckdb_settings() WHERE lower(name) = $1", [name]).fetchall()
    return f"setting {name} is not told" if known and name not in _SETTINGS else None
