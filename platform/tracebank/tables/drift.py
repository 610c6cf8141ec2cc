"""A table's declaration as text, kept beside the rows by engines that cannot tell it from them."""

from __future__ import annotations

from typing import Any

from tracebank.stores.series_store import Difference
from tracebank_schemas.series import Column, Day, SeriesTable


def declaration(table: SeriesTable) -> dict[str, Any]:
    """What is kept of a table: its columns in words, sort key and partition key."""
    keys = [f"day({key.column})" if isinstance(key, Day) else key for key in table.partition_by]
    return {
        "columns": {column.name: _column_text(column) for column in table.columns},
        "sort key": ", ".join(table.sort_key),
        "partition key": ", ".join(keys),
    }


def _column_text(column: Column) -> str:
    return f"{column.type}{' or null' if column.nullable else ''}{', few values' if column.repeated else ''}"


def differences(table: SeriesTable, found: dict[str, Any]) -> list[Difference]:
    """How a table's declaration differs from one that was kept; columns that are no keys may be added."""
    declared = declaration(table)
    standing: dict[str, str] = dict(found["columns"])
    result = []
    for name, text in declared["columns"].items():
        has = standing.pop(name, None)
        if has != text:
            repairable = has is None and name not in table.sort_key
            result.append(Difference(table.name, f"column {name}", text, has or "absent", repairable))
    result += [Difference(table.name, f"column {name}", "absent", has, False) for name, has in standing.items()]
    result += [
        Difference(table.name, what, declared[what], found[what], False)
        for what in ("partition key", "sort key")
        if declared[what] != found[what]
    ]
    return result
