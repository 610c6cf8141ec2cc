"""Running an admitted statement read-only as a stream of Arrow batches: what reading is, and how a server does it. The
engine of an embedded store reads in the process of its owner (`local`)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from tracebank.engines.clickhouse.guard import HIDDEN, quoted
from tracebank.query.contract import Limits

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_ACCOUNTS: Final = (
    "columns constraints data_skipping_indices detached_parts detached_tables dictionaries dropped_tables grants merges"
    " moves mutations parts parts_columns projection_parts projection_parts_columns projections tables view_refreshes"
)
"""Tables of `system` that tell of tables by their database."""


def _filters() -> str:
    """What the engine's own account leaves out: databases that nobody may query."""
    hidden = ", ".join(quoted(name) for name in sorted(HIDDEN))
    columns = {"databases": "name", "completions": "word"} | dict.fromkeys(_ACCOUNTS.split(), "database")
    told = (f"{quoted(f'system.{table}')}: {quoted(f'{name} NOT IN ({hidden})')}" for table, name in columns.items())
    return f"{{{', '.join(told)}}}"


SETTINGS: Final[dict[str, str]] = {
    "session_timezone": "UTC",
    "output_format_arrow_string_as_string": "1",
    "output_format_arrow_low_cardinality_as_dictionary": "0",
    "output_format_arrow_fixed_string_as_fixed_byte_array": "0",
    "output_format_arrow_compression_method": "none",
    "allow_introspection_functions": "0",
    "allow_ddl": "0",
    "additional_table_filters": _filters(),
}
"""Settings under which every query runs; `readonly = 1` closes the list."""


def limiting(limits: Limits) -> dict[str, str]:
    """Settings that hold a query to its limits."""
    return {
        "max_execution_time": f"{limits.seconds:.3f}",
        "timeout_overflow_mode": "throw",
        "max_memory_usage": str(limits.memory),
        "max_temporary_data_on_disk_size_for_query": str(4 * limits.memory),
    }


class Reader(Protocol):
    """Reads the engine with settings that the query cannot change."""

    def ask(self, query: str) -> list[list[Any]]:
        """Rows of a small query of our own."""

    def syntax_tree(self, text: str) -> list[str]:
        """Lines of `EXPLAIN AST` of a statement."""

    def batches(self, text: str, parameters: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The answer of a SELECT, batch by batch; none where it has no rows."""

    def whole(self, text: str, parameters: Mapping[str, str]) -> pa.Table:
        """A small answer at once, of any statement that reads."""


class ServerReader:
    """A server's HTTP interface, with `readonly = 1` sent beside every query."""

    def __init__(self, client: Client, canceller: Client, database: str, limits: Limits, rows: int | None) -> None:
        self._client = client
        self._canceller = canceller
        self._name = f"tracebank-{uuid.uuid4().hex}"
        self._asking = {"readonly": "1", "database": database}
        self._settings = {**SETTINGS, **limiting(limits), "log_comment": self._name, **self._asking}
        # The engine's 0 means no limit, so 0 asks for one row (which the caller drops).
        self._limit = {} if rows is None else {"limit": str(max(rows, 1))}

    def ask(self, query: str) -> list[list[Any]]:
        """Rows of a small query of our own."""
        return [list(row) for row in self._client.query(query, settings=self._asking).result_rows]

    def syntax_tree(self, text: str) -> list[str]:
        """Lines of `EXPLAIN AST` of a statement. Sent bare: a FORMAT added to it would count as the statement's."""
        return self._client.raw_query(f"EXPLAIN AST {text}", settings=self._asking).decode().splitlines()

    def batches(self, text: str, parameters: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """The answer, batch by batch; stopped on the server when the one who reads leaves before its end."""
        finished = False
        try:
            with self._client.query_arrow_stream(text, settings=self._with(parameters) | self._limit) as stream:
                for block in stream:
                    yield from [block] if isinstance(block, pa.RecordBatch) else block.to_batches()
            finished = True
        finally:
            if not finished:
                self._canceller.command(f"KILL QUERY WHERE Settings['log_comment'] = '{self._name}' ASYNC")

    def whole(self, text: str, parameters: Mapping[str, str]) -> pa.Table:
        """A small answer at once, of any statement that reads."""
        return self._client.query_arrow(text, settings=self._with(parameters))

    def _with(self, parameters: Mapping[str, str]) -> dict[str, str]:
        return {**self._settings, **{f"param_{name}": value for name, value in parameters.items()}}
