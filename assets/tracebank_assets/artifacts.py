"""Declaring an asset whose rows are tables: key, group, columns, checks and code version come from one place.

`@artifact` goes on the function that makes the rows; inside it `materialised` (see there) writes and reports them.
"""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import dagster as dg

from tracebank_assets.code_version import code_version
from tracebank_schemas.relational import Base
from tracebank_schemas.series import SeriesTable

DeclaredTable = SeriesTable | type[Base]
"""A table of either store."""

SCHEMA: Final = "schema_as_declared"
UNIQUE: Final = "unique_key"
NOT_EMPTY: Final = "not_empty"


def relation(table: DeclaredTable) -> str:
    """Name of a table in SQL, e.g. `series.bars`."""
    return f"series.{table.name}" if isinstance(table, SeriesTable) else f"relational.{table.__tablename__}"


def table_columns(table: DeclaredTable) -> dg.TableSchema:
    """Columns of a table of either store, as the Dagster UI shows them."""
    if isinstance(table, SeriesTable):
        return dg.TableSchema(
            [
                _column(c.name, str(c.type), f"{c.doc} [{c.unit}]" if c.unit else c.doc, c.nullable, ())
                for c in table.columns
            ]
        )
    keys = {column.name for column in table.__table__.primary_key}
    return dg.TableSchema(
        [
            _column(c.name, str(c.type.compile()), c.doc or "", bool(c.nullable), ["primary key"] * (c.name in keys))
            for c in table.__table__.columns
        ]
    )


def _column(name: str, kind: str, doc: str, nullable: bool, more: Sequence[str]) -> dg.TableColumn:
    return dg.TableColumn(name, kind, doc, dg.TableColumnConstraints(nullable=nullable, other=list(more)))


def table_metadata(tables: Sequence[DeclaredTable]) -> dict[str, Any]:
    """Definition-time metadata: the first table with its columns, and the names of all where there are more."""
    if not tables:
        return {}
    more = {"tables": [relation(table) for table in tables]} if len(tables) > 1 else {}
    return {
        "dagster/relation_identifier": relation(tables[0]),
        "dagster/column_schema": dg.MetadataValue.table_schema(table_columns(tables[0])),
        **more,
    }


def check_specs(
    key: dg.AssetKey,
    tables: Sequence[DeclaredTable],
    checks: Mapping[str, str],
    *,
    not_empty: bool = False,
    blocking: Collection[str] = (),
    partitions: dg.PartitionsDefinition[Any] | None = None,
) -> list[dg.AssetCheckSpec]:
    """The standard checks of what an asset writes, and its own by name and meaning; each for every partition.

    Relational tables have none of the first two: the database holds columns and primary keys itself. Where the schema
    or what is in `blocking` fails, nothing is made of the rows in the same run.
    """
    series = [table for table in tables if isinstance(table, SeriesTable)]
    standard = {
        SCHEMA: "The table has the declared columns, types and keys." if series else "",
        UNIQUE: "No two rows have the same unique key." if any(table.unique_key for table in series) else "",
        NOT_EMPTY: "There is a row." if not_empty else "",
    }
    asked = {name: what for name, what in standard.items() if what} | dict(checks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # that checks have partitions is new in Dagster
        return [
            dg.AssetCheckSpec(
                name,
                asset=key,
                description=what,
                blocking=name in (SCHEMA, *blocking),
                partitions_def=partitions,
            )
            for name, what in asked.items()
        ]


def artifact(
    group: str,
    *tables: DeclaredTable,
    name: str | None = None,
    checks: Mapping[str, str] | None = None,
    not_empty: bool = False,
    blocking: Collection[str] = (),
    files: Sequence[Path] = (),
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a function the asset `[group, name]`, whose rows are those of tables.

    Args:
        group: subject, and first part of the key.
        tables: what it writes; the first is the one that its row count and its columns are of.
        name: second part of the key; the function's name where it is not given.
        checks: checks of its own, by name, with what each means.
        not_empty: whether it is a fault when there are no rows.
        blocking: names of checks without which the rest makes no sense.
        files: what its code reads beside Python, as texts of queries: part of the code version.
        metadata: more metadata.
        options: of `dg.asset`: deps, partitions_def, pool, op_tags, kinds, owners, tags, ...
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        key = dg.AssetKey([group, name or function.__name__])
        decorated: dg.AssetsDefinition = dg.asset(
            key=key,
            group_name=group,
            code_version=code_version(function, files),
            check_specs=check_specs(
                key,
                tables,
                checks or {},
                not_empty=not_empty,
                blocking=blocking,
                partitions=options.get("partitions_def"),
            ),
            metadata={**table_metadata(tables), **(metadata or {})},
            **options,
        )(function)
        return decorated

    return decorate


def artifact_by_table(
    group: str,
    *tables: SeriesTable,
    checks: Mapping[str, str] | None = None,
    checks_of: Mapping[str, Mapping[str, str]] | None = None,
    deps: Sequence[dg.AssetKey] = (),
    kinds: set[str] | None = None,
    freshness_policy: dg.FreshnessPolicy | None = None,
    files: Sequence[Path] = (),
    **options: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a function that writes several tables in one pass an asset for each table, `[group, table]`.

    Args:
        group: subject, and first part of the keys.
        tables: one for each asset; a run may ask for some of them.
        checks: checks that each has beside the standard ones, by name, with what they mean.
        checks_of: checks that only some of them have, by table.
        deps: what each is made of.
        kinds: of each.
        freshness_policy: of each.
        files: see `artifact`.
        options: of `dg.multi_asset`.
    """
    keys = {table.name: dg.AssetKey([group, table.name]) for table in tables}

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        version = code_version(function, files)
        specs = [
            dg.AssetSpec(
                keys[table.name], deps=deps, description=table.doc, group_name=group, code_version=version,
                kinds=kinds, metadata=table_metadata([table]), skippable=True, freshness_policy=freshness_policy,
            )
            for table in tables
        ]  # fmt: skip
        more = {table.name: {**(checks or {}), **(checks_of or {}).get(table.name, {})} for table in tables}
        partitions = options.get("partitions_def")
        own = [
            spec
            for table in tables
            for spec in check_specs(keys[table.name], [table], more[table.name], partitions=partitions)
        ]
        return dg.multi_asset(specs=specs, check_specs=own, can_subset=True, **options)(function)

    return decorate
