"""Rows to be written: without end, told apart by `seq`, and known again when they are read back, all or single ones."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from tracebank_benchmarks.tsdb.engine import Session
from tracebank_benchmarks.tsdb.workloads import BY_ID
from tracebank_schemas.series import TIMESTAMP
from tracebank_schemas.tsdb_benchmark import TRADES

STEP_NS: Final = 1_000
"""Between rows: the finest time that every engine keeps."""
VISIBLE_WITHIN: Final = 30.0
"""Seconds after the last acknowledgement after which a row that cannot be read counts as lost."""
_CHUNK_ROWS: Final = 500_000
_ALL_ROWS: Final = BY_ID["R24"]
_ONE_ROW: Final = BY_ID["R9"]
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


@dataclass(slots=True)
class ReadBack:
    """What was found of rows that were written."""

    rows: int = 0
    """Read back, duplicates included."""
    lost: int = 0
    """Acknowledged and not to be read."""
    duplicates: int = 0
    """Read more than once."""
    altered: int = 0
    """With another symbol, price or quantity than was sent."""
    foreign: int = 0
    """Never sent."""

    def faults(self) -> list[str]:
        """What is wrong, in words."""
        said = {
            "lost": "acknowledged rows cannot be read",
            "duplicates": "rows are there more than once",
            "altered": "rows have other values than were sent",
            "foreign": "rows were never sent",
        }
        return [f"{count} {words}" for name, words in said.items() if (count := getattr(self, name))]


def read_back(session: Session, source: TradeSource, batch: int, acknowledged: Iterable[int], sent: int) -> ReadBack:
    """Read all rows of an ingest and compare them with what was sent.

    Args:
        session: the engine.
        source: what the rows came from.
        batch: rows of each batch.
        acknowledged: numbers of the batches that were; others may be there or not.
        sent: batches that were begun, from number 0.

    Raises:
        UnsupportedError: the engine cannot be asked for all rows of a window.
    """
    sure = np.zeros(sent, bool)
    sure[np.fromiter(acknowledged, np.int64)] = True
    total, deadline = ReadBack(), time.monotonic() + VISIBLE_WITHIN
    step = max(1, _CHUNK_ROWS // batch)
    for first in range(0, sent, step):
        found = _window(session, source, batch, sure, first, min(first + step, sent))
        while found.lost and time.monotonic() < deadline:
            time.sleep(0.1)
            found = _window(session, source, batch, sure, first, min(first + step, sent))
        for name in ReadBack.__slots__:
            setattr(total, name, getattr(total, name) + getattr(found, name))
    return total


def _window(session: Session, source: TradeSource, batch: int, sure: NDArray[np.bool_], first: int, end: int,
            ) -> ReadBack:  # fmt: skip
    low, high = first * batch, end * batch
    prepared = session.prepare(_ALL_ROWS, {"start": source.time(low), "end": source.time(high), "qty": -1.0})
    return judged(session.execute(prepared), source, low, high, np.repeat(sure[first:end], batch))


def judged(answer: pa.Table, source: TradeSource, low: int, high: int, sure: NDArray[np.bool_]) -> ReadBack:
    """Compare rows that were read with those that were sent.

    Args:
        answer: columns seq, symbol, price, qty.
        source: what the rows came from.
        low: number of the first row sent.
        high: of the row behind the last.
        sure: of each row from `low` to `high`, whether it must be there.
    """
    rows = pl.DataFrame(answer)
    numbers = source.numbers(rows["seq"].to_numpy())
    inside = (numbers >= low) & (numbers < high)
    models = source.models(numbers)
    same = (rows["price"].to_numpy() == source.price[models]) & (rows["qty"].to_numpy() == source.qty[models])
    same &= rows["symbol"].cast(pl.String).to_numpy() == source.symbols[models]
    counts = np.bincount(numbers[inside] - low, minlength=high - low)
    return ReadBack(
        rows=rows.height,
        lost=int(np.count_nonzero(sure & (counts == 0))),
        duplicates=int(np.sum(np.maximum(counts - 1, 0))),
        altered=int(np.count_nonzero(inside & ~same)),
        foreign=int(np.count_nonzero(~inside)),
    )


def readable(session: Session, source: TradeSource, number: int) -> bool:
    """Whether a row can be read now.

    Raises:
        UnsupportedError: the engine cannot be asked for it.
    """
    symbol = str(source.symbols[int(source.models(np.asarray([number]))[0])])
    window = {"start": source.time(number), "end": source.time(number + 1)}
    prepared = session.prepare(_ONE_ROW, {"symbol": symbol, **window, "price": -1.0})
    return session.execute(prepared).num_rows > 0
