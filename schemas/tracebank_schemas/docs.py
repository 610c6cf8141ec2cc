"""The docs page of the tables: a section for each table of both stores, written from its declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Table

from tracebank_schemas import catalogue
from tracebank_schemas.series import Day, SeriesTable

_HEAD: Final = """# The tables

Every table of both stores, as `tracebank_schemas` declares it. `tracebank db docs > docs/tables.md` writes this page;
a test holds it up to date. In SQL a table is `series.<name>` or `relational.<name>`, and `tracebank tables` says how
much is in each. Times are UTC.
"""


def tables_page() -> str:
    """The page as Markdown."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## Time series\n"
    for name in sorted(catalogue.TABLES):
        yield from _series(catalogue.TABLES[name])
    yield "## Relational\n"
    docs = {model.__tablename__: model.__doc__ or "" for model in catalogue.MODELS}
    for name in sorted(docs):
        yield from _relational(catalogue.METADATA.tables[name], docs[name])


def _series(table: SeriesTable) -> Iterator[str]:
    keys = [f"day of `{key.column}`" if isinstance(key, Day) else f"`{key}`" for key in table.partition_by]
    yield f"### `series.{table.name}`\n"
    unique = f" Unique: {_names(table.unique_key)}." if table.unique_key else ""
    yield f"{table.doc} Partition: {', '.join(keys) or 'none'}. Sort key: {_names(table.sort_key)}.{unique}\n"
    yield "| column | type | unit | null | codec | what it is |\n|---|---|---|---|---|---|"
    for c in table.columns:
        yield f"| `{c.name}` | {c.type} | {c.unit} | {'yes' if c.nullable else ''} | {c.codec} | {_cell(c.doc)} |"
    yield ""


def _relational(table: Table, doc: str) -> Iterator[str]:
    yield f"### `relational.{table.name}`\n"
    indexes = sorted(_names(column.name for column in index.columns) for index in table.indexes)
    more = f" Indexes: {'; '.join(indexes)}." if indexes else ""
    yield f"{doc.partition(chr(10))[0]} Primary key: {_names(c.name for c in table.primary_key)}.{more}\n"
    yield "| column | type | null | refers to | what it is |\n|---|---|---|---|---|"
    for c in table.columns:
        refers = ", ".join(f"`{key.target_fullname}`" for key in c.foreign_keys)
        null = "yes" if c.nullable else ""
        yield f"| `{c.name}` | {c.type.compile()} | {null} | {refers} | {_cell(c.doc or '')} |"
    yield ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
