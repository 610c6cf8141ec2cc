"""Which tokens features fire on, with their lift, and which tokens their decoder rows write for."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

_PAIRS = {"feature": pl.Int32, "token_id": pl.Int32, "fired": pl.Int64, "total": pl.Float64}


class TokenStatistics:
    """Counts of (feature, token) pairs of a stream of codes; mergeable."""

    def __init__(self, features: int, vocabulary: int) -> None:
        """Start with nothing seen.

        Args:
            features: How many features there are.
            vocabulary: How many token ids there are.
        """
        self.features, self.vocabulary = features, vocabulary
        self.seen = np.zeros(vocabulary, np.int64)
        self._pairs = pl.DataFrame(schema=_PAIRS)
        self._fresh: list[pl.DataFrame] = []

    def update(self, codes: Tensor, token_ids: Tensor) -> None:
        """Take in codes (tokens, features) of tokens (tokens,); a feature fires where its code is above 0.

        Raises:
            ValueError: The shapes do not fit, or a token is beyond the vocabulary.
        """
        if codes.shape != (len(token_ids), self.features):
            raise ValueError(f"codes: shape {tuple(codes.shape)} is not allowed: ({len(token_ids)}, {self.features})")
        ids = token_ids.cpu().numpy()
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < self.vocabulary:
            raise ValueError(f"token_ids: {int(ids.max())} is not allowed: 0 to {self.vocabulary - 1}")
        self.seen += np.bincount(ids, minlength=self.vocabulary)
        token, feature = (codes > 0).nonzero(as_tuple=True)
        batch = pl.DataFrame(
            {
                "feature": feature.cpu().numpy().astype(np.int32),
                "token_id": ids[token.cpu().numpy()].astype(np.int32),
                "total": codes[token, feature].double().cpu().numpy(),
            }
        )
        grouped = batch.group_by("feature", "token_id").agg(
            pl.len().cast(pl.Int64).alias("fired"), pl.col("total").sum()
        )
        self._add(grouped.select(*_PAIRS))

    def merge(self, other: TokenStatistics) -> None:
        """Take in what another state has seen.

        Raises:
            ValueError: It is of other features or another vocabulary.
        """
        if (other.features, other.vocabulary) != (self.features, self.vocabulary):
            raise ValueError(
                f"features: {other.features} over {other.vocabulary} tokens is not allowed: {self.features} over"
                f" {self.vocabulary}"
            )
        self.seen += other.seen
        self._add(other.pairs())

    def _add(self, pairs: pl.DataFrame) -> None:
        self._fresh.append(pairs)
        # Sums are made when as much is new as is there already, so each pair is summed a few times at most.
        if sum(part.height for part in self._fresh) > self._pairs.height + 100_000:
            self._sum()

    def _sum(self) -> None:
        every = pl.concat([self._pairs, *self._fresh])
        self._pairs = every.group_by("feature", "token_id").agg(pl.col("fired", "total").sum())
        self._fresh = []

    def pairs(self) -> pl.DataFrame:
        """Columns feature, token_id, fired (times) and total (sum of activations), sorted by feature and token."""
        self._sum()
        return self._pairs.sort("feature", "token_id")

    def top_tokens(self, count: int = 10, *, smallest_fired: int = 1) -> pl.DataFrame:
        """Tokens that make up most of a feature's activation.

        Args:
            count: Tokens a feature.
            smallest_fired: Pairs that fired less often are left out.

        Returns:
            Columns feature, rank, token_id, fired, token_count, mean_activation (over all of the token, fired or not),
            share (of the feature's activation) and lift (share of the feature's firings over the token's share of all
            tokens).
        """
        frequency = pl.DataFrame({"token_id": np.arange(self.vocabulary, dtype=np.int32), "token_count": self.seen})
        tokens = max(int(self.seen.sum()), 1)
        return (
            self.pairs()
            .with_columns(
                (pl.col("total") / pl.col("total").sum().over("feature")).alias("share"),
                (pl.col("fired") / pl.col("fired").sum().over("feature")).alias("lift"),
            )
            .filter(pl.col("fired") >= smallest_fired)
            .join(frequency, on="token_id")
            .with_columns(
                pl.col("lift") / (pl.col("token_count") / tokens),
                (pl.col("total") / pl.col("token_count")).alias("mean_activation"),
            )
            .sort("feature", "share", "token_id", descending=[False, True, False])
            .with_columns((pl.int_range(pl.len()).over("feature") + 1).cast(pl.Int32).alias("rank"))
            .filter(pl.col("rank") <= count)
            .select("feature", "rank", "token_id", "fired", "token_count", "mean_activation", "share", "lift")
        )


def top_logits(decoder: Tensor, unembedding: Tensor, count: int = 10, *, block: int = 1_024) -> pl.DataFrame:
    """Tokens whose logits a feature raises and lowers most when it writes straight into the residual stream.

    Args:
        decoder: A row a feature, shape (features, width).
        unembedding: A row a token, shape (tokens, width).
        count: Tokens at each end.
        block: Features at once: bounds the memory to block x tokens.

    Returns:
        Columns feature, direction (`raised` or `lowered`), rank (from 1), token_id and logit.

    Raises:
        ValueError: The widths differ, or there are fewer tokens than asked for.
    """
    if decoder.shape[1] != unembedding.shape[1] or not 1 <= count <= len(unembedding):
        raise ValueError(
            f"decoder: {tuple(decoder.shape)} with unembedding {tuple(unembedding.shape)}, {count} tokens: allowed are"
            " equal widths, and 1 to as many tokens as there are"
        )
    parts = []
    for first in range(0, len(decoder), block):
        logits = decoder[first : first + block].detach().float() @ unembedding.detach().float().T
        features = torch.arange(first, first + len(logits), dtype=torch.int32).repeat_interleave(count)
        for direction, largest in (("raised", True), ("lowered", False)):
            found = logits.topk(count, dim=1, largest=largest)
            columns = {
                "feature": features.numpy(),
                "rank": np.tile(np.arange(1, count + 1, dtype=np.int32), len(logits)),
                "token_id": found.indices.flatten().int().cpu().numpy(),
                "logit": found.values.flatten().cpu().numpy(),
            }
            parts.append(pl.DataFrame(columns).with_columns(direction=pl.lit(direction)))
    frame = pl.concat(parts).select("feature", "direction", "rank", "token_id", "logit")
    return frame.sort("feature", "direction", "rank", descending=[False, True, False])
