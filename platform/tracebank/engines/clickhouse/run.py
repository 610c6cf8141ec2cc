"""One admitted statement as it runs: its parameters, its types, its batches."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tracebank.engines.clickhouse.functions import CATALOGUE_QUERY, FunctionCatalogue
from tracebank.engines.clickhouse.guard import HIDDEN, Statement
from tracebank.engines.clickhouse.reader import Reader
from tracebank.engines.clickhouse.result_types import Conversion, in_doubt, retyped
from tracebank.query.errors import SqlError


@dataclass(slots=True)
class Run:
    """One statement as it runs: the first batch tells the types, the rest follows."""

    reader: Reader
    statement: Statement
    parameters: Mapping[str, str]
    schema: pa.Schema = field(init=False)
    _conversion: Conversion = field(init=False)
    _source: Iterator[pa.RecordBatch] = field(init=False, default_factory=lambda: iter(()))
    _first: pa.RecordBatch | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        arrow = self._start(self.statement.text)
        types: dict[str, str] = {}
        if self.statement.selects and in_doubt(arrow):
            types = self._types()
            if others := retyped(types):
                self.close()
                casts = ", ".join(
                    f"CAST({_name(name)} AS {wanted}) AS {_name(name)}" for name, wanted in others.items()
                )
                arrow = self._start(f"SELECT * REPLACE({casts}) FROM ({self.statement.text})")
                types |= others
        self._conversion = Conversion.of(arrow, types)
        self.schema = self._conversion.schema

    def _start(self, text: str) -> pa.Schema:
        if not self.statement.selects:
            table = self.reader.whole(text, self.parameters)
            self._source = iter(table.to_batches())
            return table.schema
        self._source = self.reader.batches(text, self.parameters)
        self._first = next(self._source, None)
        if self._first is not None:
            return self._first.schema
        return self.reader.whole(f"SELECT * FROM ({text}) LIMIT 0", self.parameters).schema

    def _types(self) -> dict[str, str]:
        """The engine's names of the columns' types."""
        described = self.reader.whole(f"DESCRIBE ({self.statement.text})", self.parameters).to_pydict()
        return dict(zip(described["name"], described["type"], strict=True))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every batch, converted."""
        tells = not self.statement.selects or _OF_TABLES.search(self.statement.text)
        try:
            for batch in itertools.chain([self._first] if self._first is not None else [], self._source):
                made = self._conversion.batch(batch)
                yield _veiled(made) if tells else made
        finally:
            self.close()

    def close(self) -> None:
        """Stop the query."""
        close = getattr(self._source, "close", None)
        if close:
            close()


_OF_TABLES: Final = re.compile(r"\b(?:system|information_schema)\b", re.IGNORECASE)
_RAW: Final = rf"(?s)\bSELECT\b.*\b(?:{'|'.join(sorted(HIDDEN - {'default'}))})\..*"


def _veiled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without the bodies of views over raw tables, which nobody may query."""
    arrays = [
        pc.replace_substring_regex(column, _RAW, "(rows that lie outside of this engine)")
        if pa.types.is_string(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


_catalogues: dict[str, FunctionCatalogue] = {}
"""Functions by engine version; asked once per process."""


def functions(reader: Reader) -> FunctionCatalogue:
    """What the engine's queries may call."""
    version = str(reader.ask("SELECT version()")[0][0])
    if version not in _catalogues:
        rows = reader.ask(CATALOGUE_QUERY)
        _catalogues[version] = FunctionCatalogue.of([(str(a), str(b), str(c), str(d)) for a, b, c, d in rows])
    return _catalogues[version]


def bound(name: str, value: object) -> str:
    """A parameter's value as the engine reads it.

    Raises:
        SqlError: a time without zone, or a value of a type that has no form in SQL.
    """
    from clickhouse_connect.driver.binding import format_bind_value

    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise SqlError(f"parameter {name}: {value!r} has no time zone; give one in UTC")
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return str(format_bind_value(value))
    except Exception as error:
        raise SqlError(f"parameter {name}: {value!r} cannot be passed: {error}") from None


def _name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
