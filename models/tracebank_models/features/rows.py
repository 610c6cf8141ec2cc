"""What can be said of features without activations, as frames: partners in other dictionaries, and tokens they write.

What they fire on is `feature_pass`.
"""

from __future__ import annotations

import polars as pl
from torch import Tensor

from tracebank_models.features.written_tokens import top_logits
from tracebank_models.sparse_autoencoder.architectures import Dictionary


def partners(matched: pl.DataFrame) -> pl.DataFrame:
    """Partner of each feature in the other model's dictionary, seen from both sides.

    Args:
        matched: See `comparisons.matches`.

    Returns:
        Columns dictionary, feature, matched_dictionary, matched_feature and matched_cosine.
    """
    mine = matched.filter(pl.col("comparison") == "tuning")
    names = ("dictionary", "feature", "matched_dictionary", "matched_feature")
    views = (
        dict(zip(names, columns, strict=True))
        for columns in (
            ("dictionary", "feature", "other", "other_feature"),
            ("other", "other_feature", "dictionary", "feature"),
        )
    )
    found = [
        mine.select(*(pl.col(old).alias(new) for new, old in view.items()), pl.col("cosine").alias("matched_cosine"))
        for view in views
    ]
    return pl.concat(found).with_columns(pl.col("feature").cast(pl.Int32))


def written_tokens(name: str, dictionary: Dictionary, unembedding: Tensor, count: int = 5) -> pl.DataFrame:
    """Tokens whose logits each feature raises and lowers most, writing straight into the residual stream.

    Of a crosscoder this is its last site's part, which is the tuned model's.

    Args:
        name: Of the dictionary.
        dictionary: The dictionary.
        unembedding: A row a token of the model that it writes for, (tokens, width).
        count: Tokens at each end.

    Returns:
        Columns dictionary, feature, role (`raised` or `lowered`), rank, token_id, value (the logit).

    Raises:
        ValueError: The site's width is not the unembedding's.
    """
    rows = (dictionary.decoder_rows() / dictionary.input_scale).detach()[:, -dictionary.config.d_in :]
    frame = top_logits(rows, unembedding.to(rows.device), min(count, len(unembedding)))
    return frame.select(
        pl.lit(name).alias("dictionary"),
        "feature",
        pl.col("direction").alias("role"),
        "rank",
        "token_id",
        pl.col("logit").cast(pl.Float64).alias("value"),
    )


def token_rows(top_tokens: pl.DataFrame, written: pl.DataFrame, texts: pl.Series) -> pl.DataFrame:
    """Tokens of features, one way or another.

    Args:
        top_tokens: `FeaturePass.top_tokens`.
        written: `written_tokens`, of all dictionaries.
        texts: `token_texts`.

    Returns:
        Columns dictionary, feature, role (`fires_on`, `raised` or `lowered`), rank, token_id, token, value (share of
        the feature's activation, or the logit) and lift (null unless it fires on it).
    """
    fires_on = top_tokens.select(
        "dictionary",
        "feature",
        pl.lit("fires_on").alias("role"),
        "rank",
        "token_id",
        pl.col("share").alias("value"),
        "lift",
    )
    found = pl.concat([fires_on, written.with_columns(pl.lit(None, pl.Float64).alias("lift"))])
    return found.with_columns(texts.gather(found["token_id"])).select(
        "dictionary", "feature", "role", "rank", "token_id", "token", "value", "lift"
    )


def feature_rows(summary: pl.DataFrame, tokens: pl.DataFrame, matched: pl.DataFrame) -> pl.DataFrame:
    """A row a feature: what it fires on, what it writes, and who it matches in the other model.

    Args:
        summary: `FeaturePass.summary`.
        tokens: `token_rows`.
        matched: `comparisons.matches`.
    """
    keys = ["dictionary", "feature"]
    found = summary
    for role, column in (("fires_on", "top_tokens"), ("raised", "raised_tokens"), ("lowered", "lowered_tokens")):
        of_role = tokens.filter(pl.col("role") == role).sort(*keys, "rank")
        lists = of_role.group_by(keys, maintain_order=True).agg(pl.col("token").alias(column))
        found = found.join(lists, on=keys, how="left", maintain_order="left")
    empty = pl.lit([], pl.List(pl.String))
    found = found.join(partners(matched), on=keys, how="left", maintain_order="left")
    others = matched.filter(pl.col("comparison") == "tuning").select("dictionary", "other").unique()
    # A dictionary has a counterpart even where one of its features is left without a partner.
    both = pl.concat([others, others.select(pl.col("other").alias("dictionary"), pl.col("dictionary").alias("other"))])
    found = found.join(both, on="dictionary", how="left", maintain_order="left")
    return found.with_columns(
        pl.col("other").alias("matched_dictionary"),
        *(pl.col(name).fill_null(empty) for name in ("top_tokens", "raised_tokens", "lowered_tokens")),
    ).drop("other")
