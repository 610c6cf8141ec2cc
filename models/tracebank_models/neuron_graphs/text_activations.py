"""Which units fire most on a text, token by token and over all of it, of several dictionaries of one model at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.dictionary_codes import CODE_CELLS
from tracebank_models.language_model.text_limits import context_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tracebank_models.sparse_autoencoder.architectures import Dictionary


@dataclass(frozen=True, slots=True)
class UnitsAtSite:
    """Units of one dictionary, or layer of neurons."""

    site: str
    coder: Dictionary
    maximum: NDArray[np.float32]
    """Largest activation of each unit, that values are compared by, (units,); one without any never stands first."""


@dataclass(frozen=True, slots=True)
class TextActivations:
    """What units do on a text; units are counted through all dictionaries, in their order."""

    by_token: pl.DataFrame
    """Columns position, unit, activation and share (of the unit's maximum), the largest shares above 0 of each token
    first."""
    by_unit: pl.DataFrame
    """Columns unit, position (of the strongest token), activation and share, the largest shares above 0 first."""
    asked: pl.DataFrame
    """Columns position and unit, as they were asked for, with activation and share."""


def pieces_of(token_ids: NDArray[np.int32], tokenizer_hash: str, context: int | None) -> TokenCorpus:
    """A text as documents that fit a context: each begins half a context after the one before.

    Args:
        token_ids: Of the text.
        tokenizer_hash: Of what made them.
        context: Most tokens of a document, at least 2; None for no limit.
    """
    size = len(token_ids)
    longest = size if context is None else min(context, size)
    step = max(1, longest // 2)
    firsts = np.arange(0, max(size - longest, 0) + step, step)
    lengths = np.minimum(longest, size - firsts)
    ends = np.cumsum(lengths)
    rows = np.arange(ends[-1]) + np.repeat(firsts - ends + lengths, lengths)
    return TokenCorpus(token_ids[rows], np.append(0, ends), firsts, tokenizer_hash)


def text_activations(
    model: PreTrainedModel,
    token_ids: NDArray[np.int32],
    tokenizer_hash: str,
    units: Mapping[str, UnitsAtSite],
    asked: pl.DataFrame,
    top: int,
    most: int,
) -> TextActivations:
    """Read a text, in pieces where it is longer than the model's context.

    A token that two pieces have is read in the first of them, where more stands before it.

    Args:
        model: The model.
        token_ids: Of the text.
        tokenizer_hash: Of what made them.
        units: By name of the dictionary.
        asked: Columns position and unit: what else is to be told.
        top: Units of a token.
        most: Units of the whole text.

    Raises:
        ValueError: A site is not known, a dictionary is of another width, or an activation is not finite.
    """
    scale = torch.from_numpy(np.concatenate([one.maximum for one in units.values()])).to(model.device)
    scale = torch.where(scale > 0, 1 / scale, torch.zeros(()).to(scale))
    state = _Strongest(len(scale), top, asked)
    for positions, codes in _read(model, pieces_of(token_ids, tokenizer_hash, context_length(model)), units):
        state.update(positions, codes, codes * scale)
    return state.found(most)


def _read(
    model: PreTrainedModel, corpus: TokenCorpus, units: Mapping[str, UnitsAtSite]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Places of tokens in the text, each once, with the activations of all units, (tokens, units)."""
    width = sum(len(one.maximum) for one in units.values())
    tokens = min(8_192, max(256, CODE_CELLS // width))
    second = int(corpus.document_ids[1]) if corpus.documents > 1 else 0
    again = int(corpus.starts[1]) - second
    sites = list(dict.fromkeys(one.site for one in units.values()))
    for batch in stream_activations(model, corpus, sites, batch_tokens=tokens):
        new = (batch.documents == 0) | (batch.positions >= again)
        seen = {site: values[new.to(values.device)].float() for site, values in batch.activations.items()}
        with torch.no_grad():
            codes = torch.cat([one.coder.encode(seen[one.site]).float() for one in units.values()], dim=1)
        yield (batch.documents + batch.positions)[new], codes


class _Strongest:
    """Keeps the strongest units of each token, and the strongest token of each unit."""

    def __init__(self, units: int, top: int, asked: pl.DataFrame) -> None:
        self._top = min(top, units)
        self._asked = asked.select(pl.col("position", "unit").cast(pl.Int64)).with_row_index("row").sort("position")
        self._place = self._asked["position"].to_numpy()
        self._unit = torch.from_numpy(self._asked["unit"].to_numpy().copy())
        self._told = np.zeros((2, self._asked.height), np.float32)
        self._best = np.full(units, -np.inf, np.float32)
        self._at, self._value = np.zeros(units, np.int64), np.zeros(units, np.float32)
        self._tokens: list[pl.DataFrame] = []

    def update(self, positions: Tensor, codes: Tensor, shares: Tensor) -> None:
        """Take in tokens, in any order, (tokens,), with activations and shares, (tokens, units)."""
        places = positions.numpy()
        share, unit = shares.topk(self._top, dim=1)
        self._tokens.append(
            _frame(np.repeat(places, self._top), unit.flatten(), codes.gather(1, unit).flatten(), share.flatten())
        )
        best, row = (one.cpu().numpy() for one in shares.max(dim=0))
        value = codes.gather(0, shares.argmax(0, keepdim=True))[0].cpu().numpy()
        better = (best > self._best) | ((best == self._best) & (places[row] < self._at))
        self._best[better], self._value[better], self._at[better] = best[better], value[better], places[row][better]
        order = np.argsort(places)
        low, high = (np.searchsorted(self._place, places[order], side=side) for side in ("left", "right"))
        asked = np.repeat(low - np.cumsum(high - low) + (high - low), high - low) + np.arange((high - low).sum())
        rows, columns = torch.from_numpy(np.repeat(order, high - low)), self._unit[torch.from_numpy(asked)]
        for number, values in enumerate((codes, shares)):
            self._told[number, asked] = values[rows.to(values.device), columns.to(values.device)].cpu().numpy()

    def found(self, most: int) -> TextActivations:
        """What was found, `most` units of the whole text."""
        above = pl.col("share") > 0
        by_token = (
            pl.concat(self._tokens).filter(above).sort("position", "share", "unit", descending=[False, True, False])
        )
        whole = _frame(self._at, np.arange(len(self._at)), self._value, self._best).filter(above)
        by_unit = (
            whole.sort("share", "unit", descending=[True, False])
            .head(most)
            .select("unit", "position", "activation", "share")
        )
        told = self._asked.with_columns(
            pl.Series("activation", self._told[0]).cast(pl.Float64), pl.Series("share", self._told[1]).cast(pl.Float64)
        )
        return TextActivations(by_token, by_unit, told.sort("row").drop("row"))


def _frame(
    position: NDArray[np.int64],
    unit: Tensor | NDArray[np.int64],
    activation: Tensor | NDArray[np.float32],
    share: Tensor | NDArray[np.float32],
) -> pl.DataFrame:
    columns = {"unit": unit, "activation": activation, "share": share}
    told = {name: one.cpu().numpy() if isinstance(one, Tensor) else one for name, one in columns.items()}
    return pl.DataFrame(
        {"position": position, **told},
        schema_overrides={"activation": pl.Float64, "share": pl.Float64},
    )
