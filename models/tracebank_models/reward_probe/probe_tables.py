"""Probes as rows: names, and frames with the columns of the tables. How they are fitted is said elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from tracebank_models.reward_probe.agreement import FIGURES, Floats

REWARD: Final = "reward"
REPLICATION: Final = "replication"
PREFERENCE: Final = "preference"
DYNAMICS: Final = "dynamics"
WORDS: Final = "words"
"""What a control reads that knows the word or the answer itself, and nothing of a model."""

PROBES: Final = {
    "probe": pl.String, "study": pl.String, "seed": pl.Int64, "model": pl.String, "task": pl.String,
    "kind": pl.String, "representation": pl.String, "number": pl.Int64, "inputs": pl.Int64,
    "train_rows": pl.Int64, "test_rows": pl.Int64,
}  # fmt: skip
DIFFERENCES: Final = {"probe": pl.String, "less": pl.String, **FIGURES}
WEIGHTS: Final = {
    "probe": pl.String, "dictionary": pl.String, "feature": pl.Int32, "weight": pl.Float64, "rank": pl.Int32,
}  # fmt: skip
REWARDS: Final = {
    "probe": pl.String, "word": pl.String, "reconstructed": pl.Float64, "lexicon": pl.Float64, "count": pl.Int64,
}  # fmt: skip


def _empty(schema: Mapping[str, type[pl.DataType]]) -> Callable[[], pl.DataFrame]:
    return lambda: pl.DataFrame(schema=schema)


@dataclass(frozen=True, slots=True)
class ProbeTables:
    """Rows of the tables of probes."""

    probes: pl.DataFrame = field(default_factory=_empty(PROBES))
    metrics: pl.DataFrame = field(default_factory=_empty({"probe": pl.String, **FIGURES}))
    differences: pl.DataFrame = field(default_factory=_empty(DIFFERENCES))
    weights: pl.DataFrame = field(default_factory=_empty(WEIGHTS))
    """Of the probes on sparse codes that were fitted on everything."""
    rewards: pl.DataFrame = field(default_factory=_empty(REWARDS))
    """Of the trained probes of words."""

    @classmethod
    def joined(cls, tables: Iterable[ProbeTables]) -> ProbeTables:
        """All rows of several."""
        parts = [cls(), *tables]
        return cls(*(pl.concat(getattr(part, name) for part in parts) for name in cls.__slots__))

    def compared(self) -> pl.DataFrame:
        """The differences beside the two figures: columns task, representation, base, tuned, and those of figures."""
        values = self.metrics.select("probe", "metric", "value")
        of_probe = self.probes.select("probe", "task", "representation")
        of_base = values.rename({"probe": "less", "value": "base"})
        found = self.differences.join(of_probe, on="probe", how="left", maintain_order="left")
        found = found.join(of_base, on=["less", "metric"], how="left", maintain_order="left")
        found = found.join(values, on=["probe", "metric"], how="left", maintain_order="left", suffix="_of_probe")
        return found.select("task", "representation", "base", pl.col("value_of_probe").alias("tuned"), *FIGURES)


@dataclass(frozen=True, slots=True)
class ProbedModel:
    """Which model's activations are read, and through which dictionaries."""

    key: str
    """Of the study and its seed: what names begin with, since studies share their base model."""
    study: str
    seed: int
    """The study's."""
    model: str
    dictionaries: Mapping[str, str]
    """Full name of the dictionary of each site."""

    def probe(self, task: str, kind: str, representation: str, number: int | None = None) -> str:
        """Name of a probe; a number tells random ones apart."""
        return probe_name(self.key, self.model, task, kind, representation, number)


def probe_name(key: str, model: str, task: str, kind: str, representation: str, number: int | None = None) -> str:
    """Name of a probe of a study's model."""
    return "/".join([key, model, task, kind, representation, *([] if number is None else [str(number)])])


def probe_table(
    subject: ProbedModel,
    task: str,
    kind: str,
    representation: str,
    figures: pl.DataFrame,
    *,
    number: int | None = None,
    inputs: int = 0,
    rows: tuple[int, int],
) -> ProbeTables:
    """A probe with its figures.

    Args:
        subject: The model.
        task: What it is to predict.
        kind: How it came about.
        representation: What it reads.
        figures: Columns of `FIGURES`.
        number: Of a random probe.
        inputs: Numbers that it reads of a model.
        rows: How many it was fitted on and measured on.
    """
    name = subject.probe(task, kind, representation, number)
    row = (
        name, subject.study, subject.seed, subject.model, task, kind, representation, number or 0, inputs, *rows,
    )  # fmt: skip
    return ProbeTables(
        pl.DataFrame([row], schema=PROBES, orient="row"), figures.select(pl.lit(name).alias("probe"), *FIGURES)
    )


def weight_rows(subject: ProbedModel, probe: str, weights: Floats, features: Mapping[str, int]) -> ProbeTables:
    """Weights of a probe on sparse codes by dictionary and feature; rank 1 has the largest magnitude.

    Args:
        subject: The model.
        probe: Name of the probe.
        weights: In the order of the sites and their features.
        features: How many features each site has, in the order in which their codes stood side by side.

    Raises:
        ValueError: The features are more or fewer than the weights.
    """
    if sum(features.values()) != len(weights):
        raise ValueError(f"features: {sum(features.values())} are not allowed: {len(weights)}, as the probe has")
    frame = pl.DataFrame(
        {
            "dictionary": np.repeat([subject.dictionaries[site] for site in features], list(features.values())),
            "feature": np.concatenate([np.arange(count) for count in features.values()]),
            "weight": weights,
        }
    )
    rank = pl.col("weight").abs().rank("ordinal", descending=True).alias("rank")
    return ProbeTables(weights=frame.select(pl.lit(probe).alias("probe"), pl.all(), rank).cast(pl.Schema(WEIGHTS)))


def reward_rows(probe: str, rewards: pl.DataFrame) -> ProbeTables:
    """Rewards of words, with the columns word, reconstructed, lexicon and count, as rows of a probe."""
    return ProbeTables(
        rewards=rewards.select(pl.lit(probe).alias("probe"), *list(REWARDS)[1:]).cast(pl.Schema(REWARDS))
    )


def difference_rows(probe: str, less: str, figures: pl.DataFrame) -> ProbeTables:
    """Figures of a probe less those of another as rows of the two."""
    names = pl.lit(probe).alias("probe"), pl.lit(less).alias("less")
    return ProbeTables(differences=figures.select(*names, *FIGURES))
