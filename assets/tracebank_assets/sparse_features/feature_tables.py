"""Rows of features: how frames become rows of both stores, and how they are written."""

import polars as pl

from tracebank_assets.materialised import Materialised
from tracebank_assets.sparse_features.held_out import HeldOut
from tracebank_assets.studies import with_study
from tracebank_models.reward_probe.study import Study
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.sparse_autoencoder import (
    FEATURE_EXAMPLES,
    Feature,
    FeatureMatch,
    FeatureToken,
)


def of_table(table: SeriesTable, frame: pl.DataFrame, study: Study, held: HeldOut) -> pl.DataFrame:
    """Rows in the shape of a series table, with study and corpus."""
    whole = with_study(frame, study).with_columns(pl.lit(held.corpus_hash).alias("corpus_hash"))
    return whole.select(pl.col(name).cast(kind) for name, kind in table.polars_schema.items())


def example_rows(study: Study, held: HeldOut, examples: pl.DataFrame, texts: pl.Series) -> pl.DataFrame:
    """Rows of `series.feature_examples`, with the text around each token.

    Args:
        study: whose they are.
        held: where they are from.
        examples: see `FeaturePass.examples`.
        texts: of every token, by id.
    """
    from tracebank_models.features.token_text import surroundings

    # A token is an example of many features: its surroundings are put together once.
    rows = examples["row"].unique().sort()
    around = surroundings(held.places(), rows.to_numpy(), texts)
    return of_table(FEATURE_EXAMPLES, examples.join(around, on="row"), study, held)


def write_features(
    made: Materialised, study: Study, held: HeldOut, summary: pl.DataFrame, tokens: pl.DataFrame
) -> pl.DataFrame:
    """Put features, tokens and matches in the place of the study's.

    Args:
        made: where they go.
        study: whose they are.
        held: the dictionaries, which are matched here.
        summary: see `FeaturePass.summary`.
        tokens: see `token_rows`.

    Returns:
        Rows of `relational.features`.
    """
    from tracebank_models.features.nearest_base import nearest_base
    from tracebank_models.features.rows import feature_rows
    from tracebank_models.sparse_autoencoder.comparisons import Trained, comparisons, matches

    trained = {
        name: Trained(row.side, row.site, row.size, row.architecture, int(name.rpartition("-")[2]))
        for name, row in held.rows.items()
    }
    matched = matches(comparisons(trained), held.dictionaries)
    nearest = nearest_base(trained, held.dictionaries, summary)
    frame = feature_rows(summary, tokens, matched).join(nearest, on=["dictionary", "feature"], how="left")
    prefix = f"{study.key}/"
    for model, part in (
        (Feature, frame),
        (FeatureToken, tokens),
        (FeatureMatch, matched.drop("comparison")),
    ):
        mine = model.metadata.tables[model.__tablename__].columns["dictionary"].startswith(prefix, autoescape=True)
        made.into(model, mine).write(part)
    return frame
