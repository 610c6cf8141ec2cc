"""Probes as rows: names, and frames with the columns of the tables. How they are fitted is `fitted_probes`' to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

SPLIT_SEED: Final = 42
"""Of every split (2310.08164); the ridge probes' number, and the first of the probes of chance."""
REWARD: Final = "reward"
UNSEEN_WORDS: Final = "unseen_words"
PREFERENCE: Final = "preference"
DYNAMICS: Final = "dynamics"

PROBE_SCHEMA: Final = {
    "probe": pl.String,
    "study": pl.String,
    "model": pl.String,
    "task": pl.String,
    "kind": pl.String,
    "representation": pl.String,
    "seed": pl.Int64,
    "inputs": pl.Int64,
    "train_rows": pl.Int64,
    "test_rows": pl.Int64,
}
METRIC_SCHEMA: Final = {
    "probe": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "p_value": pl.Float64,
    "count": pl.Int64,
}
WEIGHT_SCHEMA: Final = {
    "probe": pl.String,
    "dictionary": pl.String,
    "feature": pl.Int32,
    "weight": pl.Float64,
    "rank": pl.Int32,
}
REWARD_SCHEMA: Final = {
    "probe": pl.String,
    "word": pl.String,
    "reconstructed": pl.Float64,
    "lexicon": pl.Float64,
    "count": pl.Int64,
}


@dataclass(frozen=True, slots=True)
class ProbedModel:
    """Which model's activations are read, and through which dictionaries."""

    study: str
    model: str
    dictionaries: Mapping[str, str]
    """Full name of the dictionary of each site."""

    def probe(self, task: str, kind: str, representation: str, seed: int = SPLIT_SEED) -> str:
        """Name of a probe. The study is in it, since studies share their base model."""
        return f"{self.study}/{self.model}/{task}/{kind}/{representation}/{seed}"


@dataclass(frozen=True, slots=True)
class ProbeTables:
    """Rows of the tables of probes."""

    probes: pl.DataFrame
    """Columns of `probes`."""
    metrics: pl.DataFrame
    """Columns of `probe_metrics`."""
    weights: pl.DataFrame
    """Columns of `probe_weights`: of the fitted probes on sparse codes."""
    rewards: pl.DataFrame
    """Columns of `reconstructed_rewards`: of the fitted probes."""

    @classmethod
    def joined(cls, tables: Iterable[ProbeTables]) -> ProbeTables:
        """All rows of several."""
        parts = list(tables)
        return cls(
            pl.concat(part.probes for part in parts),
            pl.concat(part.metrics for part in parts),
            pl.concat(part.weights for part in parts),
            pl.concat(part.rewards for part in parts),
        )

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return self.probes.height + self.metrics.height + self.weights.height + self.rewards.height

    def metric(self, probe: str, metric: str) -> tuple[float | None, float | None]:
        """Value and p-value of a metric of a probe.

        Raises:
            KeyError: There is none.
        """
        found = self.metrics.filter(probe=probe, metric=metric)
        if found.is_empty():
            raise KeyError(f"{metric} of {probe}")
        value, p_value = found.select("value", "p_value").row(0)
        return value, p_value


def of_probe(probe: str, frame: pl.DataFrame, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """A frame with the columns of a table, the probe's name among them."""
    named = frame.with_columns(pl.lit(probe).alias("probe"))
    return named.select(pl.col(column).cast(kind) for column, kind in schema.items())
