"""Explanations that can be run: the tokens that a feature fires on, with their lift, scored on other documents.

A feature is expected to fire on these tokens, as strongly as it does on average. What a model says of features is
`endpoint_explanations`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from tracebank_models.activations.reader import ActivationShards
from tracebank_models.features.dictionary_codes import DictionarySet, grouped
from tracebank_models.features.explanation_scores import TokenExplanations
from tracebank_models.features.firing import Firing
from tracebank_models.features.streams import TokenBatch, TokenPlaces, describes, token_places
from tracebank_models.features.token_totals import TokenTotals
from tracebank_models.sparse_autoencoder.architectures import Dictionary

SMALLEST_LIFT = 1.0
"""Tokens that a feature fires on less often than chance explain nothing."""
NO_TOKEN = "fires on no token more often than on others"
"""The explanation of a feature whose top tokens all have too little lift."""


def explained_by_tokens(
    dictionaries: Mapping[str, Dictionary],
    streams: Mapping[str, ActivationShards],
    features: pl.DataFrame,
    tokens: pl.DataFrame,
    device: torch.device,
    progress: Callable[[float], None],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Explanations of features by their top tokens, and their scores.

    Args:
        dictionaries: Whose features, by name.
        streams: What they read, all of one corpus.
        features: Columns dictionary, feature, fired and mean_activation.
        tokens: Columns dictionary, feature, rank, token_id, token, value and lift.
        device: Where the dictionaries are.
        progress: Told the share that is done, bit by bit; all bits together are 1.

    Returns:
        `explanation_texts`, and `ScoringPass.scores` of all dictionaries.

    Raises:
        ValueError: See `ScoringPass.update` and `DictionarySet.batches`.
    """
    places = token_places(next(iter(streams.values())))
    # No token beyond the largest of the corpus can be expected, fire, or be counted.
    vocabulary = 1 + max(int(places.token_ids.max()), int(tokens["token_id"].max() or 0))  # type: ignore[arg-type]
    expected = with_mean_activations(tokens, features, described_counts(places, vocabulary))
    groups = list(grouped(dictionaries, vocabulary))
    scores = []
    for group in groups:
        state = ScoringPass(group, vocabulary)
        for batch in group.batches(streams, device):
            state.update(batch)
            progress(len(batch.rows) / len(places.token_ids) / len(groups))
        scores.append(state.scores(expected))
    return explanation_texts(tokens), pl.concat(scores)


def explanation_texts(tokens: pl.DataFrame, smallest_lift: float = SMALLEST_LIFT) -> pl.DataFrame:
    """Explanations of all features that have top tokens.

    Args:
        tokens: Columns dictionary, feature, rank, token and lift.
        smallest_lift: Tokens with less are left out.

    Returns:
        Columns dictionary, feature and text, such as `fires on " great" (lift 31), " good" (lift 22)`.
    """
    keys = ["dictionary", "feature"]
    distinct = tokens["token"].unique()
    quoted = pl.Series("quoted", [json.dumps(text, ensure_ascii=False) for text in distinct], pl.String)
    lift = pl.col("lift").round_sig_figs(2)
    # A lift of ten and more is told in whole numbers.
    shown = pl.when(lift < 10).then(lift.cast(pl.String)).otherwise(lift.cast(pl.Int64).cast(pl.String))
    one = pl.format("{} (lift {})", "quoted", shown)
    found = (
        tokens.join(pl.DataFrame({"token": distinct, "quoted": quoted}), on="token")
        .sort(*keys, "rank")
        .group_by(keys, maintain_order=True)
        .agg(one.filter(pl.col("lift") >= smallest_lift).str.join(", ").alias("listed"))
    )
    text = pl.when(pl.col("listed") == "").then(pl.lit(NO_TOKEN)).otherwise(pl.format("fires on {}", "listed"))
    return found.select(*keys, text.alias("text"))


def described_counts(places: TokenPlaces, vocabulary: int) -> pl.DataFrame:
    """How often each token stands in the documents that features are described from: token_id and token_count."""
    ids = places.token_ids[describes(torch.from_numpy(places.documents)).numpy()]
    counts = np.bincount(ids, minlength=vocabulary)
    return pl.DataFrame({"token_id": np.arange(vocabulary, dtype=np.int32), "token_count": counts})


def with_mean_activations(tokens: pl.DataFrame, features: pl.DataFrame, counts: pl.DataFrame) -> pl.DataFrame:
    """Add how strongly a feature fires on a token on average, fired or not.

    Args:
        tokens: Columns dictionary, feature, token_id and value, the token's share of the feature's activation.
        features: Columns dictionary, feature, fired and mean_activation (where it fires).
        counts: `described_counts`.

    Returns:
        The tokens with a column mean_activation.
    """
    total = (pl.col("fired") * pl.col("mean_activation")).alias("whole")
    joined = tokens.join(features.select("dictionary", "feature", total), on=["dictionary", "feature"])
    mean = (pl.col("value") * pl.col("whole") / pl.col("token_count")).alias("mean_activation")
    return joined.join(counts, on="token_id").with_columns(mean).drop("whole", "token_count")


class ScoringPass:
    """Scores of the executable explanations of several dictionaries, on documents with an odd number.

    What is expected depends on the token alone, so that all sums of a score are those of `TokenTotals`.
    """

    def __init__(
        self, dictionaries: DictionarySet, vocabulary: int, maximum: NDArray[np.float32] | None = None
    ) -> None:
        """Start with nothing seen.

        Args:
            dictionaries: Whose features are explained.
            vocabulary: How many token ids there are.
            maximum: As in `FeaturePass`, which the explanations were made from.

        Raises:
            ValueError: It is needed, since there are neurons, and not there.
        """
        self.dictionaries, self.vocabulary = dictionaries, vocabulary
        self._firing = Firing(dictionaries, maximum)
        self._totals = TokenTotals(dictionaries.features, vocabulary)

    @torch.no_grad()
    def update(self, batch: TokenBatch) -> None:
        """Take in tokens; those of documents that explanations were made from are not scored on.

        Raises:
            ValueError: A width is not the dictionary's, or a token is beyond the vocabulary.
        """
        batch = batch.kept(~describes(batch.documents))
        self._totals.update(self._firing.of(self.dictionaries.encode(batch.activations)), batch.token_ids)

    def scores(self, tokens: pl.DataFrame, smallest_lift: float = SMALLEST_LIFT) -> pl.DataFrame:
        """Score explanations.

        Args:
            tokens: `with_mean_activations`; those of other dictionaries are left out.
            smallest_lift: Tokens with less explain nothing.

        Returns:
            Columns dictionary, feature, metric, value (null where it is not defined) and tokens.
        """
        numbered = self.dictionaries.numbered(tokens)
        explained = TokenExplanations(numbered, self.vocabulary, smallest_lift=smallest_lift)
        expected = explained.simulate(torch.arange(self.vocabulary))
        return self.dictionaries.named(self._totals.scores(expected, explained.features))
