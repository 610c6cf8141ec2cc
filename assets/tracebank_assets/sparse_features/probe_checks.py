"""Checks of probes and ablations: what was found is more than what chance finds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

if TYPE_CHECKING:
    import polars as pl

KNOWS_MORE: Final = "tuned_model_knows_more_than_base"
BEYOND_RANDOM: Final = "ablation_beyond_random_features"
_RARE: Final = 0.05


PROBE_CHECKS: Final = {
    KNOWS_MORE: "A probe of words' valences orders held-out words of one sign better on the tuned model's sparse codes"
    " than on the base's: the 95 % interval of the difference of Kendall's tau, over words, lies above 0."
}
"""The check of `[sparse_features, probes]`."""
ABLATION_CHECKS: Final = {
    BEYOND_RANDOM: "Without what the features that push the reward up write, the expected valence of the next token"
    f" falls, and as far as without at most {_RARE:.0%} of the draws of random features that are as active; the"
    " dictionary's error is kept."
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


def beyond_random(effects: "pl.DataFrame") -> dg.AssetCheckResult:
    """The check of ablations, of `RewardAblation.effects`."""
    row = effects.filter(condition="features_error_kept").row(0, named=True)
    there = row["effect_high"] < 0 and row["rank_p"] <= _RARE
    if there:
        verdict = "there: the valence of the next token falls further than without random features"
    elif row["effect_high"] < 0:
        verdict = "not there: the valence of the next token falls no further than without random features"
    else:
        verdict = "not there: the valence of the next token does not fall"
    return dg.AssetCheckResult(
        check_name=BEYOND_RANDOM,
        passed=there,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "verdict": verdict,
            "draws": effects.filter(condition="random_error_kept").height,
            **{name: row[name] for name in ("effect", "effect_low", "effect_high", "rank_p", "two_sided_p")},
        },
    )
