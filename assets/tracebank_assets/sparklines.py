"""A row of numbers as a row of blocks, for the metadata of assets."""

import math
from collections.abc import Sequence
from typing import Final

_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """Blocks from the smallest to the largest value, at most so many, evenly taken; a gap where there is no value."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    step = max(1, math.ceil(len(values) / width))
    found = ""
    for value in values[::step]:
        if value is None or not math.isfinite(value):
            found += " "
        else:
            found += _BLOCKS[int((value - low) / span * 7.999) if span else 0]
    return f"{found} {known[0]:.3g} to {known[-1]:.3g}"
