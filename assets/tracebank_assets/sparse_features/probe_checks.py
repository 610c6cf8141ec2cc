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
_SHARE: Final = 0.95
"""Of the draws that an effect is beyond."""
ABLATION_CHECKS: Final = {
    BEYOND_RANDOM: f"Without what the features that push the reward up write, the expected valence of the next token"
    f" falls, and further than without {_SHARE:.0%} of the draws of random features that are as active; the"
    f" dictionary's error is kept."
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
