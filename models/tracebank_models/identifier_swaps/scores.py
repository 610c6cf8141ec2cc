"""Scores of examples under conditions: one row for each, in frames as they are done.

A body's score is the sum of log-probabilities of its tokens after the prompt, and the loss is -log of the share of the
right body among both: log(1 + exp(wrong - right)), in nats (B2 of arXiv:2305.15507's pipeline). Beside it the scores of
prompt + body and of the prompt alone are kept, from passes of their own: their difference is the body's score.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import require, whole
from tracebank_models.log_likelihood.scorer import ScorerSettings, TokenPair, encoded_pair, scored

from .conditions import CONDITIONS, Condition, condition_text
from .examples import SwapExample

SCORES_SCHEMA: Final = {
    "example": pl.String,
    "condition": pl.String,
    "function": pl.String,
    "module": pl.String,
    "right": pl.String,
    "reason": pl.String,
    "prompt_tokens": pl.Int64,
    "original_tokens": pl.Int64,
    "exchanged_tokens": pl.Int64,
    "original_log_likelihood": pl.Float64,
    "exchanged_log_likelihood": pl.Float64,
    "prompt_log_likelihood": pl.Float64,
    "joint_original_log_likelihood": pl.Float64,
    "joint_exchanged_log_likelihood": pl.Float64,
    "loss": pl.Float64,
    "normalised_loss": pl.Float64,
    "correct": pl.Boolean,
    "total_log_probability": pl.Float64,
}
"""Columns of a score. `right` names the right body; `reason` says why there are no numbers, and is null where there
are; prompt and joint scores are of all tokens but the first; `normalised_loss` is that of scores per token."""
_NUMBERS: Final = tuple(name for name in SCORES_SCHEMA if name.endswith("_log_likelihood"))
TOO_LONG: Final = "longer_than_context"
NO_BOUNDARY: Final = "token_across_boundary"
REASONS: Final = (TOO_LONG, NO_BOUNDARY)
"""Why a row has no numbers: nothing is cut, and no token is shared out between prompt and body."""


@dataclass(frozen=True, slots=True)
class SwapScoreSettings:
    """How examples are scored."""

    conditions: tuple[Condition, ...] = CONDITIONS
    rows: int = 32
    """Of a frame: so many are lost at most when a run is killed."""
    joint: bool = True
    """Whether prompt + body is scored too, in passes of its own; it more than doubles the work."""
    batch_tokens: int | None = None
    """Most tokens of a forward pass; None takes the scorer's."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        known = bool(self.conditions) and set(self.conditions) <= set(CONDITIONS)
        require(self, "conditions", f"one or more of {', '.join(CONDITIONS)}", known)
        whole(self, 1, 10**6, "rows")
        if self.batch_tokens is not None:
            whole(self, 1, 1 << 24, "batch_tokens")


@dataclass(frozen=True, slots=True)
class _Item:
    """An example under a condition, as tokens; no tokens where one would be of prompt and body at once."""

    example: SwapExample
    condition: Condition
    right: str
    original: TokenPair | None
    exchanged: TokenPair | None


def swap_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Iterable[SwapExample],
    settings: SwapScoreSettings | None = None,
    done: Collection[tuple[str, str]] = (),
) -> Iterator[pl.DataFrame]:
    """Score examples under conditions, the longest first.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        examples: What is scored; one that does not parse is scored like any other.
        settings: How; None takes the defaults.
        done: Keys (example, condition) that are scored already, and are left out.

    Yields:
        Frames of `SCORES_SCHEMA`, a row for each example and condition.

    Raises:
        ValueError: As `score_pairs`.
    """
    chosen, left_out = settings or SwapScoreSettings(), set(done)
    asked = [
        (example, condition)
        for example in examples
        for condition in chosen.conditions
        if (example.example, condition) not in left_out
    ]
    asked.sort(key=lambda one: len(one[0].prompt) + len(one[0].good), reverse=True)
    for start in range(0, len(asked), chosen.rows):
        items = [_item(tokenizer, *one) for one in asked[start : start + chosen.rows]]
        yield _frame(items, _numbers(model, items, chosen))


