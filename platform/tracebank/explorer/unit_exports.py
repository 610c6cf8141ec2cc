"""Rows of units as Arrow, Parquet or CSV: a piece at a time, so that an export of any size holds little."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

Form = Literal["arrow", "parquet", "csv"]
KINDS: Final[dict[str, str]] = {
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
}
"""Media type of each form."""


def written(form: Form, batches: Iterator[Sequence[tuple[Any, ...]]]) -> Iterator[bytes]:
    """Rows as `unit_search.unit_rows` gives them, in a form; a piece a batch. In CSV lists are JSON."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    schema = pa.schema(
        {
            "dictionary": pa.string(),
            "feature": pa.int64(),
            "density": pa.float64(),
            "max_activation": pa.float64(),
            "top_tokens": pa.string() if form == "csv" else pa.list_(pa.string()),
            "graph": pa.string(),
            "f1": pa.float64(),
        }
    )
    lists = schema.get_field_index("top_tokens")
    writers: dict[str, Any] = {
        "arrow": pa.ipc.new_stream,
        "parquet": pyarrow.parquet.ParquetWriter,
        "csv": pyarrow.csv.CSVWriter,
    }
    sink = _Sink()
    with writers[form](sink, schema) as writer:
        for batch in batches:
            columns: list[Any] = list(map(list, zip(*batch, strict=True)))
            if form == "csv":
                columns[lists] = [json.dumps(one, ensure_ascii=False) for one in columns[lists]]
            writer.write_table(pa.table(columns, schema=schema))
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """A file that is read off while it is written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def taken(self) -> bytes:
        """What was written since."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
