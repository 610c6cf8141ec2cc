"""What the SQL page offers to begin with: tables and columns as they are declared, and questions of every group."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Final

from markupsafe import Markup

from tracebank.explorer import views

_TABLE: Final = Markup(
    '<details class="offered" data-name="{name}"><summary><code>{short}</code></summary>'
    '<p class="small">{doc} <a href="/sql?q=SELECT+*+FROM+{name}+LIMIT+100">First rows</a></p>'
    "<ul>{columns}</ul></details>"
)
_COLUMN: Final = Markup('<li><code>{name}</code> <span class="quiet small">{type}{unit}{doc}</span></li>')


@cache
def tables() -> dict[str, Markup]:
    """Tables with their columns, by database. No store is opened for it."""
    from tracebank.query.catalogue import ColumnInfo, declared

    def column(one: ColumnInfo) -> Markup:
        unit, doc = f", {one.unit}" if one.unit else "", f": {one.doc}" if one.doc else ""
        return _COLUMN.format(name=one.name, type=one.type, unit=unit, doc=doc)

    shown: dict[str, list[Markup]] = {}
    for table in declared():
        name = f"{table.database}.{table.name}"
        columns = Markup("").join(map(column, table.columns))
        made = _TABLE.format(name=name, short=table.name, doc=table.doc, columns=columns)
        shown.setdefault(table.database, []).append(made)
    return {database: Markup("").join(found) for database, found in shown.items()}


@cache
def examples(engine: str) -> dict[str, list[tuple[str, str]]]:
    """Titles with their SQL, by group: what the demo asks, and what pages of results show.

    Args:
        engine: of the series store.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for point in entry_points(group=views.ENTRY_POINTS, name="questions"):
        for group, questions in point.load()(engine).items():
            found.setdefault(group, []).extend(questions.items())
    for view in views.found_views():
        if not view.parameters:
            found.setdefault(view.group, []).append((view.title, view.sql))
    return dict(sorted(found.items()))
