"""Scores of explanations by an endpoint as rows, each beside what guessing gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from tracebank_models.features.endpoint_explanations import EndpointExplanation
from tracebank_models.features.endpoint_judgements import CHANCE

SCORE_SCHEMA: Final = {
    "dictionary": pl.String,
    "feature": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "chance": pl.Float64,
    "tokens": pl.Int64,
}
"""Columns of the rows."""


def score_rows(explained: Sequence[EndpointExplanation]) -> pl.DataFrame:
    """Put scores in rows.

    Args:
        explained: See `ask_all`.

    Returns:
        Columns of `SCORE_SCHEMA`: dictionary, feature, metric (`precision`, `recall` and `f1` of detection, `detection`
        itself, and what was asked for beside it), value (null where there was nothing to ask, or an answer could not be
        read), chance (what guessing gives; null of the first three) and tokens.
    """
    rows = []
    for one in explained:
        tried, found = one.question.tried_tokens, one.detection
        scores: list[tuple[str, float | None, int]] = [
            ("precision", found.precision, tried),
            ("recall", found.recall, tried),
            ("f1", found.f1, tried),
            ("detection", found.accuracy, tried),
            *((judged.metric, judged.value, judged.tokens) for judged in one.judgements),
        ]
        of = (one.question.dictionary, one.question.feature)
        rows += [(*of, metric, value, CHANCE.get(metric), tokens) for metric, value, tokens in scores]
    return pl.DataFrame(rows, schema=SCORE_SCHEMA, orient="row")
