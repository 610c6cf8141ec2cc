"""Which rows train, validate and test: stretches of time with a purge gap between them, kept as ranges of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Split(NamedTuple):
    """Rows of each part, in the order of time."""

    train: range
    validation: range
    test: range


def split_by_time(n: int, shares: tuple[float, float, float], purge: int) -> Split:
    """Split rows by time.

    Args:
        n: Rows.
        shares: Shares of the rows that train, validate and test; a part may be 0 but the first.
        purge: Rows between two parts that are in neither. At least `look_back + horizon`, no window or target of one
            part, nor what features look back on (30 ticks at most), is a row of the next.

    Raises:
        ValueError: The shares are no shares, or a part has no rows.
    """
    if len(shares) != 3 or min(shares) < 0 or shares[0] == 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(
            f"shares: {shares!r} is not allowed; allowed: three from 0 to 1 that add up to 1, the first above 0"
        )
    if purge < 0:
        raise ValueError(f"purge: {purge} is not allowed; allowed: 0 or more rows")
    wanted = [share > 0 for share in shares]
    left = n - purge * (sum(wanted) - 1)
    parts, at, cumulated = [], 0, 0.0
    for share in shares:
        stop = at + round(left * (cumulated + share)) - round(left * cumulated) if share else at
        if share and stop <= at:
            raise ValueError(f"shares: {n:,} rows are too few for {shares!r} with {purge:,} rows between two parts")
        parts.append(range(at, stop))
        cumulated += share
        at = stop + purge if share else at
    return Split(*parts)


def window_ends(segment: NDArray[np.int32], look_back: int, horizon: int, rows: range) -> NDArray[np.int64]:
    """Last rows of the windows that lie whole in a range and in one unbroken stretch, with the rows they foretell.

    Args:
        segment: `[n]`, as in `Ticks`.
        look_back: Rows of a window.
        horizon: Rows from the last of a window to the furthest that is foretold.
        rows: Where windows and foretold rows must lie.

    Returns:
        `[k]`, rising.

    Raises:
        ValueError: There is none.
    """
    inside = segment[rows.start : rows.stop]
    span = look_back + horizon
    first = np.flatnonzero(inside[: max(0, len(inside) - span + 1)] == inside[span - 1 :])
    if not len(first):
        longest = int(np.bincount(inside - inside[0]).max()) if len(inside) else 0
        raise ValueError(
            f"look_back: {look_back} ticks and {horizon} more are not in rows {rows.start:,} to {rows.stop:,}, whose "
            f"longest unbroken stretch has {longest:,}"
        )
    return first + (rows.start + look_back - 1)
