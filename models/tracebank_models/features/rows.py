"""What can be said of features without activations, as frames: partners in other dictionaries, and tokens they write.

What they fire on is `feature_pass`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Final

import polars as pl
from torch import Tensor

from tracebank_models.features.written_tokens import top_logits
from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.matching import match_features

_KINDS: Final = {"side": "tuning", "size": "size", "seed": "seed"}


@dataclass(frozen=True, slots=True)
class Trained:
    """What tells the dictionaries of a study from one another."""

    side: str
    """base, tuned or both."""
    site: str
    size: str
    architecture: str
    seed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two dictionaries that differ in one thing."""

    kind: str
    """size, tuning or seed."""
    first: str
    """The small one, the base model's, or that of the smaller seed."""
    second: str


@dataclass(frozen=True, slots=True)
class Matched:
    """Dictionaries compared with one another."""

    similarities: pl.DataFrame
    """Columns dictionary, other, comparison and mmcs."""
    matches: pl.DataFrame
    """Columns dictionary, other, comparison, feature, other_feature and cosine."""


def comparisons(trained: Mapping[str, Trained], sizes: Mapping[str, int]) -> list[Comparison]:
    """Pairs of dictionaries that differ in nothing but size, side (base and tuned) or seed.

    Args:
        trained: By name of the dictionary.
        sizes: Features of each.
    """
    found = []
    for (one, a), (other, b) in combinations(sorted(trained.items()), 2):
        differing = [field.name for field in fields(Trained) if getattr(a, field.name) != getattr(b, field.name)]
        if len(differing) != 1 or differing[0] not in _KINDS or (differing == ["side"] and "both" in (a.side, b.side)):
            continue
        order = {"side": (a.side, b.side), "size": (sizes[one], sizes[other]), "seed": (a.seed, b.seed)}[differing[0]]
        pair = (one, other) if order[0] <= order[1] else (other, one)  # type: ignore[operator]
        found.append(Comparison(_KINDS[differing[0]], *pair))
    return found


def match_all(pairs: Iterable[Comparison], dictionaries: Mapping[str, Dictionary]) -> Matched:
    """Match features one to one: by encoder rows where sizes differ (arXiv:2310.08164), else by decoder rows.

    Raises:
        ValueError: Two of a pair have other widths.
    """
    similarities, matches = [], []
    for pair in pairs:
        rows = [_rows(dictionaries[name], pair.kind) for name in (pair.first, pair.second)]
        frame = match_features(*rows).rename({"matched_feature": "other_feature"})
        named = {"dictionary": pair.first, "other": pair.second, "comparison": pair.kind}
        similarities.append({**named, "mmcs": frame["cosine"].mean()})
        matches.append(frame.with_columns(pl.lit(value).alias(name) for name, value in named.items()))
    empty = {"dictionary": pl.String, "other": pl.String, "comparison": pl.String}
    columns = {**empty, "feature": pl.Int64, "other_feature": pl.Int64, "cosine": pl.Float64}
    return Matched(
        pl.DataFrame(similarities, schema={**empty, "mmcs": pl.Float64}),
        pl.concat([pl.DataFrame(schema=columns), *(frame.select(*columns) for frame in matches)]),
    )


def _rows(dictionary: Dictionary, kind: str) -> Tensor:
    return (dictionary.encoder_rows() if kind == "size" else dictionary.decoder_rows()).detach()


def partners(matched: Matched) -> pl.DataFrame:
    """Partner of each feature in the other model's dictionary, seen from both sides.

    Returns:
        Columns dictionary, feature, matched_dictionary, matched_feature and matched_cosine.
    """
    mine = matched.matches.filter(pl.col("comparison") == "tuning")
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


def feature_rows(summary: pl.DataFrame, tokens: pl.DataFrame, matched: Matched) -> pl.DataFrame:
    """A row a feature: what it fires on, what it writes, and who it matches in the other model.

    Args:
        summary: `FeaturePass.summary`.
        tokens: `token_rows`.
        matched: `match_all`.
    """
    keys = ["dictionary", "feature"]
    found = summary
    for role, column in (("fires_on", "top_tokens"), ("raised", "raised_tokens"), ("lowered", "lowered_tokens")):
        of_role = tokens.filter(pl.col("role") == role).sort(*keys, "rank")
        lists = of_role.group_by(keys, maintain_order=True).agg(pl.col("token").alias(column))
        found = found.join(lists, on=keys, how="left", maintain_order="left")
    empty = pl.lit([], pl.List(pl.String))
    found = found.join(partners(matched), on=keys, how="left", maintain_order="left")
    others = matched.similarities.filter(pl.col("comparison") == "tuning").select("dictionary", "other")
    # A dictionary has a counterpart even where one of its features is left without a partner.
    both = pl.concat([others, others.select(pl.col("other").alias("dictionary"), pl.col("dictionary").alias("other"))])
    found = found.join(both, on="dictionary", how="left", maintain_order="left")
    return found.with_columns(
        pl.col("other").alias("matched_dictionary"),
        *(pl.col(name).fill_null(empty) for name in ("top_tokens", "raised_tokens", "lowered_tokens")),
    ).drop("other")
