"""Which texts a unit is tested on: around its strongest tokens, some of each strength, any, and those that mislead.

Units are the columns of a stream of codes that is read twice: to choose windows, and for their values
(`window_values`). Only documents with an odd number are tested on; graphs are made of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.checked_settings import check_settings
from tracebank_models.features.statistics import FeatureStatistics
from tracebank_models.features.streams import TokenBatch, TokenPlaces, describes

STRATA: Final = ("top", "quantile", "random", "hard_negative")
"""Tokens that a unit fires on most strongly, some of each fifth by strength of those that it fires on, any tokens, and
tokens that its graph knows as activating but that it is silent on."""
_Count = Annotated[int, msgspec.Meta(ge=0, le=10_000)]


@dataclass(frozen=True, slots=True)
class StrataSettings:
    """How many windows of each stratum, and how long they are."""

    top: _Count = 10
    quantiles: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    per_quantile: _Count = 2
    random: _Count = 10
    hard_negative: _Count = 10
    before: _Count = 15
    """Tokens before the one that a window is about that are scored, as far as its document has them."""
    after: _Count = 16
    """Tokens after it."""
    lead: _Count = 32
    """Tokens before those that methods see and are not scored on: without them they would miss what stands before, and
    take the beginning of a window for that of a text."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is not allowed.

        Raises:
            ValueError: See `check_settings`.
        """
        check_settings(self)


def documents_in_both(train: NDArray[np.int64], test: NDArray[np.int64]) -> int:
    """How many documents are among those that units are described from and among those that they are tested on."""
    return int(np.intersect1d(train, test).size)


class StrataPass:
    """Chooses windows from a stream; what it keeps does not grow with it."""

    def __init__(
        self,
        thresholds: NDArray[np.float32],
        activating: pl.DataFrame,
        texts: pl.Series,
        settings: StrataSettings,
        *,
        described: bool = False,
    ) -> None:
        """Start with nothing seen.

        Args:
            thresholds: What the activation of each unit has to exceed to fire, (units,): `Firing.thresholds`.
            activating: Columns unit (the number of the column of codes) and token: what its graph fires on. A unit
                without a graph is tested on no hard negatives.
            texts: Texts of the vocabulary as graphs write them, by id (`normalized_texts`).
            settings: How many.
            described: Whether windows are of the documents that units are described from, and not of those that they
                are tested on.

        Raises:
            ValueError: A unit has no column.
        """
        if unknown := set(activating["unit"].to_list()) - set(range(len(thresholds))):
            raise ValueError(f"activating: unit {min(unknown)}: allowed are 0 to {len(thresholds) - 1}")
        self.units, self.settings, self._described = len(thresholds), settings, described
        self._thresholds = torch.from_numpy(thresholds)
        seed = settings.seed
        self._firing = FeatureStatistics(self.units, top=max(settings.top, 1), seed=seed, thresholds=thresholds)
        self._silent = FeatureStatistics(self.units, top=1, sample=max(settings.hard_negative, 1), seed=seed)
        vocabulary = pl.DataFrame(
            {"token": texts, "token_id": range(len(texts))}, schema_overrides={"token": pl.String}
        )
        known = vocabulary.join(activating.select("unit", "token").unique(), on="token")
        ids = known["token_id"].unique().sort()
        # A row of no unit for all other tokens.
        self._row_of = torch.zeros(len(texts), dtype=torch.int64)
        self._row_of[ids.to_torch()] = torch.arange(1, len(ids) + 1)
        self._knows = torch.zeros(len(ids) + 1, self.units, dtype=torch.bool)
        self._knows[self._row_of[known["token_id"].to_torch()], known["unit"].to_torch().long()] = True

    def update(self, codes: Tensor, batch: TokenBatch) -> None:
        """Take in tokens with the activations of all units, (tokens, units); those of the other documents are left out.

        Raises:
            ValueError: The shape is another, or an activation is not finite.
        """
        mine = describes(batch.documents) == self._described
        codes, ids, rows = codes.cpu().float()[mine], batch.token_ids[mine].long(), batch.rows[mine]
        self._firing.update(codes, rows)
        misleads = self._knows[self._row_of[ids]] & (codes <= self._thresholds)
        self._silent.update(misleads.float(), rows)

    def windows(self, places: TokenPlaces) -> pl.DataFrame:
        """The windows of all units.

        Args:
            places: Every token of the stream.

        Returns:
            See `windows_around`; sorted by unit and stratum.
        """
        settings = self.settings
        found = self._firing.examples(random=0, quantiles=settings.quantiles, per_quantile=settings.per_quantile)
        found = found.filter((pl.col("stratum") != "top") | (pl.col("rank") <= settings.top))
        silent = self._silent.examples(random=settings.hard_negative, quantiles=1, per_quantile=0)
        silent = silent.filter(stratum="random").with_columns(stratum=pl.lit("hard_negative"))
        parts = [part.select("feature", "stratum", "row") for part in (found, silent)] + [self._any(places)]
        chosen = pl.concat(parts).with_columns(pl.col("stratum").cast(pl.Enum(STRATA))).rename({"feature": "unit"})
        return windows_around(chosen.sort("unit", "stratum", maintain_order=True), places, self.settings)

    def _any(self, places: TokenPlaces) -> pl.DataFrame:
        rows = np.flatnonzero((describes(torch.from_numpy(places.documents)) == self._described).numpy())
        count = min(self.settings.random, rows.size)
        random = np.random.default_rng(self.settings.seed)
        drawn = [random.choice(rows, count, replace=False) for _ in range(self.units)]
        unit = np.repeat(np.arange(self.units, dtype=np.int32), count)
        return pl.DataFrame({"feature": unit, "row": np.concatenate(drawn)}).select(
            "feature", pl.lit("random").alias("stratum"), "row"
        )


def windows_around(chosen: pl.DataFrame, places: TokenPlaces, settings: StrataSettings) -> pl.DataFrame:
    """Windows around tokens, as far as their documents go.

    Args:
        chosen: Columns unit, stratum and row, a window each.
        places: Every token of the stream.
        settings: How long they are.

    Returns:
        Columns unit, stratum, window (its number), pivot, first, scored (from which on tokens are scored) and last
        (rows of the stream), and document.
    """
    starts = np.flatnonzero(np.diff(places.documents, prepend=-1))
    ends = np.append(starts[1:], places.documents.size) - 1
    pivots = chosen["row"].to_numpy()
    which = np.searchsorted(starts, pivots, side="right") - 1
    scored = np.maximum(pivots - settings.before, starts[which])
    return chosen.select("unit", "stratum", pivot="row").with_columns(
        pl.int_range(pl.len()).alias("window"),
        pl.Series("first", np.maximum(scored - settings.lead, starts[which])),
        pl.Series("scored", scored),
        pl.Series("last", np.minimum(pivots + settings.after, ends[which])),
        pl.Series("document", places.documents[pivots]),
    )
