"""What each feature does on each token of the vocabulary, summed in one dense table: firings, activation, squares.

Top tokens and scores of executable explanations follow from these sums alone. The table is features times vocabulary,
so callers keep the number of features at once within bounds (`dictionary_codes.grouped`).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor


class TokenTotals:
    """Sums of a stream of codes by token id."""

    def __init__(self, features: int, vocabulary: int) -> None:
        """Start with nothing seen.

        Args:
            features: How many features there are.
            vocabulary: How many token ids there are.
        """
        self.features, self.vocabulary = features, vocabulary
        self.seen = torch.zeros(vocabulary, dtype=torch.int64)
        """How often each token was there, (vocabulary,)."""
        self.fired = torch.zeros(vocabulary, features, dtype=torch.int32)
        """How often each feature fired on it, (vocabulary, features)."""
        self.total = torch.zeros(vocabulary, features, dtype=torch.float64)
        """Sum of its activations, (vocabulary, features)."""
        self.squares = torch.zeros(features, dtype=torch.float64)
        """Sum of squared activations over all tokens, (features,)."""

    def update(self, codes: Tensor, token_ids: Tensor) -> None:
        """Take in codes (tokens, features) of tokens (tokens,); a feature fires where its code is above 0.

        Raises:
            ValueError: The shapes do not fit, or a token is beyond the vocabulary.
        """
        if codes.shape != (len(token_ids), self.features):
            raise ValueError(f"codes: shape {tuple(codes.shape)} is not allowed: ({len(token_ids)}, {self.features})")
        if len(token_ids) == 0:
            return
        if not 0 <= int(token_ids.min()) <= int(token_ids.max()) < self.vocabulary:
            raise ValueError(f"token_ids: {int(token_ids.max())} is not allowed: 0 to {self.vocabulary - 1}")
        # On the CPU: there the order of additions, and so every sum, is always the same.
        codes = codes.cpu().float()
        ids, place = torch.unique(token_ids.cpu().long(), return_inverse=True)
        self.seen.index_add_(0, ids, torch.bincount(place, minlength=len(ids)))
        table = torch.zeros(len(ids), self.features)
        self.total.index_add_(0, ids, table.index_add_(0, place, codes).double())
        self.fired.index_add_(0, ids, table.zero_().index_add_(0, place, (codes > 0).float()).int())
        self.squares += codes.square().sum(0).double()

    @property
    def tokens(self) -> int:
        """How many tokens were seen."""
        return int(self.seen.sum())

    def top_tokens(self, count: int = 10) -> pl.DataFrame:
        """Tokens that make up most of a feature's activation.

        Args:
            count: Tokens a feature.

        Returns:
            Columns feature, rank, token_id, fired, token_count, mean_activation (over all of the token, fired or not),
            share (of the feature's activation) and lift (share of the feature's firings over the token's share of all
            tokens); by feature, and then by share.
        """
        total, ids = self.total.topk(min(count, self.vocabulary), dim=0)
        features = torch.arange(self.features).expand_as(ids)
        frame = pl.DataFrame(
            {
                "feature": features.T.flatten().int().numpy(),
                "token_id": ids.T.flatten().int().numpy(),
                "fired": self.fired[ids, features].T.flatten().long().numpy(),
                "token_count": self.seen[ids].T.flatten().numpy(),
                "total": total.T.flatten().numpy(),
                "whole": self.total.sum(0).expand_as(total).T.flatten().numpy(),
                "firings": self.fired.sum(0).expand_as(total).T.flatten().numpy(),
            }
        ).filter(pl.col("fired") > 0)
        return (
            frame.with_columns(
                (pl.col("total") / pl.col("token_count")).alias("mean_activation"),
                (pl.col("total") / pl.col("whole")).alias("share"),
                (pl.col("fired") / pl.col("firings") / (pl.col("token_count") / max(self.tokens, 1))).alias("lift"),
            )
            .sort("feature", "share", "token_id", descending=[False, True, False])
            .with_columns((pl.int_range(pl.len()).over("feature") + 1).cast(pl.Int32).alias("rank"))
            .select("feature", "rank", "token_id", "fired", "token_count", "mean_activation", "share", "lift")
        )

    def scores(self, expected: Tensor, features: Tensor) -> pl.DataFrame:
        """How well an expectation for each token says what features do on the tokens that were seen.

        Args:
            expected: Expected activation, (vocabulary, explained features); 0 where the feature is not to fire.
            features: Numbers of the explained features, (explained features,).

        Returns:
            Columns feature, metric (`correlation`, `precision`, `recall`, `f1`), value (null where it is not defined)
            and tokens, sorted by feature and metric.
        """
        p, called = expected.double(), expected > 0
        whole = len(features) == self.features  # then nothing of the tables has to be copied
        total, fired = (t if whole else t[:, features] for t in (self.total, self.fired))
        seen = self.seen.double()
        sums, a, aa = seen @ p, total.sum(0), self.squares[features]
        n, squares, products = float(self.tokens), seen @ p.square(), (p * total).sum(0)
        hits, calls, fires = (fired * called).sum(0).double(), seen @ called.double(), fired.sum(0).double()
        spread = (n * squares - sums.square()).clamp(min=0) * (n * aa - a.square()).clamp(min=0)
        values = {
            "correlation": (n * products - sums * a) / spread.sqrt(),
            "precision": hits / calls,
            "recall": hits / fires,
            "f1": 2 * hits / (calls + fires),
        }
        parts = [
            pl.DataFrame(
                {
                    "feature": features.int().numpy(),
                    "metric": [metric] * len(features),
                    "value": torch.where(value.isfinite(), value, torch.nan).numpy(),
                    "tokens": np.full(len(features), self.tokens),
                }
            )
            for metric, value in values.items()
        ]
        return pl.concat(parts).with_columns(pl.col("value").fill_nan(None)).sort("feature", "metric")
