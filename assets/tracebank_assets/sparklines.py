"""Small pictures of numbers over time, in an asset's metadata: an SVG that the Dagster UI shows in line."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Final

import dagster as dg

_POINTS: Final = 48
"""At most; metadata above 1,000 characters is hidden behind a button."""
_WIDTH, _HEIGHT = 192, 32


def sparkline(values: Iterable[float | None]) -> dg.MetadataValue:
    """A line through the values, each the mean of its share of them; what is missing or not finite is left out."""
    found = [value for value in values if value is not None and abs(value) < float("inf")]
    if not found:
        return dg.MetadataValue.text("no values")
    parts = min(_POINTS, len(found))
    means = []
    for at in range(parts):
        part = found[at * len(found) // parts : (at + 1) * len(found) // parts]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    steps = [
        f"{round(at * _WIDTH / max(parts - 1, 1))},{round(_HEIGHT - (one - low) / ((high - low) or 1) * _HEIGHT)}"
        for at, one in enumerate(means)
    ]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT + 2}">'
        f'<path d="M{"L".join(steps)}" fill="none" stroke="#26b"/></svg>'
    )
    picture = b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![line](data:image/svg+xml;base64,{picture}) {low:.4g} to {high:.4g}")
