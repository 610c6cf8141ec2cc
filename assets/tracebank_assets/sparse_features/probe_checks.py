"""Checks of probes and ablations: what was found is more than what chance finds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

if TYPE_CHECKING:
    import polars as pl

ABOVE_RANDOM: Final = "trained_probe_above_random"
BEYOND_RANDOM: Final = "ablation_beyond_random_features"
_SHARE: Final = 0.95


PROBE_CHECKS: Final = {
    ABOVE_RANDOM: f"Kendall's tau of the probe on the tuned model's sparse codes is above the magnitude of that of"
    f" {_SHARE:.0%} of the probes of chance."
}
"""The check of `[sparse_features, probes]`."""
ABLATION_CHECKS: Final = {
    BEYOND_RANDOM: f"Without what the features that push the reward up write, the expected valence of the next token"
    f" falls, and further than without {_SHARE:.0%} of the draws of random features that are as active; the"
    f" dictionary's error is kept."
}
"""The check of `[sparse_features, ablations]`."""


def above_random(trained: float | None, random: Sequence[float | None]) -> dg.AssetCheckResult:
    """The check of probes; a tau that is not defined counts as 0."""
    beaten = [abs(one or 0.0) < (trained or 0.0) for one in random]
    share = sum(beaten) / len(beaten) if beaten else 0.0
    return dg.AssetCheckResult(
        check_name=ABOVE_RANDOM,
        passed=share >= _SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"trained tau": trained or 0.0, "random probes": len(beaten), "share beaten": round(share, 4)},
    )


def beyond_random(effects: "pl.DataFrame") -> dg.AssetCheckResult:
    """The check of ablations, of `RewardAblation.effects`."""
    row = effects.filter(condition="features_error_kept").row(0, named=True)
    draws = effects.filter(condition="random_error_kept").height
    falls, rare = row["effect_high"] < 0, row["rank_p"] <= 1 - _SHARE
    interval = f"{row['effect']:+.4f} [{row['effect_low']:+.4f}, {row['effect_high']:+.4f}]"
    told = "the effect is there" if falls and rare else "no effect is shown"
    return dg.AssetCheckResult(
        check_name=BEYOND_RANDOM,
        passed=falls and rare,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{told}: expected valence {interval}, rank p {row['rank_p']:.3g} among {draws} random draws",
        metadata={name: row[name] for name in ("effect", "effect_low", "effect_high", "rank_p", "two_sided_p")}
        | {"draws": draws},
    )
