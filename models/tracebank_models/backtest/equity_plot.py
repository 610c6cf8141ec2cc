"""What strategies earned over time, beside holding and the band of random sides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from .equity import equity_at, moments_of
from .run import BacktestResult

_POINTS: Final = 600
"""Of a line; more are not seen."""


def draw_equity(results: Mapping[str, BacktestResult], path: Path, band: pl.DataFrame | None = None) -> Path:
    """Draw what was earned after fees, a line each.

    Args:
        results: By name; a line whose name begins with "holding" is grey.
        path: Of the picture, SVG or PNG by its suffix.
        band: See `Comparison.band`.

    Raises:
        ValueError: There is nothing to draw.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not results:
        raise ValueError("results: none is not allowed; allowed: one or more")
    with rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, linewidth=0.8, color="0.7", label="nothing")
        start = next(iter(results.values())).settings.start_notional
        if band is not None:
            low, high = (band[name].to_numpy() - start for name in ("low", "high"))
            axes.fill_between(_dates(band["ts"]), low, high, color="0.85", label="random sides, 90 %")
        for name, result in results.items():
            style: dict[str, Any] = {"color": "0.4", "linestyle": "--"} if name.startswith("holding") else {}
            axes.step(*_line(result), where="post", linewidth=1.2, label=name, **style)
        axes.set_ylabel("earned after fees, quote currency")
        axes.set_xlabel("time, UTC")
        figure.legend(loc="outside right upper", fontsize=8)
        figure.autofmt_xdate()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def _line(result: BacktestResult) -> tuple[Any, Any]:
    times = result.equity["ts"]
    at = times.to_physical().to_numpy()
    moments = at if len(at) <= _POINTS else moments_of(int(at[0]), int(at[-1]), _POINTS)
    earned = equity_at(result.equity, moments) - result.settings.start_notional
    return _dates(pl.Series(moments).cast(times.dtype)), earned


def _dates(times: pl.Series) -> Any:
    return times.dt.replace_time_zone(None).to_numpy().astype(np.dtype("datetime64[us]"))
