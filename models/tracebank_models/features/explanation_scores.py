"""How well explanations of features say when those fire: simulation by correlation, and precision, recall and F1.

An explanation is scored on tokens that it was not made from; which those are is the caller's to see to.
"""

from __future__ import annotations

import polars as pl
import torch
from torch import Tensor


class TokenExplanations:
    """Explanations that can be run: a feature is expected to fire on its top tokens, as strongly as on average."""

    def __init__(self, top_tokens: pl.DataFrame, vocabulary: int, *, smallest_lift: float = 1.0) -> None:
        """Make a table of expectations.

        Args:
            top_tokens: What `TokenTotals.top_tokens` gives, of the features to explain.
            vocabulary: How many token ids there are.
            smallest_lift: Tokens with less lift explain nothing.
        """
        chosen = top_tokens.filter(pl.col("lift") >= smallest_lift)
        self.features = top_tokens["feature"].unique().sort().to_torch().long()
        self._expected = torch.zeros(vocabulary, len(self.features))
        columns = torch.searchsorted(self.features, chosen["feature"].to_torch().long())
        tokens = chosen["token_id"].to_torch().long()
        self._expected[tokens, columns] = chosen["mean_activation"].to_torch().float()

    def simulate(self, token_ids: Tensor) -> Tensor:
        """Expected codes of tokens (tokens,): shape (tokens, explained features)."""
        return self._expected.index_select(0, token_ids.long())


class ExplanationScores:
    """Scores of a stream of simulated and real codes; mergeable."""

    def __init__(self, features: Tensor) -> None:
        """Start with nothing seen.

        Args:
            features: Numbers of the features, int64, shape (features,).
        """
        self.features = features
        # Sums over tokens of: one, simulated, real, their squares and their product; then of hits, calls and firings.
        self._sums = torch.zeros(9, len(features), dtype=torch.float64)

    def update(self, simulated: Tensor, codes: Tensor) -> None:
        """Take in codes of tokens, simulated and real, each (tokens, features).

        Raises:
            ValueError: The shapes are not so.
        """
        if simulated.shape != codes.shape or codes.shape[1:] != self.features.shape:
            raise ValueError(
                f"codes: {tuple(simulated.shape)} and {tuple(codes.shape)} are not allowed: twice (tokens,"
                f" {len(self.features)})"
            )
        p, a = simulated.cpu().double(), codes.cpu().double()
        called, fires = (p > 0).double(), (a > 0).double()
        terms = (torch.ones_like(p), p, a, p * p, a * a, p * a, called * fires, called, fires)
        self._sums += torch.stack([term.sum(0) for term in terms])

    def merge(self, other: ExplanationScores) -> None:
        """Take in what another state has seen of the same features.

        Raises:
            ValueError: They are others.
        """
        if not torch.equal(self.features, other.features):
            raise ValueError("features: those of the other scores differ: allowed are the same")
        self._sums += other._sums

    def scores(self) -> pl.DataFrame:
        """Columns feature, metric (`correlation`, `precision`, `recall`, `f1`), value (null if undefined), tokens."""
        n, p, a, pp, aa, pa, hits, called, fires = self._sums
        spread = (n * pp - p * p).clamp(min=0) * (n * aa - a * a).clamp(min=0)
        values = {
            "correlation": (n * pa - p * a) / spread.sqrt(),
            "precision": hits / called,
            "recall": hits / fires,
            "f1": 2 * hits / (called + fires),
        }
        return (
            pl.concat(
                pl.DataFrame(
                    {
                        "feature": self.features.int().numpy(),
                        "metric": [metric] * len(self.features),
                        "value": torch.where(value.isfinite(), value, torch.nan).numpy(),
                        "tokens": n.long().numpy(),
                    }
                )
                for metric, value in values.items()
            )
            .with_columns(pl.col("value").fill_nan(None))
            .sort("feature", "metric")
        )
