"""Checks of group `language_models`: trainings did what they are for, and comparisons are sound."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

if TYPE_CHECKING:
    from tracebank_models.language_model.loading import LoadedModel
    from tracebank_models.language_model.policy_evaluation import PolicyEvaluation

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


TUNED_CHECKS = {
    _REWARD: "On prompts never tuned on, the interval of the rise in reward is above 0 and the KL is within its budget."
}
"""The check of a tuned model."""


def tuned_checks(evaluations: "Sequence[PolicyEvaluation]", kl_budget: float) -> list[dg.AssetCheckResult]:
    """What they found.

    Args:
        evaluations: of the checkpoints, and of the tuned model on the prompts of the report.
        kl_budget: most nats per response.
    """
    reports = [one for one in evaluations if one.split == "report"]
    passed = any(one.gain_low > 0 and one.kl <= kl_budget for one in reports)
    return [
        dg.AssetCheckResult(
            check_name=_REWARD,
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(map(_told, reports or evaluations)) or "not measured: held_out_prompts is 0",
            metadata={"kl_budget": kl_budget} | {name: value for one in reports for name, value in asdict(one).items()},
        )
    ]


def _told(one: "PolicyEvaluation") -> str:
    if one.step == 0:
        return "the untuned model is kept: no checkpoint gains what its KL costs"
    gain = f"{one.gain:+.3f} (95 % interval {one.gain_low:+.3f} to {one.gain_high:+.3f})"
    return f"reward {one.base_reward:.3f} to {one.reward:.3f}, {gain}, at {one.kl:.2f} nats a response"


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
