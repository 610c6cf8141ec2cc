"""Texts of units, with what they do at every token, and how strongly they fire overall: what is looked at of them.

Units are shown on the documents that they are described from, those with an even number, so that maxima are the ones
that graphs and features have. They are gone through twice, and before it once more where units fire at a share of their
maxima; of a unit some numbers are kept a document that it is shown on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.checked_settings import check_settings
from tracebank_models.features.dictionary_codes import CODE_CELLS, DictionarySet
from tracebank_models.features.firing import Firing, MaximumPass
from tracebank_models.features.statistics import FeatureStatistics
from tracebank_models.features.streams import TokenBatch
from tracebank_models.features.token_text import token_texts
from tracebank_models.neuron_graphs.unit_study import UnitsOfModel

DIGITS: Final = 4
"""Significant digits of activations in texts."""
_BATCH_TOKENS: Final = (256, 8_192)
_HELD_CELLS: Final = 1 << 25
"""Tokens times width of a site whose activations are held, 128 MiB, so that a small model reads once."""
_Count = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
_Positive = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How many texts of a unit, and how long."""

    top: _Count = 20
    """Of the documents that it fires on most strongly."""
    random: _Count = 5
    """Of any that it fires on."""
    quantiles: _Positive = 5
    """Parts of equal size, by strength, of the documents that it fires on."""
    per_quantile: _Count = 2
    sample: _Positive = 128
    """Documents that it fires on, drawn by chance, which random ones and those of parts are taken from."""
    tokens: _Positive = 128
    """Most of a text: as many around the strongest, as far as the document goes."""
    bins: _Positive = 50
    """Of the histogram."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is not allowed.

        Raises:
            ValueError: See `check_settings`.
        """
        check_settings(self)


@dataclass(frozen=True, slots=True)
class UnitTexts:
    """What is looked at of units."""

    texts: pl.DataFrame
    """Columns feature, stratum (`top`, `random` or `quantile`), quantile (1 the weakest; 0 elsewhere), rank (from 1),
    document, first_position, max_token (index of the strongest), min_activation, max_activation, and the lists tokens
    and activations; none of a unit that never fires."""
    summaries: pl.DataFrame
    """Columns feature, tokens, min_activation, max_activation and the list histogram (of tokens on which the unit is
    not 0, from the least to the largest activation); a row a unit."""


def texts_of_units(
    units: UnitsOfModel,
    chosen: Sequence[int],
    settings: TextSettings | None = None,
    progress: Callable[[float], None] | None = None,
) -> UnitTexts:
    """Texts and histograms of units, out of documents with an even number.

    Args:
        units: All of them.
        chosen: Numbers of those wanted.
        settings: How many and how long.
        progress: Told which share of the work was done since it was told last.

    Raises:
        ValueError: An activation is not finite, or the corpus has no document with an even number.
    """
    how = settings or TextSettings()
    described = replace(units, corpus=units.corpus.chosen(units.corpus.document_ids % 2 == 0))
    reading = _Reading(described, list(chosen), progress)
    thresholds = reading.thresholds()
    state = FeatureStatistics(len(chosen), top=max(how.top, 1), sample=how.sample, seed=how.seed, thresholds=thresholds)
    low, high = np.full(len(chosen), np.inf), np.full(len(chosen), -np.inf)
    for batch, codes in reading.codes():
        _, lengths = _documents(batch)
        strongest = torch.segment_reduce(codes, "max", lengths=torch.from_numpy(lengths).to(codes.device))
        state.update(strongest, torch.from_numpy(batch.documents.numpy()[np.cumsum(lengths) - 1]))
        np.minimum(low, codes.amin(0).cpu().numpy(), out=low)
        np.maximum(high, strongest.amax(0).cpu().numpy(), out=high)
    wanted = _wanted(state, how)
    histogram = _Histogram(low, high, how.bins)
    shown = _Windows(wanted, how.tokens)
    for batch, codes in reading.codes():
        histogram.update(codes)
        shown.update(codes, batch)
    feature = pl.Series("feature", list(chosen), pl.Int64)
    texts = shown.texts(token_texts(units.tokenizer))
    summaries = pl.DataFrame(
        {
            "feature": feature,
            "tokens": np.full(len(chosen), described.corpus.tokens),
            "min_activation": low,
            "max_activation": high,
            "histogram": histogram.counts.tolist(),
        }
    )
    return UnitTexts(texts.with_columns(feature.gather(texts["feature"])), summaries)


