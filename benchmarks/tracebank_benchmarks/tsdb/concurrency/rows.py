"""Rows to be written: without end, told apart by `seq`, and known again when they are read back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracebank_schemas.series import TIMESTAMP
from tracebank_schemas.tsdb_benchmark import TRADES

STEP_NS: Final = 1_000
"""Between rows: the finest time that every engine keeps."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MODELS: Final = 100_000


class TradeSource:
    """Trades with the symbols, prices and quantities of given ones, over and over, at new times and with new numbers.

    Rows are numbered from 0; the time of number n is `start_ns` + 1 µs * n, its `seq` is `first_seq` + n.
    """

    def __init__(self, models: Iterable[pa.Table], start_ns: int, first_seq: int, most: int) -> None:
        """Take rows as models.

        Args:
            models: trades, of which the first hundred thousand serve.
            start_ns: nanoseconds since 1970, whole microseconds.
            first_seq: above all that are there.
            most: rows of the largest batch.
        """
        taken: list[pa.Table] = []
        for frame in models:
            taken.append(frame)
            if sum(len(one) for one in taken) >= _MOST_MODELS:
                break
        found = pa.concat_tables(taken).slice(0, _MOST_MODELS).combine_chunks()
        if not found.num_rows:
            raise ValueError("there are no trades that rows could be modelled on")
        self._period = -(-max(most, found.num_rows) // found.num_rows) * found.num_rows
        # Twice over, so that a batch is one slice wherever it begins.
        places = np.arange(2 * self._period, dtype=np.int64) % found.num_rows
        again = found.take(places).combine_chunks()
        self._columns = {name: again.column(name).chunk(0) for name in again.column_names if name not in ("ts", "seq")}
        self._start_ns, self._first_seq = start_ns, first_seq
        self.price = again.column("price").to_numpy()[: self._period]
        self.qty = again.column("qty").to_numpy()[: self._period]
        self.symbols = np.asarray(again.column("symbol").to_pylist()[: self._period], dtype=object)

    def batch(self, first: int, rows: int) -> pa.Table:
        """Rows from number `first` on."""
        numbers = np.arange(first, first + rows, dtype=np.int64)
        at = first % self._period
        made: dict[str, pa.Array[Any]] = {
            "ts": pa.array(self._start_ns + STEP_NS * numbers).cast(TIMESTAMP),
            "seq": pa.array(self._first_seq + numbers),
        }
        columns = [
            made[name] if name in made else self._columns[name].slice(at, rows) for name in TRADES.arrow_schema.names
        ]
        return pa.Table.from_arrays(columns, schema=TRADES.arrow_schema)

    def numbers(self, seq: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of rows by `seq`."""
        return seq - self._first_seq

    def models(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in `price`, `qty` and `symbols` the values of rows stand."""
        return numbers % self._period

    def time(self, number: int) -> datetime:
        """Time of a row."""
        return _EPOCH + timedelta(microseconds=(self._start_ns + STEP_NS * number) // 1_000)
