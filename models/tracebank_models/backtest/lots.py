"""What engines make: lots, each a quantity that was opened by one fill and closed by one fill.

Most positions are one lot. Where the book could not take all of a position at once, the rest is a lot of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np

DECIDED, SEGMENT_END = 0, 1
"""Why a lot was closed."""
LOT: Final = np.dtype(
    [
        ("position", np.int64),
        ("side", np.int8),
        ("open_is_maker", np.bool_),
        ("close_is_maker", np.bool_),
        ("reason", np.int8),
        ("signal", np.float64),
        ("qty", np.float64),
        ("opened_qty", np.float64),
        ("left", np.float64),
        ("decided", np.int64),
        ("opened", np.int64),
        ("close_decided", np.int64),
        ("closed", np.int64),
        ("open_price", np.float64),
        ("close_price", np.float64),
    ],
    align=True,
)
"""Positions are numbered from 0; side is 1 or -1; signal is the mean that decided; `opened_qty` is the whole position's
and `left` what remains of it after this lot; `decided` to `closed` are rows. A lot that the end of a segment closes is
decided on that row."""
