"""Writing an artifact: its rows, its ledger row, its checks and what the Dagster UI shows of it, in one `with` block.

    with materialised(context, stores, BARS, {"day": day, "symbol": symbol}) as made:
        made.write(frame)
    return made.result()

Rows become visible, with their ledger entry, when the block ends well; else what stood stands. The data version is a
hash of code, config, input versions and the content of the rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, overload

import dagster as dg
from dagster._core.definitions.data_version import CODE_VERSION_TAG, DATA_VERSION_TAG
from sqlalchemy import ColumnElement

from tracebank import ledger
from tracebank.metering import Meter, metered
from tracebank.resources import Stores
from tracebank.stores.series_store import TableSize
from tracebank.writing import ModelRows, SeriesRows, Writing, content_of
from tracebank_assets.artifacts import NOT_EMPTY, SCHEMA, UNIQUE
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.relational import Base
from tracebank_schemas.series import Partition, SeriesTable

CONFIG: Final = "config"
"""Metadata: what it was made with, every field."""
PAGE: Final = "page"
"""Metadata: where the explorer shows what was made, and of what."""
Figure = str | int | float | dict[str, int] | dict[str, float] | list[str] | dg.MetadataValue
"""What may stand in an asset's metadata here; kept small, since Dagster stores it twice."""


