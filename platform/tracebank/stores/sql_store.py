"""What the stores of engines of SQL do alike: making and extending tables, and asking for rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

import pyarrow as pa

from tracebank.stores.series_store import SeriesStore
from tracebank.tables.drift import Difference, Standing, differences, to_add
from tracebank.tables.select import Dialect, asked
from tracebank_schemas.series import Partition, SeriesTable


class SqlStore(SeriesStore):
    """A store whose engine speaks SQL. `session` gives what statements run on; methods with `_` are the engine's."""

    dialect: ClassVar[Dialect]

    @abstractmethod
    def place(self, table: SeriesTable) -> str:
        """The table's full name, as SQL text."""

    @abstractmethod
    def _declared(self, table: SeriesTable) -> Standing:
        """The declaration in the engine's words."""

    @abstractmethod
    def _found(self, session: Any, table: SeriesTable) -> Standing | None:
        """The table that stands; None where there is none."""

    @abstractmethod
    def _making(self, table: SeriesTable) -> list[str]:
        """Statements that make a table which is not there."""

    @abstractmethod
    def _adding(self, table: SeriesTable, column: str) -> list[str]:
        """Statements that add a column which the declaration gained."""

    @abstractmethod
    def _execute(self, session: Any, statements: Sequence[str]) -> None:
        """Run statements, all or none where the engine can."""

    @abstractmethod
    def _batches(self, text: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Batches of a query of this store's own, in the types of `schema`."""

    def create(self, table: SeriesTable) -> None:
        """Make the table, or add the columns that its declaration gained.

        Raises:
            SchemaDrift: the table that stands differs in any other way.
        """
        with self.session() as session:
            self.prepare(session, table)

    def prepare(self, session: Any, table: SeriesTable) -> None:
        """`create`, in a session that is open."""
        found = self._found(session, table)
        if found is None:
            self._execute(session, self._making(table))
            return
        gained = to_add(differences(table, self._declared(table), found))
        self._execute(session, [text for name in gained for text in self._adding(table, name)])

    def differences(self, table: SeriesTable) -> list[Difference]:
        """How the table that stands differs from the declaration; empty when it does not."""
        with self.session() as session:
            return differences(table, self._declared(table), self._found(session, table))

    def drop(self, table: SeriesTable) -> None:
        """Remove the table and its rows, if it is there."""
        with self.session() as session:
            self._execute(session, [f"DROP TABLE IF EXISTS {self.place(table)}"])

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
        """As `SeriesStore.read_batches`."""
        text = self.dialect.select(
            table,
            self.place(table),
            partition=partition,
            columns=columns,
            start=start,
            end=end,
            ordered=ordered,
        )
        return self._batches(text, asked(table, columns))