def _item(tokenizer: PreTrainedTokenizerBase, example: SwapExample, condition: Condition) -> _Item:
    text = condition_text(example, condition)
    try:
        pairs = [encoded_pair(tokenizer, text.prompt, body) for body in (example.bad, example.good)]
    except ValueError:  # a token of this tokenizer holds characters of both: the row says so
        return _Item(example, condition, text.right, None, None)
    return _Item(example, condition, text.right, *pairs)


def _numbers(model: PreTrainedModel, items: Sequence[_Item], settings: SwapScoreSettings) -> NDArray[np.float64]:
    """Scores of original and exchanged body, of the prompt, and of both joint texts; NaN where there is none."""
    found = np.full((len(items), 5), np.nan)
    encoded = [(row, item.original, item.exchanged) for row, item in enumerate(items)]
    kept = [(row, one, two) for row, one, two in encoded if one is not None and two is not None]
    rows = [row for row, _, _ in kept]
    shared = ScorerSettings(settings.batch_tokens, too_long="report")
    bodies = scored(model, [pair for _, *both in kept for pair in both], shared)
    found[rows, :2] = bodies.log_likelihood.reshape(-1, 2)
    if settings.joint:
        whole = [pair for _, one, two in kept for pair in _whole(one, two)]
        alone = ScorerSettings(settings.batch_tokens, share_contexts=False, too_long="report")
        found[rows, 2:] = scored(model, whole, alone).log_likelihood.reshape(-1, 3)
    found[np.isnan(found[:, :2]).any(axis=1)] = np.nan
    return found


def _whole(original: TokenPair, exchanged: TokenPair) -> Iterator[TokenPair]:
    """The prompt, and both texts with it, after the first token of the prompt."""
    context = original.context
    yield TokenPair(context[:1], context[1:])
    for pair in (original, exchanged):
        yield TokenPair(context[:1], context[1:] + pair.continuation)


def _frame(items: Sequence[_Item], numbers: NDArray[np.float64]) -> pl.DataFrame:
    rows = [_row(item, one) for item, one in zip(items, numbers.tolist(), strict=True)]
    return pl.DataFrame(rows, schema=SCORES_SCHEMA).with_columns(cs.float().fill_nan(None))


def _row(item: _Item, numbers: list[float]) -> dict[str, object]:
    example = item.example
    row: dict[str, object] = {
        "example": example.example,
        "condition": item.condition,
        "function": example.function,
        "module": example.module,
        "right": item.right,
    }
    if item.original is None or item.exchanged is None:
        return row | {"reason": NO_BOUNDARY}
    lengths = len(item.original.continuation), len(item.exchanged.continuation)
    row |= {"prompt_tokens": len(item.original.context), "original_tokens": lengths[0], "exchanged_tokens": lengths[1]}
    if np.isnan(numbers[0]):
        return row | {"reason": TOO_LONG}
    return row | dict(zip(_NUMBERS, numbers, strict=True)) | _losses(item.right, numbers[:2], lengths)


def _losses(right: str, scores: Sequence[float], lengths: Sequence[int]) -> dict[str, object]:
    """The loss from sums and from means per token; a tie is wrong."""
    wrong, chosen = (0, 1) if right == "exchanged" else (1, 0)
    gap = scores[wrong] - scores[chosen]
    mean_gap = scores[wrong] / lengths[wrong] - scores[chosen] / lengths[chosen]
    return {
        "loss": float(np.logaddexp(0, gap)),
        "normalised_loss": float(np.logaddexp(0, mean_gap)),
        "correct": gap < 0,
        "total_log_probability": float(np.logaddexp(scores[0], scores[1])),
    }
