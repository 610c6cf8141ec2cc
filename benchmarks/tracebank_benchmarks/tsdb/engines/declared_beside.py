"""Stores of engines that know no declarations and put no rows in order: each table's declaration is kept as text beside
its rows, and the client sorts what it reads. InfluxDB's and kdb+'s derive from it.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import polars as pl
import pyarrow as pa

from tracebank.stores.faults import StoreError
from tracebank.stores.series_store import SeriesStore, TableSize
from tracebank.tables.drift import Difference, Standing, differences, in_words, noted, to_add
from tracebank.tables.select import asked
from tracebank_schemas.series import Partition, SeriesTable

_BATCH_ROWS: Final = 131_072


def declaration(table: SeriesTable) -> str:
    """The text that is kept of a table."""
    words = in_words(table)
    kept = {"columns": dict(words.columns), "sort key": words.sort_key, "partition key": words.partition_key}
    return json.dumps(kept)


class DeclaredBeside(SeriesStore):
    """A store that keeps declarations as text; the methods with `_` are the engine's."""

    place: str
    """Where the tables are, for messages: a database or a folder."""

    @abstractmethod
    def _check(self, table: SeriesTable) -> None:
        """Refuse a declaration that the engine cannot keep.

        Raises:
            FrameRefused: names what it cannot.
        """

    @abstractmethod
    def _kept(self, table: SeriesTable) -> str:
        """The text that was kept of the table; empty where it is not there."""

    @abstractmethod
    def _make(self, table: SeriesTable, text: str) -> None:
        """Make the table, or give it the columns that it gained, and keep its text."""

    @abstractmethod
    def _frames(
        self,
        table: SeriesTable,
        partition: Partition | None,
        names: Sequence[str],
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[pl.DataFrame]:
        """Rows of a table that is there, in the declared types, in no order."""

    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
            FrameRefused: it has what the engine cannot keep.
        """
        self._check(table)
        found = self._standing(table)
        if found is None or to_add(differences(table, in_words(table), found)):
            self._make(table, declaration(table))

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""
        return differences(table, in_words(table), self._standing(table))

    def _standing(self, table: SeriesTable) -> Standing | None:
        text = self._kept(table)
        return Standing(json.loads(text)["columns"], *noted(text)) if text else None

    def _must_stand(self, table: SeriesTable) -> None:
        if not self._kept(table):
            raise StoreError(f"table {table.name} is not in {self.place}: run 'tracebank db upgrade'")

    def read_batches(
        self,
        table: SeriesTable,
        *,
        partition: Partition | None = None,
        columns: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ordered: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        """As `SeriesStore.read_batches`: streamed where no order is asked for, else held and sorted by the client."""
        schema = asked(table, columns)
        extra = [name for name in table.sort_key if ordered and name not in schema.names]
        names = [*schema.names, *extra]
        self._must_stand(table)
        frames = self._frames(table, partition, names, start, end)
        if ordered and table.sort_key:
            empty = pl.DataFrame(schema={name: table.polars_schema[name] for name in names})
            frames = iter([pl.concat([empty, *frames]).sort(table.sort_key, maintain_order=True)])
        for frame in frames:
            for piece in frame.select(schema.names).iter_slices(_BATCH_ROWS):
                if piece.height:
                    yield from piece.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema).to_batches()


def share(whole: TableSize, rows: int) -> TableSize:
    """Size of some of a table's rows, by their number: the engine tells no more."""
    part = rows / whole.rows if whole.rows else 0.0
    return TableSize(rows, round(whole.bytes * part), round(whole.raw_bytes * part))
