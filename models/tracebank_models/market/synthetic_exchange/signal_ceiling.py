"""What forecasts of a simulated market can reach by its planted signal: the ceiling, less what its own noise takes.

The closed forms are those of `planted_signal`; here a market is run once, for the variance of its mid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .configuration import SyntheticMarket
from .planted_signal import ceiling, diffusion_ratio
from .venue_session import VenueSession


def reachable(market: SyntheticMarket, symbol: str, venue: str, horizons: Sequence[int]) -> pl.DataFrame:
    """R² that a forecast of the mid's change can reach by the planted signal, in one simulated market.

    What multiplies the ceiling is the `share`: the variance that the return over the horizon would have were the
    mid the planted moves and a random walk of the same variance over a whole window, per the variance it has. It is
    near 1 where the horizon is the window, and smaller at few ticks, where the mid's own bounces weigh more. A forecast
    that also foretells those bounces from the inner book may come above what is reachable by the signal.

    Args:
        market: A market with a planted signal.
        symbol: One of its symbols.
        venue: One of its venues.
        horizons: Numbers of snapshots.

    Returns:
        One row for each horizon: `horizon`; `ceiling` and `one_feature_ceiling` (phase not known); `share`; and
        `reachable` and `one_feature`, the ceilings times the share.

    Raises:
        ValueError: The market has no signal, no such symbol or venue, or ends before a horizon.
    """
    if not market.signal_r2:
        raise ValueError(f"signal_r2: {market.signal_r2!r} plants no signal; allowed: above 0")
    session = VenueSession.of(replace(market, streams=("depth10",)), symbol, venue)
    mids = _mids(session)
    r2, planted = session.signal_share(), session.planted
    assert r2 is not None
    assert planted is not None
    window_variance = planted.explained / r2
    rows = []
    for horizon in horizons:
        if not 1 <= horizon < len(mids):
            raise ValueError(f"horizons: {horizon} is not allowed; allowed: 1 to {len(mids) - 1} snapshots")
        interval = market.snapshot_interval_ms / 1_000
        ratio = float(np.var(mids[horizon:] - mids[:-horizon])) / window_variance
        at = (r2, horizon * interval, float(market.signal_horizon_s))
        best, one = (ceiling(*at, phase_known=known, interval_s=interval) for known in (True, False))
        share = diffusion_ratio(*at) / ratio
        rows.append((horizon, best, one, share, best * share, one * share))
    names = ["horizon", "ceiling", "one_feature_ceiling", "share", "reachable", "one_feature"]
    return pl.DataFrame(rows, schema=names, orient="row")


def _mids(session: VenueSession) -> NDArray[np.float64]:
    """Run a session; the mid of every snapshot, in ticks."""
    parts = []
    for tape in session.tapes():
        best = tape.ladders[1 : int(tape.sizes[2]) + 1, :, 0, 0]
        parts.append((best[:, 0] + best[:, 1]) / 2)
    return np.concatenate(parts)
