"""Asset `sparse_features/features`: what each feature of a study fires on, writes for and matches, and its codes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank.writing import SeriesRows
from tracebank_assets.language_models.catalogue import load_catalogued
from tracebank_assets.language_models.keys import BASE, TUNED
from tracebank_assets.materialised import Figure
from tracebank_assets.sparse_features import feature_checks as checks
from tracebank_assets.sparse_features.feature_tables import example_rows, of_table, write_features
from tracebank_assets.sparse_features.held_out import HeldOut, open_held_out
from tracebank_assets.sparse_features.keys import ACTIVATIONS, DICTIONARIES, GROUP
from tracebank_assets.sparse_features.study_data import model_of
from tracebank_assets.studies import made_of_study, of_study, study_artifact
from tracebank_models.reward_probe.study import SIDES, Study
from tracebank_schemas.sparse_autoencoder import (
    FEATURE_ACTIVATIONS,
    FEATURE_EXAMPLES,
    Feature,
    FeatureMatch,
    FeatureToken,
)

if TYPE_CHECKING:
    import torch

    from tracebank_models.features.dictionary_codes import DictionarySet
    from tracebank_models.features.one_pass import FeaturePass


class FeaturesConfig(dg.Config):
    """What is kept of features."""

    fires_on: int = Field(default=10, ge=1, description="Tokens that a feature fires on.")
    written: int = Field(default=5, ge=1, description="Tokens whose logits it raises, and as many that it lowers.")
    top: int = Field(default=20, ge=1, description="Strongest examples of a feature.")
    sample: int = Field(default=128, ge=1, description="Tokens that its other examples are drawn from.")
    stored_tokens: int | None = Field(default=None, description="Tokens with codes as rows; empty: the study's.")


@dataclass(frozen=True, slots=True)
class _Described:
    """What the passes over the held-out activations gave."""

    summary: pl.DataFrame
    top_tokens: pl.DataFrame
    examples: pl.DataFrame
    stored_fired: pl.DataFrame


@study_artifact(
    GROUP,
    Feature,
    FeatureToken,
    FeatureMatch,
    FEATURE_ACTIVATIONS,
    FEATURE_EXAMPLES,
    checks=checks.FEATURE_CHECKS,
    reads=("stored_tokens",),
    deps=[BASE, TUNED, ACTIVATIONS, DICTIONARIES],
)
def features(context: dg.AssetExecutionContext, config: FeaturesConfig, stores: Stores) -> dg.MaterializeResult:
    """Features of all dictionaries of a study, out of one pass over the held-out activations.

    Statistics, tokens and examples are those of documents with an even number: explanations are made from them, and
    scored on the others. Codes are those of the first tokens, of whatever document.
    """
    from tracebank_models.features.rows import token_rows

    with made_of_study(context, stores) as (made, study, device):
        held = open_held_out(stores.relational, study, device)
        texts, written = _vocabulary(stores.relational, study, held, config)
        codes = made.into(FEATURE_ACTIVATIONS, of_study(study))
        described = _describe(study, held, config, len(texts), codes)
        shown = example_rows(study, held, described.examples, texts)
        made.into(FEATURE_EXAMPLES, of_study(study)).write(shown)
        tokens = token_rows(described.top_tokens, written, texts)
        frame = write_features(made, study, held, described.summary, tokens)
    results = checks.feature_checks(stores, study, frame, described.stored_fired)
    return made.result(_figures(frame, codes.stored.rows, held), results)


def _vocabulary(
    relational: RelationalStore, study: Study, held: HeldOut, config: FeaturesConfig
) -> tuple[pl.Series, pl.DataFrame]:
    """Text of every token, and the tokens that features write for, each by the model of its dictionary's side."""
    from tracebank_models.features.rows import written_tokens
    from tracebank_models.features.token_text import token_texts

    frames = []
    texts = pl.Series("token", [], pl.String)
    for side in SIDES:
        loaded = load_catalogued(relational, model_of(study, side), held.device)
        texts = token_texts(loaded.tokenizer)
        embedding: torch.nn.Module = loaded.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        unembedding = cast("torch.Tensor", embedding.weight).detach()[: len(texts)]
        frames += [
            written_tokens(name, held.dictionaries[name], unembedding, config.written)
            for name, row in held.rows.items()
            if (row.side == "base") == (side == "base")  # of both models, a crosscoder writes for the tuned one
        ]
    return texts, pl.concat(frames)


def _describe(study: Study, held: HeldOut, config: FeaturesConfig, vocabulary: int, codes: SeriesRows) -> _Described:
    from tracebank_models.features.dictionary_codes import grouped

    groups = list(grouped(held.dictionaries, vocabulary))
    found = []
    with track(f"features of {study.key}", held.tokens * len(groups)) as advance:
        for group in groups:
            state = _state(study, group, config, vocabulary)
            for batch in group.batches(held.streams, held.device):
                frame = state.update(batch)
                if not frame.is_empty():
                    codes.write(of_table(FEATURE_ACTIVATIONS, frame, study, held))
                advance(len(batch.rows))
            found.append((state.summary(), state.top_tokens(config.fires_on), state.examples(), state.stored_fired()))
    return _Described(*(pl.concat(frames) for frames in zip(*found, strict=True)))


def _state(study: Study, group: "DictionarySet", config: FeaturesConfig, vocabulary: int) -> "FeaturePass":
    from tracebank_models.features.one_pass import FeaturePass

    stored = study.effort.stored_tokens if config.stored_tokens is None else config.stored_tokens
    return FeaturePass(group, vocabulary, stored_tokens=stored, top=config.top, sample=config.sample)


def _figures(frame: pl.DataFrame, codes: int, held: HeldOut) -> dict[str, Figure]:
    return {
        "dictionaries": len(held.dictionaries),
        "features": frame.height,
        "features_that_never_fire": frame.filter(pl.col("fired") == 0).height,
        "held_out_tokens": held.tokens,
        "codes": codes,
    }
