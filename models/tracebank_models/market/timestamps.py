"""Times of market files as nanoseconds since 1970 (UTC): telling their unit, and columns of them.

No file format and no time zone other than UTC belongs here.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

NO_TIME = np.iinfo(np.int64).min
"""Stands for "the source does not say" in arrays of nanoseconds; a null in columns."""

EARLIEST_NS = 946_684_800 * 10**9
LATEST_NS = 4_102_444_800 * 10**9
"""Times outside 2000-01-01 to 2100-01-01 are taken for damage."""

_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))


def to_nanoseconds(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Convert times in s, ms, µs or ns to ns, telling the unit of each by its size.

    Args:
        times: Since 1970, any shape; `NO_TIME` stays as it is.

    Returns:
        The times in ns, and which of them lie in the years 2000 to 2099 (`NO_TIME` does not).
    """
    factor = np.ones_like(times)
    for below, scale in reversed(_UNITS):
        factor[times < below] = scale
    known = times >= 0
    scaled = np.where(known, times, 0) * factor
    return np.where(known, scaled, times), known & (scaled >= EARLIEST_NS) & (scaled < LATEST_NS)


def time_column(name: str, nanoseconds: NDArray[np.int64]) -> pl.Series:
    """Return ns since 1970 as a `Datetime("ns", "UTC")` column in which `NO_TIME` is null."""
    column = pl.Series(name, nanoseconds)
    if (nanoseconds == NO_TIME).any():
        column = column.to_frame().select(pl.when(pl.col(name) != NO_TIME).then(pl.col(name))).to_series()
    return column.cast(pl.Datetime("ns", "UTC"))
