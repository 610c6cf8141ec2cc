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
    BEYOND_RANDOM: "Without what the features that push the reward up write, the mean reward is below that without what"
    " random features write, for every draw of those; the dictionary's error is kept in both."
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


def beyond_random(summary: "pl.DataFrame") -> dg.AssetCheckResult:
    """The check of ablations, of a frame with the columns condition and mean_reward."""
    means = {
        condition: summary.filter(condition=condition)["mean_reward"].to_list()
        for condition in ("none", "reconstruction", "features_error_kept", "random_error_kept")
    }
    return dg.AssetCheckResult(
        check_name=BEYOND_RANDOM,
        passed=means["features_error_kept"][0] < min(means["random_error_kept"]),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={name: [round(value, 4) for value in values] for name, values in means.items()},
    )
