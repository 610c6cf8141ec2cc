"""Checks of group `language_models`: trainings did what they are for, and comparisons are sound."""

import math
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

if TYPE_CHECKING:
    from tracebank_models.language_model.loading import LoadedModel

_ROUND_TRIP = "tokenizer_round_trip"
_LOSS = "loss_below_uniform"
_REWARD = "reward_rose"
_DEFINED = "divergences_defined"
_SAMPLE = "The lid is great, but I hate the cord: 3 of 5 stars.\n\tpip install tokenizers  # ünïcode"


BASE_CHECKS = {
    _ROUND_TRIP: "Decoding gives back the text that was encoded.",
    _LOSS: "The last loss is below that of guessing every token with equal chance.",
}
"""Checks of a base model."""


def base_checks(loaded: "LoadedModel", curve: pl.DataFrame | None) -> list[dg.AssetCheckResult]:
    """What they found; a loaded model has no loss to look at."""
    ids = loaded.tokenizer(_SAMPLE, add_special_tokens=False)["input_ids"]
    back = loaded.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    results = [
        dg.AssetCheckResult(
            check_name=_ROUND_TRIP,
            passed=back == _SAMPLE,
            severity=dg.AssetCheckSeverity.ERROR if curve is not None else dg.AssetCheckSeverity.WARN,
            metadata={"tokens": len(ids)},
        )
    ]
    uniform = math.log(loaded.facts.vocabulary_size)
    last = float(curve["loss"][-1]) if curve is not None else float("nan")
    metadata = {"loss": last, "uniform": uniform} if curve is not None else {"trained": "elsewhere"}
    results.append(dg.AssetCheckResult(check_name=_LOSS, passed=curve is None or last < uniform, metadata=metadata))
    return results


TUNED_CHECKS = {_REWARD: "The mean reward of the last fifth of the steps is above that of the first."}
"""The check of a tuned model."""


def tuned_checks(curve: pl.DataFrame | None) -> list[dg.AssetCheckResult]:
    """What they found; of a model tuned elsewhere there is no curve."""
    rewards = curve["reward_mean"].drop_nulls() if curve is not None else pl.Series("reward_mean", [], pl.Float64)
    fifth = max(1, len(rewards) // 5)
    first, last = rewards.head(fifth).mean(), rewards.tail(fifth).mean()
    passed = curve is None or (isinstance(first, float) and isinstance(last, float) and last > first)
    return [
        dg.AssetCheckResult(
            check_name=_REWARD,
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"first": str(first), "last": str(last), "measurements": len(rewards)},
        )
    ]


DIVERGENCE_CHECKS = {
    _DEFINED: "Every divergence is a number, none is negative, and tuning moved at least one layer's weights."
}
"""The check of layer divergences."""


def divergence_checks(frame: pl.DataFrame) -> list[dg.AssetCheckResult]:
    """What they found."""
    values = frame["value"]
    moved = frame.filter(pl.col("definition") == "weight_l2_sum")["value"].max()
    # Rounding may put a divergence that is 0 a hair below it.
    passed = bool(values.is_finite().all()) and float(values.min() or 0) > -1e-9 and float(moved or 0) > 0  # type: ignore[arg-type]
    return [
        dg.AssetCheckResult(check_name=_DEFINED, passed=passed, metadata={"rows": frame.height, "largest": str(moved)})
    ]