class _Reading:
    """Passes over the activations of some units."""

    def __init__(self, units: UnitsOfModel, chosen: list[int], progress: Callable[[float], None] | None) -> None:
        self._units, self._chosen, self._progress = units, chosen, progress
        self._relative = units.coder.fires_at > 0
        self._held: list[TokenBatch] | None = None

    def thresholds(self) -> NDArray[np.float32]:
        """What each unit has to exceed to fire."""
        every = DictionarySet({"": self._units.coder})
        if not self._relative:
            return np.zeros(len(self._chosen), np.float32)
        largest = MaximumPass(every)
        for batch in self._batches():
            largest.update(batch)
        return Firing(every, largest.maximum).thresholds[self._chosen]

    @torch.no_grad()
    def codes(self) -> Iterator[tuple[TokenBatch, Tensor]]:
        """Tokens of whole documents with the units' activations, (tokens, units)."""
        columns = torch.tensor(self._chosen, device=self._units.model.device)
        for batch in self._batches():
            yield batch, self._units.coder.encode(next(iter(batch.activations.values())))[:, columns].float()

    def _batches(self) -> Iterator[TokenBatch]:
        least, most = _BATCH_TOKENS
        tokens = min(most, max(least, CODE_CELLS // self._units.coder.config.d_sae))
        whole = self._units.corpus.tokens * (3 if self._relative else 2)
        if self._held is None and self._units.corpus.tokens * self._units.coder.config.d_in <= _HELD_CELLS:
            self._held = list(self._units.batches(tokens))
        for batch in self._units.batches(tokens) if self._held is None else self._held:
            yield batch
            if self._progress is not None:
                self._progress(len(batch.rows) / whole)


def _documents(batch: TokenBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each document of a batch begins, and how many tokens it has."""
    documents = batch.documents.numpy()
    starts = np.flatnonzero(np.diff(documents, prepend=-1))
    return starts, np.diff(starts, append=documents.size)


def _wanted(state: FeatureStatistics, how: TextSettings) -> pl.DataFrame:
    """Columns feature, stratum, quantile, rank and document, a row a text; sorted by document."""
    found = state.examples(random=how.random, quantiles=how.quantiles, per_quantile=how.per_quantile)
    few = (pl.col("stratum") != "top") | (pl.col("rank") <= how.top)
    named = found.filter(few).select("feature", "stratum", pl.col("quantile").fill_null(0), "rank", document="row")
    return named.sort("document", "feature", "stratum", "quantile", "rank")


class _Histogram:
    """Counts activations that are not 0."""

    def __init__(self, low: NDArray[np.float64], high: NDArray[np.float64], bins: int) -> None:
        width = np.where(high > low, high - low, 1.0)
        self._low, self._width, self._bins = torch.from_numpy(low), torch.from_numpy(width), bins
        self.counts = np.zeros((low.size, bins), np.int64)

    def update(self, codes: Tensor) -> None:
        low, width = self._low.to(codes.device), self._width.to(codes.device)
        place = ((codes.double() - low) / width * self._bins).long().clamp_(0, self._bins - 1)
        place += torch.arange(codes.shape[1], device=codes.device) * self._bins
        found = torch.bincount(place[codes != 0], minlength=self.counts.size)
        self.counts += found.cpu().numpy().reshape(self.counts.shape)


class _Windows:
    """Gathers what units do in their texts."""

    def __init__(self, wanted: pl.DataFrame, tokens: int) -> None:
        self._wanted, self._tokens = wanted, tokens
        self._document = wanted["document"].to_numpy()
        self._unit = torch.from_numpy(wanted["feature"].to_numpy().astype(np.int64))
        self._parts: list[tuple[NDArray[np.int64], ...]] = []
        self._values: list[NDArray[np.float32]] = []
        self._ids: list[NDArray[np.int32]] = []

    def update(self, codes: Tensor, batch: TokenBatch) -> None:
        """Take in whole documents with the activations of all units, (tokens, units)."""
        starts, lengths = _documents(batch)
        numbers = batch.documents.numpy()[starts]
        before, behind = (np.searchsorted(self._document, numbers, side=side) for side in ("left", "right"))
        text = _spans(before, behind - before)
        if not text.size:
            return
        first, length = (np.repeat(column, behind - before) for column in (starts, lengths))
        at = torch.from_numpy(_spans(first, length)).to(codes.device)
        unit = self._unit[torch.from_numpy(np.repeat(text, length))].to(codes.device)
        values = codes[at, unit].cpu().numpy()
        peak = _first_largest(values, length)
        size = np.minimum(length, self._tokens)
        begins = np.clip(peak - size // 2, 0, length - size)
        self._values.append(values[_spans(np.cumsum(length) - length + begins, size)])
        self._ids.append(batch.token_ids.numpy()[_spans(first + begins, size)])
        self._parts.append((text, size, begins, peak - begins))

    def texts(self, vocabulary: pl.Series) -> pl.DataFrame:
        """See `UnitTexts.texts`; features are numbers of columns."""
        parts = self._parts or [(np.empty(0, np.int64),) * 4]
        text, size, begins, peak = (np.concatenate(column) for column in zip(*parts, strict=True))
        ids = np.concatenate([np.empty(0, np.int32), *self._ids])
        tokens = pl.DataFrame(
            {
                "text": np.repeat(np.arange(text.size), size),
                "tokens": vocabulary.str.replace_all("\0", "\u2400", literal=True).gather(ids),
                "activations": np.concatenate([np.empty(0, np.float32), *self._values]).astype(np.float64),
            }
        ).with_columns(pl.col("activations").round_sig_figs(DIGITS))
        lists = tokens.group_by("text", maintain_order=True).agg(
            pl.col("activations").min().alias("min_activation"),
            pl.col("activations").max().alias("max_activation"),
            "tokens",
            "activations",
        )
        found = self._wanted[text].with_columns(pl.Series("first_position", begins), pl.Series("max_token", peak))
        return found.hstack(lists.drop("text")).sort("feature", "stratum", "quantile", "rank")


def _spans(first: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of ranges, one range after the other."""
    ends = np.cumsum(length)
    return np.arange(ends[-1] if ends.size else 0) + np.repeat(first - ends + length, length)


def _first_largest(values: NDArray[np.float32], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of consecutive parts, the place of the largest in each; of several the first."""
    starts = np.cumsum(length) - length
    largest = np.repeat(np.maximum.reduceat(values, starts), length)
    found = np.flatnonzero(values == largest)
    _, first = np.unique(np.repeat(np.arange(length.size), length)[found], return_index=True)
    return np.asarray(found[first] - starts, np.int64)
