"""Whether rows that were acknowledged can be read: all of them at the end, single ones as soon as they are sent."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from tracebank_benchmarks.tsdb.concurrency.rows import TradeSource
from tracebank_benchmarks.tsdb.engine import Session
from tracebank_benchmarks.tsdb.workloads import BY_ID

VISIBLE_WITHIN: Final = 30.0
"""Seconds after the last acknowledgement after which a row that cannot be read counts as lost."""
_CHUNK_ROWS: Final = 500_000
_ALL_ROWS: Final = BY_ID["R24"]
_ONE_ROW: Final = BY_ID["R9"]


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
