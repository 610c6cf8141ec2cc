"""What every materialisation reports: its ledger row, and the metadata that the Dagster UI shows and plots."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from tracebank import ledger
from tracebank.metering import Meter
from tracebank.resources import Stores
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.series import SeriesTable

Figure = str | int | float | dict[str, int] | dict[str, float] | list[str] | dg.MetadataValue
"""What may stand in an asset's metadata here; kept small, since Dagster stores it twice."""


@dataclass(frozen=True, slots=True)
class Made:
    """What one asset made in one run."""

    key: dg.AssetKey
    rows: int
    bytes: int
    code_version: str
    input_versions: Mapping[str, str]
    """Data version of each input, by its name."""
    device: str = "cpu"


def report(
    context: dg.AssetExecutionContext,
    stores: Stores,
    made: Made,
    meter: Meter,
    metadata: Mapping[str, Figure] | None = None,
    checks: list[dg.AssetCheckResult] | None = None,
) -> dg.MaterializeResult:
    """Write the ledger row and give Dagster the same figures."""
    version = ledger.data_version(made.code_version, made.input_versions)
    ledger.record(stores.relational, _entry(context, made, meter, version))
    figures: dict[str, Figure] = {
        "dagster/row_count": made.rows,
        "bytes": made.bytes,
        "seconds": round(meter.seconds, 4),
        "cpu_seconds": round(meter.cpu_seconds, 4),
        "rows_per_second": round(made.rows / meter.seconds, 1) if meter.seconds else 0.0,
        "peak_memory_mib": round(meter.peak_memory / 2**20, 1),
    }
    return dg.MaterializeResult(
        asset_key=made.key,
        metadata={**figures, **(metadata or {})},
        check_results=checks or [],
        data_version=dg.DataVersion(version),
    )


def _entry(context: dg.AssetExecutionContext, made: Made, meter: Meter, version: str) -> Materialization:
    return Materialization(
        run_id=context.run.run_id,
        asset_key="/".join(made.key.path),
        partition=str(context.partition_key) if context.has_partition_key else "",
        code_version=made.code_version,
        data_version=version,
        input_versions=dict(made.input_versions),
        rows=made.rows,
        bytes=made.bytes,
        seconds=meter.seconds,
        peak_memory=meter.peak_memory,
        device=made.device,
        started_at=meter.started_at,
        finished_at=meter.finished_at,
    )


def table_metadata(table: SeriesTable) -> dict[str, Figure]:
    """Definition-time metadata of an asset whose rows are a series table: its name, columns, types and units."""
    columns = [
        dg.TableColumn(
            column.name,
            str(column.type),
            f"{column.doc} [{column.unit}]" if column.unit else column.doc,
            dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in table.columns
    ]
    return {
        "dagster/relation_identifier": f"series.{table.name}",
        "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns)),
    }