class Materialised:
    """What one asset makes in one run."""

    def __init__(
        self, context: dg.AssetExecutionContext, stores: Stores, key: dg.AssetKey, writing: Writing, meter: Meter
    ) -> None:
        self.key = key
        self.device = "cpu"
        """Where it was computed."""
        self.inputs: dict[str, str] = {}
        """Version of each input, by its name, beside those of the asset's deps of the same partition."""
        self.write: Callable[[Any], None] = self._nowhere
        """Take rows of the table that `materialised` was given."""
        self._context = context
        self._stores = stores
        self._writing = writing
        self._meter = meter
        self._elsewhere: tuple[int, int, str] | None = None
        self._entry: Materialization | None = None

    @overload
    def into(self, table: SeriesTable, partition: Partition) -> SeriesRows: ...
    @overload
    def into(self, table: type[Base], partition: Mapping[str, Any] | ColumnElement[bool] | None) -> ModelRows: ...
    def into(self, table: Any, partition: Any) -> SeriesRows | ModelRows:
        """Begin to write another partition, see `tracebank.writing.Writing.into`."""
        return self._writing.into(table, partition)  # type: ignore[no-any-return]

    def wrote(self, rows: int, size: int = 0, content: str = "") -> None:
        """Tell of what was written otherwise, as files are: rows, bytes, and a hash of what they say."""
        self._elsewhere = rows, size, content

    def used(self, key: dg.AssetKey, partition: str = "", name: str | None = None) -> None:
        """Tell of an input: the newest materialisation of an asset's partition."""
        asset = "/".join(key.path)
        self.inputs[name or asset] = self._stores.ledger.latest_version(asset, partition) or "unknown"

    @property
    def stored(self) -> TableSize:
        """What the series store holds of the first partition, after the `with` block."""
        return self._writing.series_rows[0].stored

    def commit(self) -> None:
        """Make the rows visible and enter them in the ledger; the end of the `with` block does it."""
        self._entry = self._told()
        self._writing.commit(self._stores.ledger, self._entry, self._meter)

    def stands_for(self, partitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell, after the `with` block, that other partitions stand for the same rows: those told otherwise are behind.

        Args:
            partitions: metadata of each, as its own materialisation would have it.
        """
        entry = self._entry
        assert entry is not None, "stands_for() comes after the with block"
        tags = {DATA_VERSION_TAG: entry.data_version, CODE_VERSION_TAG: entry.code_version}
        for name, metadata in partitions.items():
            if self._stores.ledger.latest_version(entry.asset_key, name) != entry.data_version:
                told = {**metadata, **self._configured(), PAGE: self._page()}
                self._context.log_event(dg.AssetMaterialization(self.key, "", told, name, tags))
                self._stores.ledger.enter(Materialization(**{**entry.row(), "partition": name}))

    def result(
        self, figures: Mapping[str, Figure] | None = None, checks: Iterable[dg.AssetCheckResult] = ()
    ) -> dg.MaterializeResult:
        """What Dagster is told, after the `with` block.

        Args:
            figures: more metadata; numbers plot over materialisations.
            checks: results of the asset's own checks; the standard ones are added.
        """
        entry, meter = self._entry, self._meter
        assert entry is not None, "result() comes after the with block"
        cost: dict[str, Figure] = {
            "dagster/row_count": entry.rows,
            "bytes": entry.bytes,
            "seconds": round(meter.seconds, 4),
            "cpu_seconds": round(meter.cpu_seconds, 4),
            "rows_per_second": round(entry.rows / meter.seconds, 1) if meter.seconds else 0.0,
            "peak_memory_mib": round(meter.peak_memory / 2**20, 1),
        }
        return dg.MaterializeResult(
            asset_key=self.key,
            metadata={**cost, **(figures or {}), **self._configured(), PAGE: self._page()},
            check_results=[check._replace(asset_key=self.key) for check in (*self._standard_checks(), *checks)],
            data_version=dg.DataVersion(entry.data_version),
        )

    def _configured(self) -> dict[str, dg.MetadataValue]:
        config = self._context.op_execution_context.op_config
        return {CONFIG: dg.MetadataValue.json(dict(config))} if config else {}

    def _page(self) -> dg.MetadataValue:
        url = self._stores.settings.explorer_url.rstrip("/")
        return dg.MetadataValue.url("/".join([url, "ledger", *self.key.path]))

    def _told(self) -> Materialization:
        spec = self._context.assets_def.specs_by_key[self.key]
        partition = str(self._context.partition_key) if self._context.has_partition_key else ""
        told = bool(self.inputs)
        for dep in spec.deps:
            version = self._stores.ledger.latest_version("/".join(dep.asset_key.path), partition)
            if version or not told:
                self.inputs.setdefault("/".join(dep.asset_key.path), version or "unknown")
        rows, size, content = self._elsewhere or (self._rows_of(spec), 0, "")
        content = content_of(self._writing.parts, content)
        code = spec.code_version or ""
        config = self._context.op_execution_context.op_config or {}
        return Materialization(
            run_id=self._context.run.run_id,
            asset_key="/".join(self.key.path),
            partition=partition,
            code_version=code,
            data_version=ledger.data_version(code, config, self.inputs, content),
            input_versions=self.inputs,
            rows=rows,
            bytes=size,
            device=self.device,
            started_at=self._meter.started_at,
            content=content,
        )

    def _rows_of(self, spec: dg.AssetSpec) -> int:
        """Rows of the asset's first table; of all where it names none."""
        first = spec.metadata.get("dagster/relation_identifier")
        return sum(part.rows for part in self._writing.parts if first in (None, part.table))

    def _standard_checks(self) -> Iterator[dg.AssetCheckResult]:
        asked = {spec.name for spec in self._context.assets_def.check_specs if spec.asset_key == self.key}
        series = self._writing.series_rows
        if SCHEMA in asked:
            drift = [d for table in {one.table.name: one.table for one in series}.values()
                     for d in self._stores.series.differences(table)]  # fmt: skip
            told = [f"{d.table}, {d.what}: {d.found}, declared {d.declared}" for d in drift]
            yield dg.AssetCheckResult(check_name=SCHEMA, passed=not told, metadata={"differences": told})
        if UNIQUE in asked:
            again = {one.table.name: one.content.repeated_keys() for one in series if one.table.unique_key}
            yield dg.AssetCheckResult(check_name=UNIQUE, passed=not any(again.values()), metadata={"repeated": again})
        if NOT_EMPTY in asked:
            assert self._entry is not None
            yield dg.AssetCheckResult(check_name=NOT_EMPTY, passed=self._entry.rows > 0)

    def _nowhere(self, _rows: object) -> None:
        raise TypeError("materialised() was given no table; write with into(table, partition).write(rows)")


@contextmanager
def materialised(
    context: dg.AssetExecutionContext,
    stores: Stores,
    table: SeriesTable | type[Base] | None = None,
    partition: Mapping[str, Any] | ColumnElement[bool] | None = None,
    *,
    key: dg.AssetKey | None = None,
) -> Iterator[Materialised]:
    """Materialise an asset: meter the block, and make its rows visible with their ledger entry when it ends well.

    Args:
        context: of the asset.
        stores: where rows go.
        table: the table that `write` fills; more are begun with `into`.
        partition: that the rows take the place of, see `tracebank.writing.Writing.into`.
        key: of the asset, where a function makes several.

    Raises:
        StoreError: a store failed; the old rows stand.
        FrameRefused: rows do not fit their table; the old rows stand.
    """
    with metered() as meter, Writing(stores.relational, stores.series) as writing:
        made = Materialised(context, stores, key or context.asset_key, writing, meter)
        if table is not None:
            made.write = made.into(table, partition).write  # type: ignore[arg-type]
        yield made
        made.commit()
