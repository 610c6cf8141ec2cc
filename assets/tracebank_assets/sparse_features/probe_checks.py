"""Checks of probes and ablations: what was found is more than what chance finds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

if TYPE_CHECKING:
    import polars as pl

KNOWS_MORE: Final = "tuned_model_knows_more_than_base"
BEYOND_RANDOM: Final = "ablation_beyond_random_features"


PROBE_CHECKS: Final = {
    KNOWS_MORE: "A probe of words' valences orders held-out words of one sign better on the tuned model's sparse codes"
    " than on the base's: the 95 % interval of the difference of Kendall's tau, over words, lies above 0."
}
"""The check of `[sparse_features, probes]`."""
ABLATION_CHECKS: Final = {
    BEYOND_RANDOM: "Without what the features that push the reward up write, the mean reward is below that without what"
    " random features write, for every draw of those; the dictionary's error is kept in both."
}
"""The check of `[sparse_features, ablations]`."""


def knows_more(difference: Mapping[str, Any]) -> dg.AssetCheckResult:
    """The check of probes, of the row of `probe_differences` that was declared the primary one."""
    value, low, high = (difference[name] for name in ("value", "low", "high"))
    if low is None:
        verdict = f"not said: {difference['count']} words are too few"
    elif low > 0:
        verdict = "there: the tuned model knows more of the reward than its base"
    else:
        verdict = "not there: no more is read of the tuned model than of its base"
    figures = {"difference": value, "low": low, "high": high, "p": difference["p_value"]}
    return dg.AssetCheckResult(
        check_name=KNOWS_MORE,
        passed=low is not None and low > 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "verdict": verdict,
            "words": difference["count"],
            **{name: round(one, 4) for name, one in figures.items() if one is not None},
        },
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
