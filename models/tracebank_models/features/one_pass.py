"""One pass over held-out activations that describes the features of many dictionaries at once.

What a pass gives is frames in the shape of rows. Scores of explanations are another pass over other documents
(`executable_explanations`), and what dictionaries write for, or match, needs no activations (`feature_frames`).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from tracebank_models.features.dictionary_codes import DictionarySet, inputs_of
from tracebank_models.features.statistics import FeatureStatistics
from tracebank_models.features.streams import TokenBatch, describes
from tracebank_models.features.token_totals import TokenTotals
from tracebank_models.sparse_autoencoder.crosscoder import LatentScaling, relative_decoder_norms

_CROSSCODER_COLUMNS = ("relative_norm_difference", "nu_reconstruction", "nu_error")


class FeaturePass:
    """Statistics, tokens, examples and codes of the features of several dictionaries.

    Statistics, tokens and examples are those of the documents with an even number (`describes`); codes are those of the
    first tokens, whatever their documents.
    """

    def __init__(
        self,
        dictionaries: DictionarySet,
        vocabulary: int,
        *,
        stored_tokens: int = 0,
        top: int = 20,
        sample: int = 128,
        seed: int = 0,
    ) -> None:
        """Start with nothing seen.

        Args:
            dictionaries: Whose features.
            vocabulary: How many token ids there are.
            stored_tokens: Tokens whose codes are given back; the first ones.
            top: How many of the strongest tokens are kept of each feature.
            sample: How many tokens of each feature random and quantile examples are drawn from.
            seed: Of that drawing.

        Raises:
            ValueError: A number is not positive.
        """
        self.dictionaries, self.stored_tokens = dictionaries, stored_tokens
        self.statistics = FeatureStatistics(dictionaries.features, top=top, sample=sample, seed=seed)
        self.tokens = TokenTotals(dictionaries.features, vocabulary)
        self._stored_fired = np.zeros(dictionaries.features, np.int64)
        self._scalings = {
            name: LatentScaling(one)
            for name, one in dictionaries.dictionaries.items()
            if one.config.architecture == "crosscoder" and len(one.config.sites) == 2
        }

    @torch.no_grad()
    def update(self, batch: TokenBatch) -> pl.DataFrame:
        """Take in tokens.

        Returns:
            Codes of those among the first tokens, a row for each token that a feature fires on: dictionary, feature,
            document, position, token_id and activation.

        Raises:
            ValueError: A width is not the dictionary's, a code is not finite, or a token is beyond the vocabulary.
        """
        stored = batch.rows < self.stored_tokens
        batch = batch.kept(describes(batch.documents) | stored)
        stored, described = batch.rows < self.stored_tokens, describes(batch.documents)
        codes = self.dictionaries.encode(batch.activations)
        if bool(described.any()):
            mine = codes if bool(described.all()) else codes[described.to(codes.device)]
            self._describe(batch.kept(described), mine)
        return self._stored(batch, codes, int(stored.sum()))

    def _describe(self, batch: TokenBatch, codes: torch.Tensor) -> None:
        self.statistics.update(codes, batch.rows)
        self.tokens.update(codes, batch.token_ids)
        for name, scaling in self._scalings.items():
            scaling.update(inputs_of(self.dictionaries.dictionaries[name], batch.activations))

    def _stored(self, batch: TokenBatch, codes: torch.Tensor, count: int) -> pl.DataFrame:
        first = codes[:count]  # rows ascend, so those to store come first
        self._stored_fired += (first > 0).sum(0).cpu().numpy()
        # Sorted by feature: the order in which rows are kept.
        feature, token = (first.T > 0).nonzero(as_tuple=True)
        values, token = first[token, feature].cpu(), token.cpu()
        frame = pl.DataFrame(
            {
                "feature": feature.cpu().numpy().astype(np.int32),
                "document": batch.documents[token].numpy(),
                "position": batch.positions[token].numpy(),
                "token_id": batch.token_ids[token].numpy(),
                "activation": values.numpy(),
            }
        )
        return self.dictionaries.named(frame)

    def stored_fired(self) -> pl.DataFrame:
        """Columns dictionary, feature and fired: on how many of the stored tokens, counted apart from the rows."""
        features = np.arange(self.dictionaries.features, dtype=np.int32)
        return self.dictionaries.named(pl.DataFrame({"feature": features, "fired": self._stored_fired}))

    def summary(self) -> pl.DataFrame:
        """See `FeatureStatistics.summary`, with dictionary, and for crosscoders whose each feature is; null elsewhere.

        Those columns are relative_norm_difference, nu_reconstruction and nu_error.
        """
        found = self.dictionaries.named(self.statistics.summary())
        empty = [pl.lit(None, pl.Float64).alias(name) for name in _CROSSCODER_COLUMNS]
        if not self._scalings:
            return found.with_columns(empty)
        whose = pl.concat(
            relative_decoder_norms(self.dictionaries.dictionaries[name])
            .join(scaling.frame(), on="feature")
            .select(pl.lit(name).alias("dictionary"), pl.col("feature").cast(pl.Int32), *_CROSSCODER_COLUMNS)
            for name, scaling in self._scalings.items()
        )
        return found.join(whose, on=["dictionary", "feature"], how="left", maintain_order="left")

    def examples(self, *, random: int = 10, quantiles: int = 5, per_quantile: int = 2) -> pl.DataFrame:
        """See `FeatureStatistics.examples`, with dictionary; row is the number of the token in the stream."""
        return self.dictionaries.named(
            self.statistics.examples(random=random, quantiles=quantiles, per_quantile=per_quantile)
        )

    def top_tokens(self, count: int = 10) -> pl.DataFrame:
        """See `TokenTotals.top_tokens`, with dictionary."""
        return self.dictionaries.named(self.tokens.top_tokens(count))
