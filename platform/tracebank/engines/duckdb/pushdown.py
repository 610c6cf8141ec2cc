"""What a statement in DuckDB's SQL can need of the relational store: tables, columns, and conditions on rows.

sqlglot reads the statement. What it does not read, or not as plain as is needed here, is answered by whole tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import MetaData, Table

from tracebank.engines.duckdb.where import condition
from tracebank.query.conditions import Condition, Join, Query, Source, either

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

DATABASE: Final = "relational"
"""Where the copies stand in a session."""
_WORD: Final = re.compile(r"\w+")
_READ: Final = frozenset({"select", "with", "from", "table", "("})
"""How a statement begins that is looked into."""
_CATALOGUE: Final = frozenset({"show", "describe", "summarize", "information_schema", "pg_catalog"})
_BY_NAME: Final = frozenset({"query", "query_table", "rowid"})
"""Tables named in text, and the number of a row: neither is looked into."""
_SIDES: Final[dict[str, Join]] = {"": "", "LEFT": "left", "RIGHT": "right"}


@dataclass(frozen=True, slots=True)
class Need:
    """What a statement can need of a table."""

    table: Table
    columns: tuple[str, ...]
    condition: Condition | None
    """Met by every row that is needed; None for all rows."""


def needs(statement: str, parameters: Mapping[str, object], metadata: MetaData, dialect: str) -> list[Need]:
    """What a statement can need of the relational store.

    A table that is missed here does not exist for the query: that is an error there, never no rows.

    Args:
        statement: one that DuckDB's own parser took for a query.
        parameters: values of its parameters.
        metadata: the models.
        dialect: of the relational store: "sqlite" or "postgresql".
    """
    words = set(_WORD.findall(statement.lower()))
    tree = None if words & _BY_NAME else _parsed(statement)
    if tree is None:
        everything = not words.isdisjoint(_CATALOGUE) or any(word.startswith("duckdb_") for word in words)
        named = [table for name, table in metadata.tables.items() if everything or name in words]
        return [Need(table, tuple(_names(table)), None) for table in named]
    whole = _takes_every_column(tree, statement)
    found = []
    for name, conditions in _conditions(tree, parameters, metadata, dialect).items():
        table = metadata.tables[name]
        columns = [c.name for c in table.columns if whole or c.name.lower() in words or not _WORD.fullmatch(c.name)]
        found.append(Need(table, tuple(columns or _names(table)[:1]), either(conditions)))
    return found


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _parsed(statement: str) -> Expr | None:
    """The statement's tree; None where sqlglot does not read it, or it looks at the catalogue."""
    from sqlglot.dialects import DuckDB
    from sqlglot.errors import SqlglotError

    dialect = DuckDB()
    try:
        tokens = dialect.tokenize(statement)
        if not tokens or tokens[0].text.lower() not in _READ:
            return None
        (tree,) = dialect.parser().parse(tokens, statement)
    except (SqlglotError, RecursionError):
        return None
    words = {token.text.lower() for token in tokens}
    is_odd = not words.isdisjoint(_CATALOGUE) or any(word.startswith("duckdb_") for word in words)
    return None if is_odd else tree


def _takes_every_column(tree: Expr, statement: str) -> bool:
    """Whether columns may be used that are not named: by a star, a number, a join of its own accord or a whole row."""
    from sqlglot import expressions as exp

    if "#" in statement or any(join.args.get("method") for join in tree.find_all(exp.Join)):
        return True
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return True
    sources = {source.alias_or_name.lower() for source in tree.find_all(exp.Table)}
    return any(tree.find_all(exp.Columns, exp.Pivot)) or any(
        not column.table and column.name.lower() in sources for column in tree.find_all(exp.Column)
    )


def _conditions(
    tree: Expr, parameters: Mapping[str, object], metadata: MetaData, dialect: str
) -> dict[str, list[Condition | None]]:
    """By relational table: for each place where it stands, the condition that its rows must meet there."""
    from sqlglot import expressions as exp

    filtered: dict[int, Condition | None] = {}
    taken = frozenset(
        node.alias.lower() for node in tree.find_all(exp.Alias, exp.CTE, exp.PropertyEQ) if node.alias
    ) | {identifier.name.lower() for alias in tree.find_all(exp.TableAlias) for identifier in alias.columns}
    is_sampled = tree.find(exp.TableSample) is not None
    for select in [] if is_sampled else tree.find_all(exp.Select):
        places = [place for place, _ in _places(select)]
        where = select.args.get("where")
        if not places or where is None:
            continue
        sources = tuple(_source(place, join, metadata) for place, join in _places(select))
        query = Query(sources, condition(where.this, parameters), taken)
        filtered |= {id(place): query.needed(position, dialect) for position, place in enumerate(places)}
    found: dict[str, list[Condition | None]] = {}
    for table in tree.find_all(exp.Table):
        known = _table(table, metadata)
        if known is not None:
            found.setdefault(known.name, []).append(filtered.get(id(table)))
    return found


def _places(select: Expr) -> Iterator[tuple[Expr, Expr | None]]:
    """What stands in a SELECT's FROM, each with how it is joined."""
    start = select.args.get("from_")
    if start is not None:
        yield start.this, None
        for join in select.args.get("joins") or []:
            yield join.this, join


def _table(node: Expr, metadata: MetaData) -> Table | None:
    path = [part.lower() for part in (node.text("catalog"), node.text("db"))]
    is_ours = path in (["", DATABASE], [DATABASE, "main"])
    return metadata.tables.get(node.name.lower()) if is_ours else None


def _source(place: Expr, join: Expr | None, metadata: MetaData) -> Source:
    from sqlglot import expressions as exp

    given = {key for key, value in place.args.items() if value}
    columns = place.args["alias"].args.get("columns") if "alias" in given else None
    is_plain = isinstance(place, exp.Table) and given <= {"this", "db", "catalog", "alias"} and not columns
    table, alias = _table(place, metadata) if is_plain else None, place.alias_or_name.lower()
    if join is None:
        return Source(table, alias)
    is_odd = join.args.get("method") or join.text("kind") not in ("", "INNER", "CROSS", "OUTER")
    using = join.args.get("using")
    return Source(
        table,
        alias,
        "other" if is_odd else _SIDES.get(join.text("side"), "other"),
        frozenset(column.name.lower() for column in using) if using else None,
    )
