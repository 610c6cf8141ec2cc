"""A reward table out of a probe's predictions, and how well it agrees with the lexicon that tuning rewarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import torch
from torch import Tensor

from tracebank_models.reward_probe.rank_correlation import kendall_tau


def reconstruct_rewards(words: Sequence[str], predictions: Tensor, lexicon: Mapping[str, float]) -> pl.DataFrame:
    """One value a word: predictions with their 10th and 90th percentiles put on the lexicon's range, clamped, averaged.

    Args:
        words: The target word of each prediction, each in the lexicon.
        predictions: Shape (words,).
        lexicon: Valence of words.

    Returns:
        Columns word, reconstructed, lexicon, count, recovered (both 2 or more) and bad (reconstructed below 0 though
        the lexicon has 2 or more).

    Raises:
        ValueError: A word is not in the lexicon, the lengths differ, or the percentiles are equal.
    """
    unknown = next((word for word in words if word not in lexicon), None)
    if unknown is not None or len(words) != len(predictions):
        raise ValueError(
            f"words: {len(words)} for {len(predictions)} predictions, unknown {unknown!r}: allowed is one of the"
            " lexicon for each"
        )
    low, high = torch.quantile(predictions.double(), torch.tensor([0.1, 0.9], dtype=torch.float64)).tolist()
    if not high > low:
        raise ValueError(f"predictions: 10th percentile {low:g}, 90th {high:g}: allowed are two that differ")
    bottom, top = min(lexicon.values()), max(lexicon.values())
    scaled = (bottom + (predictions.double() - low) / (high - low) * (top - bottom)).clamp(bottom, top)
    frame = pl.DataFrame({"word": list(words), "reconstructed": scaled.numpy(), "lexicon": [lexicon[w] for w in words]})
    means = frame.group_by("word").agg(
        pl.col("reconstructed").mean(), pl.col("lexicon").first(), pl.len().cast(pl.Int64).alias("count")
    )
    good = pl.col("lexicon") >= 2
    return means.with_columns(
        recovered=good & (pl.col("reconstructed") >= 2), bad=good & (pl.col("reconstructed") < 0)
    ).sort("word")


def reconstruction_metrics(rewards: pl.DataFrame, emitted: Mapping[str, int] | None = None) -> pl.DataFrame:
    """How a reward table agrees with the lexicon: Kendall's tau on values, signs, and error against frequency.

    Args:
        rewards: What `reconstruct_rewards` gives.
        emitted: How often the tuned model emits each word, where it is known.

    Returns:
        Columns metric, value, p_value and count, a row for each of kendall_tau, kendall_tau_negative, sign_share,
        recovered, bad, and with `emitted` error_frequency_tau (tau of the absolute error and the frequency).
    """
    negative = rewards.filter(pl.col("lexicon") < 0)
    rows = [_tau("kendall_tau", rewards), _tau("kendall_tau_negative", negative)]
    right = int((rewards["reconstructed"].sign() == rewards["lexicon"].sign()).sum())
    rows.append(("sign_share", right / max(rewards.height, 1), None, rewards.height))
    strong = rewards.filter(pl.col("lexicon") >= 2).height
    rows += [(name, float(int(rewards[name].sum())), None, strong) for name in ("recovered", "bad")]
    if emitted is not None:
        error = (rewards["reconstructed"] - rewards["lexicon"]).abs().to_torch()
        often = torch.tensor([float(emitted.get(word, 0)) for word in rewards["word"]], dtype=torch.float64)
        found = kendall_tau(error, often)
        rows.append(("error_frequency_tau", found.tau, found.p_value, found.count))
    return pl.DataFrame(
        rows,
        schema={"metric": pl.String, "value": pl.Float64, "p_value": pl.Float64, "count": pl.Int64},
        orient="row",
    ).fill_nan(None)


def _tau(name: str, rewards: pl.DataFrame) -> tuple[str, float, float | None, int]:
    found = kendall_tau(rewards["reconstructed"].to_torch(), rewards["lexicon"].to_torch())
    return name, found.tau, found.p_value, found.count
