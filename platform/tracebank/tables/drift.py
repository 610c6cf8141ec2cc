"""How a table that stands differs from its declaration, for every engine alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracebank.stores.faults import SchemaDrift
from tracebank_schemas.series import Day, SeriesTable


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a standing table differs from its declaration."""

    table: str
    what: str
    """E.g. "column price"."""
    declared: str
    found: str
    repairable: bool
    """True for a column (or a whole table) that `create` adds by itself, and for one that may be null now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A table as an engine has it, in the engine's own words."""

    columns: Mapping[str, str]
    """Type of each column, by name, in their order."""
    partition_key: str
    sort_key: str


def keys(table: SeriesTable) -> tuple[str, str]:
    """Partition key and sort key in words, as engines that do not know them keep them in a table's note."""
    partition = ", ".join(f"day({k.column})" if isinstance(k, Day) else k.column for k in table.partition_keys)
    return partition, ", ".join(table.sort_key)


def note(table: SeriesTable) -> str:
    """Text to keep with a table: what it is, and its keys."""
    partition, sort = keys(table)
    return json.dumps({"doc": table.doc, "sort_key": sort, "partition_by": partition})


def noted(comment: str | None) -> tuple[str, str]:
    """Partition key and sort key out of a note; also out of those that earlier versions wrote."""
    try:
        found = json.loads(comment or "")
    except ValueError:
        found = {}
    found = found if isinstance(found, dict) else {}
    return _listed(found, "partition_by", "partition key"), _listed(found, "sort_key", "sort key")


def _listed(found: Mapping[str, Any], *names: str) -> str:
    value = next((found[name] for name in names if name in found), "not noted")
    return value if isinstance(value, str) else ", ".join(map(str, value))


def differences(table: SeriesTable, declared: Standing, found: Standing | None) -> list[Difference]:
    """Every difference; empty where there is none.

    Args:
        table: the declaration.
        declared: it in the engine's words. Columns that are not declared themselves (an engine's companion of a
            declared column) are gained and lost with those that are.
        found: the table that stands; None where there is none.
    """
    if found is None:
        return [Difference(table.name, "table", "present", "absent", True)]
    names = table.arrow_schema.names
    absent = {name for name in names if name not in found.columns}
    result = []
    for name, kind in declared.columns.items():
        has = found.columns.get(name)
        if has == kind or (has is None and name not in names and absent):
            continue
        mended = has is None or _may_be_null_now(has, kind)
        repairable = mended and name in names and name not in table.sort_key
        result.append(Difference(table.name, f"column {name}", kind, has or "absent", repairable))
    extra = {name: kind for name, kind in found.columns.items() if name not in declared.columns}
    result += [Difference(table.name, f"column {name}", "absent", kind, False) for name, kind in extra.items()]
    for what, wanted, has in (
        ("partition key", declared.partition_key, found.partition_key),
        ("sort key", declared.sort_key, found.sort_key),
    ):
        if wanted != has:
            result.append(Difference(table.name, what, wanted, has, False))
    return result


def _may_be_null_now(found: str, declared: str) -> bool:
    return (
        declared in (f"Nullable({found})", found.removesuffix(" NOT NULL")) or declared.replace(" or null", "") == found
    )


def to_add(found: list[Difference]) -> list[str]:
    """Columns that the declaration gained, or in which it allows nulls now.

    Args:
        found: how the standing table differs.

    Raises:
        SchemaDrift: it differs in any other way.
    """
    if fatal := [difference for difference in found if not difference.repairable]:
        first = fatal[0]
        raise SchemaDrift(
            f"table {first.table}: {first.what} is {first.found}, declared {first.declared} ({len(fatal)} such);"
            " copy its rows to a new table, or drop it and materialise again"
        )
    return [difference.what.removeprefix("column ") for difference in found]


def in_words(table: SeriesTable) -> Standing:
    """The declaration in words, for engines that have none of their own for it and keep these beside the rows."""
    columns = {
        c.name: f"{c.type}{' or null' if c.nullable else ''}{', few values' if c.repeated else ''}"
        for c in table.columns
    }
    return Standing(columns, *keys(table))
