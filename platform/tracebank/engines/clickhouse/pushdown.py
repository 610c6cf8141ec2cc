"""Filters on `relational` that reach the relational store.

ClickHouse hands a WHERE on to SQLite or PostgreSQL only where it stands beside the raw table, and never through a view.
So in an admitted statement a view whose rows the WHERE filters is replaced by the view's own SELECT over the raw table,
filtered by those conditions that the store answers alike. The statement keeps its WHERE.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import MetaData

from tracebank.engines.clickhouse.ddl import quoted
from tracebank.engines.clickhouse.guard import LAST_SIZE, Parser, walk
from tracebank.engines.clickhouse.guard import quoted as literal
from tracebank.engines.clickhouse.relational import VIEWS, view_select
from tracebank.engines.clickhouse.where import condition
from tracebank.query.conditions import Condition, Group, Join, Query, Source
from tracebank_schemas.catalogue import METADATA

_JOINS: Final[dict[str, Join]] = {"INNER": "", "CROSS": "", "COMMA": "", "LEFT": "left", "RIGHT": "right"}


def pushed(
    text: str, parser: Parser, dialect: str, parameters: Mapping[str, object], metadata: MetaData = METADATA
) -> str:
    """The statement with the filters on `relational` where the relational store sees them; else as it was.

    Args:
        text: an admitted query.
        parser: the engine that is to run it.
        dialect: of the relational store: "sqlite" or "postgresql".
        parameters: values of the query's parameters.
        metadata: the models.
    """
    if VIEWS not in text:
        return text
    root = json.loads(parser.ask(f"SELECT parseQueryToJSON({literal(text)})")[0][0])
    filtered = _filtered(root, dialect, parameters, metadata)
    if not filtered:
        return text
    tree = literal(json.dumps(root, separators=(",", ":")))
    if len(tree) > LAST_SIZE:
        return text
    result = str(parser.ask(f"SELECT formatQuerySingleLine(formatQueryFromJSON({tree}))")[0][0])
    for name, source in filtered.items():
        result = result.replace(name, f"({source})")
    return result if len(result.encode()) <= LAST_SIZE else text


def _filtered(
    root: dict[str, Any], dialect: str, parameters: Mapping[str, object], metadata: MetaData
) -> dict[str, str]:
    """Put a name of our own in the place of each view that is filtered; the SELECT that the name stands for."""
    nodes = list(walk(root))
    taken = frozenset(_taken(nodes))
    found: dict[str, str] = {}
    if any(len(node.get("name_parts") or ()) > 2 for _, _, node in nodes):
        return found  # a SELECT in the place of a table has no name in full
    for _, _, node in nodes:
        if node["type"] != "SelectQuery" or "where" not in node or "tables" not in node:
            continue
        elements = [element for element in node["tables"]["children"] if "table_expression" in element]
        sources = tuple(_source(element, metadata) for element in elements)
        query = Query(sources, condition(node["where"], parameters), taken)
        for position, source in enumerate(sources):
            needed = query.needed(position, dialect)
            if source.table is None or needed is None:
                continue
            name = elements[position]["table_expression"]["database_and_table_name"]
            if source.alias in taken:
                continue
            name |= {"alias": source.alias, "name": f"filtered_{uuid.uuid4().hex}"}
            del name["name_parts"]
            found[name["name"]] = view_select(source.table, dialect, _sql(needed, dialect))
    return found


def _taken(nodes: list[tuple[dict[str, Any] | None, str, dict[str, Any]]]) -> Iterator[str]:
    """Names of expressions and of the statement's own tables; the alias of a source is none of them."""
    for parent, role, node in nodes:
        if node["type"] == "WithElement":
            yield str(node["name"])
        is_source = (parent or {}).get("type") == "TableExpression" and role in ("database_and_table_name", "subquery")
        if "alias" in node and not is_source:
            yield str(node["alias"])


def _source(element: dict[str, Any], metadata: MetaData) -> Source:
    expression, join = element["table_expression"], element.get("table_join", {})
    name = expression.get("database_and_table_name", {})
    parts = name.get("name_parts") or [name.get("name", "")]
    is_plain = expression.keys() <= {"type", "database_and_table_name"}
    table = metadata.tables.get(parts[1]) if is_plain and len(parts) == 2 and parts[0] == VIEWS else None
    alias = name.get("alias") or expression.get("subquery", {}).get("alias") or parts[-1]
    is_odd = join.get("strictness", "ALL") != "ALL" or join.get("is_natural")
    columns = join.get("using_expression_list", {}).get("children")
    using = None if columns is None else frozenset(str(column.get("name", "")) for column in columns)
    return Source(table, str(alias), "other" if is_odd else _JOINS.get(join.get("kind", "CROSS"), "other"), using)


def _sql(needed: Condition, dialect: str) -> str:
    """A condition on the raw table."""
    if isinstance(needed, Group):
        word = " AND " if needed.every else " OR "
        return "(" + word.join(_sql(part, dialect) for part in needed.parts if part is not None) + ")"
    name, operator, first = quoted(needed.name[0]), needed.operator, needed.values[0]
    if isinstance(first, bool):
        is_number = dialect == "sqlite"
        return f"{name} {'!=' if first else '='} 0" if is_number else f"{name} = {str(first).lower()}"
    if operator == "in":
        return f"{name} IN ({', '.join(map(_value, needed.values))})"
    if operator == "prefix":
        # One letter less than is asked for: of a plain prefix the engine makes a function, and keeps it to itself.
        return f"{name} LIKE {literal(str(first)[:-1] + '_%')}"
    return f"{name} {operator} {_value(first)}"


def _value(value: object) -> str:
    return str(value) if isinstance(value, int) else literal(str(value))
