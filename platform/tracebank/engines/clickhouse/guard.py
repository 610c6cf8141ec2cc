"""Which statements are let through: decided on the tree that the engine's own parser makes of the text.

`readonly = 1` alone does not close everything (measured on ClickHouse 26.9): `INTO OUTFILE` writes, the scalar function
`file()` reads any file, `DESCRIBE url(…)` connects, `KILL QUERY` and `SYSTEM STOP MERGES` act. So a statement runs only
if every node of its tree is of a known, harmless kind, and what runs is the text that the engine makes from that tree.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tracebank.engines.clickhouse.functions import TABLE_FUNCTIONS, FunctionCatalogue
from tracebank.query.errors import READ_ONLY, SqlError, SqlRefused, from_engine


class Parser(Protocol):
    """The engine's own parser, which runs nothing of what it parses."""

    def ask(self, query: str) -> list[list[Any]]:
        """Rows of a small query of our own."""

    def syntax_tree(self, text: str) -> list[str]:
        """Lines of `EXPLAIN AST` of a statement."""


LAST_SIZE: Final = 200_000
"""Characters a query may have."""

_EMPTY: Final = "the query is empty"
_SELECT: Final = "SelectWithUnionQuery"
_READS: Final = frozenset({_SELECT, "ExplainQuery", "ShowTablesQuery", "ShowColumnsQuery", "ShowIndexesQuery"})
_EXPLAINS: Final = frozenset(
    "EXPLAIN " + kind if kind else "EXPLAIN"
    for kind in ("", "AST", "SYNTAX", "QUERY TREE", "PIPELINE", "ESTIMATE", "ANALYZE")
)


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NODES: Final = _READS | _listed("""
    ArrayJoin Asterisk ColumnsApplyTransformer ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher
    ColumnsReplaceTransformer ColumnsReplaceTransformerReplacement ColumnsTransformerList DataType ExpressionList
    Function Identifier InterpolateElement Literal OrderByElement QualifiedAsterisk QualifiedColumnsListMatcher
    QualifiedColumnsRegexpMatcher QueryParameter SampleRatio SelectIntersectExceptQuery SelectQuery SetQuery Subquery
    TableExpression TableIdentifier TableJoin TablesInSelectQuery TablesInSelectQueryElement WindowDefinition
    WindowListElement WithElement
""")
HIDDEN: Final = frozenset({"default", "_relational", "_activations"})
"""Databases out of reach: the engine's own `default` reads files by their names, the other two are raw."""

_SIMPLE: Final = _listed("""
    DescribeQuery ShowCreateTableQuery ShowCreateViewQuery ShowCreateDatabaseQuery ExistsTableQuery ExistsViewQuery
    ExistsDatabaseQuery ShowProcesslistQuery ShowFunctions ShowEngineQuery ShowGrantsQuery
""")
"""Statements that the parser does not give as JSON; let through only in their simple form, on a named table."""

_SIMPLE_PARTS: Final = frozenset({"TableExpression", "TableIdentifier", "Identifier"})
_WORD = re.compile(r"^\s*([A-Za-z]+)\s*(.*?)(?: \(children \d+\))?$")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that may run."""

    text: str
    """As the engine's parser writes it."""
    selects: bool
    """True for a query, whose answer has named and typed columns; false for SHOW, DESCRIBE and EXPLAIN."""


