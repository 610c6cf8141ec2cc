"""Neuronpedia's rows of features, activations and explanations, and Anthropic's JSON of a feature: out of the store.

What comes in is `exchange_in`. Neuronpedia's `layer` is the name of our dictionary; its `dataSource` tells the stratum
of a text (`top`, `random`, `quantile:3`), and `dataIndex` the document and the place of its first token in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from tracebank.explorer import unit_reads
from tracebank.explorer.unit_reads import Explanation, Text, Token
from tracebank_schemas.sparse_autoencoder import Feature

TOP, RANDOM = "Top activations", "Random"
_FIFTH: Final = "Fifth {} of 5 by strength"
_SOURCES: Final = {"top": "top", "random": "random"}


def numbers(session: Session, dictionary: str, limit: int, offset: int) -> list[int]:
    """Numbers of a page of a dictionary's features."""
    mine = select(Feature.feature).where(Feature.dictionary == dictionary).order_by(Feature.feature)
    return list(session.scalars(mine.limit(limit).offset(offset)))


def features(session: Session, model: str, dictionary: str, wanted: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Neuronpedia's rows of features."""
    for number in wanted:
        unit = unit_reads.unit(session, dictionary, number)
        tokens = unit_reads.tokens(session, dictionary, number)
        summary = unit_reads.summary(session, dictionary, number)
        raised, lowered = _logits(tokens, "raised"), _logits(tokens, "lowered")
        row = {
            **_place(model, dictionary, number),
            "maxActApprox": unit.max_activation,
            "frac_nonzero": unit.density,
            "pos_str": [token for token, _ in raised] or unit.raised_tokens,
            "pos_values": [value for _, value in raised],
            "neg_str": [token for token, _ in lowered] or unit.lowered_tokens,
            "neg_values": [value for _, value in lowered],
            "freq_hist_data_bar_values": [],
            "freq_hist_data_bar_heights": [],
        }
        if summary is not None and summary.histogram:
            width = (summary.max_activation - summary.min_activation) / len(summary.histogram)
            bars = [summary.min_activation + width * bar for bar in range(len(summary.histogram))]
            row |= {"freq_hist_data_bar_values": bars, "freq_hist_data_bar_heights": summary.histogram}
        yield row


def activations(session: Session, model: str, dictionary: str, wanted: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Neuronpedia's rows of activations: one a text."""
    for number in wanted:
        for text in unit_reads.texts(session, dictionary, number):
            source = _SOURCES.get(text.stratum, f"quantile:{text.quantile}")
            yield {
                "id": f"{dictionary}/{number}/{source}/{text.rank}",
                **_place(model, dictionary, number),
                "tokens": text.tokens,
                "values": text.activations,
                "maxValue": text.max_activation,
                "maxValueTokenIndex": text.max_token,
                "minValue": text.min_activation,
                "dataSource": source,
                "dataIndex": f"{text.document}:{text.first_position}",
            }


def explanations(session: Session, model: str, dictionary: str, wanted: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Neuronpedia's rows of explanations, with their scores."""
    for number in wanted:
        for said in unit_reads.explanations(session, dictionary, number):
            yield {
                "id": said.explanation,
                **_place(model, dictionary, number),
                "description": said.text,
                "typeName": said.method,
                "explanationModelName": said.explainer,
                "scores": _scores(said),
            }


def anthropic(session: Session, dictionary: str, number: int) -> dict[str, Any]:
    """Anthropic's JSON of a feature: texts by fifths, the strongest first, and logits."""
    unit = unit_reads.unit(session, dictionary, number)
    texts = unit_reads.texts(session, dictionary, number)
    groups = [(TOP, "top", 0), *((_FIFTH.format(fifth), "quantile", fifth) for fifth in range(5, 0, -1))]
    groups.append((RANDOM, "random", 0))
    quantiles = [
        {"quantile_name": name, "examples": examples}
        for name, stratum, fifth in groups
        if (examples := [_example(text) for text in texts if (text.stratum, text.quantile) == (stratum, fifth)])
    ]
    return {
        "index": number,
        "examples_quantiles": quantiles,
        "top_logits": unit.raised_tokens,
        "bottom_logits": unit.lowered_tokens,
    }


def _place(model: str, dictionary: str, number: int) -> dict[str, str]:
    return {"modelId": model, "layer": dictionary, "index": str(number)}


def _logits(tokens: Sequence[Token], role: str) -> list[tuple[str, float]]:
    return [(one.token, one.value) for one in tokens if one.role == role]


def _scores(said: Explanation) -> list[dict[str, Any]]:
    return [
        {"explanationScoreTypeName": score.metric, "stratum": score.stratum, "value": score.value}
        for score in said.scores
    ]


def _example(text: Text) -> dict[str, Any]:
    return {"tokens": text.tokens, "tokens_acts_list": text.activations}
