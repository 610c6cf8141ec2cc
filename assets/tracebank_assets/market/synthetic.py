"""The asset that makes market files where none are at hand: one day of the synthetic exchange."""

from datetime import date
from pathlib import Path

import dagster as dg

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank_assets.artifacts import artifact
from tracebank_assets.market.keys import GROUP
from tracebank_assets.materialised import materialised


def synthetic_folder(settings: Settings) -> Path:
    """Where the files of the synthetic exchange lie."""
    return settings.home / "raw" / "synthetic"


class SyntheticDayConfig(dg.Config):
    """Which day the synthetic exchange plays, and how busy it is."""

    day: str = "2024-08-08"
    """UTC day, as YYYY-MM-DD."""
    seed: int = 0
    """The same seed gives the same bytes."""
    duration_s: int = 3_600
    """Seconds from midnight that the market is open."""
    market_order_rate: float = 4.0
    """Mean market orders per second, venue and symbol."""
    signal_r2: float | None = None
    """R² of a planted signal; none plants nothing."""
    signal_horizon_s: int = 10
    """Seconds of the return that the planted signal foretells."""
    gaps: float = 1e-4
    """Probability per line that a line is lost."""
    duplicates: float = 1e-3
    """Probability that a line is written twice."""
    late: float = 1e-3
    """Probability that a line arrives after younger ones."""
    unreadable: float = 1e-4
    """Probability that an unreadable line follows."""


@artifact(GROUP, kinds={"python"})
def synthetic_day(
    context: dg.AssetExecutionContext, config: SyntheticDayConfig, stores: Stores
) -> dg.MaterializeResult:
    """Recorder files of one day of the synthetic exchange, two symbols on two venues, with the defects of real feeds.

    The files lie under `<home>/raw/synthetic`; `[market, raw_files]` registers them as it does real ones.
    """
    from tracebank_models.market.synthetic_exchange import FeedDefects, SyntheticMarket, write_day

    market = SyntheticMarket(
        day=date.fromisoformat(config.day),
        seed=config.seed,
        duration_s=config.duration_s,
        market_order_rate=config.market_order_rate,
        signal_r2=config.signal_r2,
        signal_horizon_s=config.signal_horizon_s,
        defects=FeedDefects(
            gaps=config.gaps, duplicates=config.duplicates, late=config.late, unreadable=config.unreadable
        ),
    )
    with materialised(context, stores) as made, track("synthetic exchange", 1.0) as advance:
        done = 0.0

        def progress(at: int, of: int) -> None:
            nonlocal done
            advance(at / of - done)
            done = at / of

        manifest = write_day(market, synthetic_folder(stores.settings), progress=progress)
        lines = sum(file.lines for file in manifest.files)
        content = "".join(file.sha256 for file in manifest.files)
        made.wrote(lines, sum(file.path.stat().st_size for file in manifest.files), content)
    return made.result({"files": len(manifest.files), "seed": config.seed})