def quoted(text: str) -> str:
    """A string literal of the engine's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def admit(text: str, parser: Parser, functions: FunctionCatalogue) -> Statement:
    """Let a statement through, or say why not.

    Args:
        text: what the user wrote: one statement.
        parser: the engine that is to run it.
        functions: what may be called.

    Raises:
        SqlRefused: the statement is none that only reads the stores.
        SqlError: it cannot be parsed.
    """
    if not text.strip(" \t\r\n;"):
        raise SqlError(_EMPTY)
    if len(text) > LAST_SIZE or "\0" in text:
        raise SqlError(
            f"the query has {len(text):,} characters or a NUL byte; at most {LAST_SIZE:,} and none are taken"
        )
    canonical = str(_asked(parser, f"SELECT formatQuerySingleLine({quoted(text)})")[0][0])
    try:
        tree = parser.ask(
            f"SELECT parseQueryToJSON({quoted(canonical)}) AS tree, formatQuerySingleLine(formatQueryFromJSON(tree))"
        )
    except Exception as error:
        if "does not support JSON serialization" in str(error):
            return _simple(canonical, parser)
        if "parseQueryToJSON" in str(error) and "does not exist" in str(error):
            raise SqlError("the ClickHouse server is too old for this check; use version 26.8 or later") from None
        if "cannot be represented" in str(error) or "BAD_ARGUMENTS" in str(error):
            raise SqlRefused(f"{READ_ONLY}: this is no query") from None
        raise from_engine(error) from None
    if tree[0][1] != canonical:
        lost = next((a for a, b in zip(canonical.split(), tree[0][1].split(), strict=False) if a != b), "its end")
        raise SqlRefused(f"{READ_ONLY}: the parser's tree does not give {lost} back, so it cannot be checked")
    root = json.loads(tree[0][0])
    _check(root, functions)
    return Statement(canonical, root["type"] == _SELECT)


def _asked(parser: Parser, query: str) -> list[list[Any]]:
    try:
        return parser.ask(query)
    except Exception as error:
        if "Multi-statements are not allowed" in str(error):
            raise SqlRefused(f"{READ_ONLY}: one statement at a time") from None
        if "Empty query" in str(error):
            raise SqlError(_EMPTY) from None
        raise from_engine(error) from None


def _check(root: dict[str, Any], functions: FunctionCatalogue) -> None:
    """Refuse a tree with anything in it that is not known to be harmless."""
    if root["type"] not in _READS:
        raise SqlRefused(f"{READ_ONLY}: {_spoken(root['type'])} is none of SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN")
    for parent, role, node in walk(root):
        _check_clauses(parent, node)
        kind = node["type"]
        if kind not in _NODES:
            raise SqlRefused(f"{READ_ONLY}: {_spoken(kind)} is not among what a query may hold")
        if kind == "ExplainQuery" and node.get("kind") not in _EXPLAINS:
            raise SqlRefused(f"{READ_ONLY}: {node.get('kind')} is not among the kinds of EXPLAIN allowed")
        if kind == "Function":
            _check_function(str(node["name"]), functions, is_table=role == "table_function")
        if kind == "ColumnsApplyTransformer" and "func_name" in node:
            _check_function(str(node["func_name"]), functions, is_table=False)
        if kind in ("TableIdentifier", "Identifier"):
            check_name(node.get("name_parts") or [])
        for key in ("database", "from"):
            if isinstance(node.get(key), str) and node[key]:
                check_name([node[key], ""])


def _check_clauses(parent: dict[str, Any] | None, node: dict[str, Any]) -> None:
    if "out_file" in node:
        raise SqlRefused(f"{READ_ONLY}: INTO OUTFILE writes a file; use --output, or save the frame in Python")
    if "format_ast" in node:
        raise SqlError("FORMAT does not belong in the query; use --format")
    if "settings_ast" in node or (node["type"] == "SetQuery" and (parent or {}).get("type") != "ExplainQuery"):
        raise SqlRefused(f"{READ_ONLY}: SETTINGS cannot be changed in a query")


def _check_function(name: str, functions: FunctionCatalogue, *, is_table: bool) -> None:
    if name.lower() in TABLE_FUNCTIONS or (not is_table and functions.allows(name)):
        return
    if is_table:
        raise SqlRefused(f"{READ_ONLY}: table function {name}() is not among those allowed; name a table instead")
    if name.lower() in functions.refused:
        raise SqlRefused(f"{READ_ONLY}: function {name}() reaches more than its arguments")
    near = difflib.get_close_matches(name.lower(), sorted(functions.allowed), 1, 0.75)
    meant = f". Did you mean {near[0]}()?" if near else ""
    raise SqlError(f"function {name}() is not known, or is not allowed in a query{meant}")


def check_name(parts: list[str]) -> None:
    """Refuse the name of a database that is out of reach.

    Raises:
        SqlRefused: it is.
    """
    if len(parts) > 1 and not parts[0]:
        raise SqlRefused(f"{READ_ONLY}: a parameter cannot name a database")
    if len(parts) > 1 and parts[0].lower() in HIDDEN:
        raise SqlRefused(
            f"{READ_ONLY}: the databases within reach are series, relational, system and information_schema"
        )


def walk(
    node: Any, parent: dict[str, Any] | None = None, role: str = ""
) -> Iterator[tuple[dict[str, Any] | None, str, dict[str, Any]]]:
    """Every node of the tree, with the node above it and the name of its place there."""
    stack: list[tuple[dict[str, Any] | None, str, Any]] = [(parent, role, node)]
    while stack:
        above, place, item = stack.pop()
        if isinstance(item, list):
            stack.extend((above, place, entry) for entry in item)
        elif isinstance(item, dict):
            here = above
            if "type" in item:
                here = item
                yield above, place, item
            stack.extend((here, key, value) for key, value in item.items() if isinstance(value, dict | list))


def _simple(canonical: str, parser: Parser) -> Statement:
    """Let DESCRIBE, SHOW CREATE, EXISTS and the like through where they only name a table."""
    try:
        lines = [line for row in parser.syntax_tree(canonical) for line in row.splitlines() if line]
    except Exception as error:
        raise from_engine(error) from None
    found = [match.groups() for match in map(_WORD.match, lines) if match]
    root = found[0][0] if found else ""
    if root not in _SIMPLE or len(found) != len(lines):
        raise SqlRefused(f"{READ_ONLY}: {_spoken(root)} is none of SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN")
    for kind, rest in found[1:]:
        if kind == "Literal":
            raise SqlRefused(f"{READ_ONLY}: INTO OUTFILE writes a file; use --output, or save the frame in Python")
        if kind not in _SIMPLE_PARTS:
            raise SqlRefused(f"{READ_ONLY}: {_spoken(root)} takes a table's name here, not {kind.lower()} {rest}")
        check_name([*rest.split(".")] if kind == "TableIdentifier" else [rest, ""])
    if sum(kind == "Identifier" for kind, _ in found) > (0 if root == "DescribeQuery" else 2):
        raise SqlError("FORMAT does not belong in the query; use --format")
    return Statement(canonical, selects=False)


def _spoken(kind: str) -> str:
    """A node's kind in words: `DropQuery` -> DROP."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.removesuffix("Query"))
    return words.upper() or "the statement"
