"""What a configured endpoint says of the best matched features, with its scores; nothing where none is configured."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field
from sqlalchemy import select

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.sparse_features.held_out import HeldOut
from tracebank_assets.sparse_features.study_data import dictionaries_of
from tracebank_models.reward_probe.study import Study
from tracebank_schemas.sparse_autoencoder import Feature, FeatureMatch, SparseAutoencoder

if TYPE_CHECKING:
    from tracebank_models.features.endpoint_explanations import EndpointExplanation, FeatureQuestion

ENDPOINT = "endpoint"
"""Method of these explanations."""
EXPLANATION_COLUMNS: dict[str, type[pl.DataType]] = {
    "dictionary": pl.String,
    "feature": pl.Int64,
    "method": pl.String,
    "explainer": pl.String,
    "text": pl.String,
    "prompt": pl.String,
    "answer": pl.String,
    "prompt_hash": pl.String,
}
"""Columns of explanations on their way to the store."""
SCORE_COLUMNS: dict[str, type[pl.DataType]] = {
    "dictionary": pl.String,
    "feature": pl.Int64,
    "method": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "tokens": pl.Int64,
}
"""Columns of their scores."""


class ExplanationsConfig(dg.Config):
    """What the endpoint is asked, where one is configured."""

    per_layer: int = Field(default=30, ge=1, description="Best matched features of a layer that it is asked about.")
    at_once: int = Field(default=4, ge=1, description="Features that it is asked about at the same time.")
    seed: int = Field(default=0, ge=0, description="Of the drawing of texts.")


def explainer_of(settings: Settings) -> str:
    """Name of the model that is asked; empty where none is.

    Raises:
        dg.Failure: one of the two settings is empty, the other not.
    """
    if bool(settings.explainer_url) != bool(settings.explainer_model):
        empty, other = ("URL", "MODEL") if settings.explainer_model else ("MODEL", "URL")
        raise dg.Failure(
            f"TRACEBANK_EXPLAINER_{empty} is empty; set it, or leave TRACEBANK_EXPLAINER_{other} empty too"
        )
    return settings.explainer_model


def endpoint_explanations(
    stores: Stores, study: Study, held: HeldOut, config: ExplanationsConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Explanations by the configured endpoint, and their scores; none where none is configured.

    Raises:
        dg.Failure: the endpoint failed, or its answers cannot be read.
    """
    from tracebank_models.features.endpoint_explainer import EndpointExplainer
    from tracebank_models.features.endpoint_explanations import MARKED_TESTS, ask_all
    from tracebank_models.features.endpoint_scores import score_rows

    found: list[EndpointExplanation] = []
    if model := explainer_of(stores.settings):
        asked = _questions(stores.relational, study, held, config)
        url = stores.settings.explainer_url
        with track(f"asking {model}", len(asked)) as advance:
            try:
                found = ask_all(
                    asked,
                    lambda: EndpointExplainer(url, model),
                    at_once=config.at_once,
                    also=MARKED_TESTS,
                    progress=advance,
                )
            except ValueError as error:
                raise dg.Failure(f"{error}; no explanation was written") from None
    explained = [
        (
            q.dictionary,
            q.feature,
            ENDPOINT,
            model,
            one.text,
            one.exchange.prompt,
            one.exchange.answer,
            one.exchange.hash,
        )
        for one in found
        for q in [one.question]
    ]
    scores = score_rows(found).with_columns(method=pl.lit(ENDPOINT))
    return pl.DataFrame(explained, schema=EXPLANATION_COLUMNS, orient="row"), scores.select(SCORE_COLUMNS.keys())


def _questions(
    relational: RelationalStore, study: Study, held: HeldOut, config: ExplanationsConfig
) -> "list[FeatureQuestion]":
    """Best matched features of each layer of the small dictionaries of the tuned model (2310.08164)."""
    from tracebank_models.features.dictionary_codes import DictionarySet
    from tracebank_models.features.endpoint_explanations import codes_of, questions
    from tracebank_models.features.token_text import token_texts

    small = dictionaries_of(relational, study, side="tuned", size="small", plan_only=True)
    matched = (
        select(FeatureMatch.dictionary, FeatureMatch.feature, FeatureMatch.cosine)
        .join(
            SparseAutoencoder,
            (SparseAutoencoder.dictionary == FeatureMatch.other) & (SparseAutoencoder.size != "small"),
        )
        .join(Feature, (Feature.dictionary == FeatureMatch.dictionary) & (Feature.feature == FeatureMatch.feature))
        .where(FeatureMatch.dictionary.in_([row.dictionary for row in small]), Feature.fired > 0)
    )
    with relational.reading() as session:
        rows = list(map(tuple, session.execute(matched)))
    schema = {"dictionary": pl.String, "feature": pl.Int32, "cosine": pl.Float64}
    best = (
        pl.DataFrame(rows, schema=schema, orient="row")
        .sort("dictionary", "cosine", "feature", descending=[False, True, False])
        .group_by("dictionary", maintain_order=True)
        .head(config.per_layer)
    )
    if best.is_empty():
        return []
    group = DictionarySet({row.dictionary: held.dictionaries[row.dictionary] for row in small})
    chosen, codes = codes_of(group, best, group.batches(held.streams, held.device))
    tokenizer = load_catalogued(relational, study.key, held.device).tokenizer
    return list(questions(chosen, codes, held.places(), token_texts(tokenizer), seed=config.seed))
