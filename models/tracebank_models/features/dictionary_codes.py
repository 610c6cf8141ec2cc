"""Several dictionaries as one: their codes side by side, and frames that name each feature's own dictionary again.

Features are counted through all of them, so that one set of statistics takes them in at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tracebank_models.activations.reader import ActivationShards
from tracebank_models.features.streams import TokenBatch, read_in_step
from tracebank_models.sparse_autoencoder.architectures import Dictionary

CELLS = 1 << 25
"""Features times tokens of the vocabulary that are worked on at once: what tables of both may take."""
CODE_CELLS = 1 << 22
"""Codes of a batch, tokens times features, that a pass works well with: 16 MiB."""


class DictionarySet:
    """Dictionaries by name, in an order that stays."""

    def __init__(self, dictionaries: Mapping[str, Dictionary]) -> None:
        """Take dictionaries, which may read different sites.

        Raises:
            ValueError: There is none.
        """
        if not dictionaries:
            raise ValueError("dictionaries: there is none: at least one is needed")
        self.dictionaries = dict(dictionaries)
        sizes = [dictionary.config.d_sae for dictionary in self.dictionaries.values()]
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.features = int(self.starts[-1])
        self._names = pl.Series("dictionary", list(self.dictionaries), pl.String)

    @property
    def streams(self) -> list[str]:
        """Streams that are read, each once."""
        return list(dict.fromkeys(site for one in self.dictionaries.values() for site in one.config.sites))

    @torch.no_grad()
    def encode(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Codes of all dictionaries side by side, (tokens, features), of activations by stream, (tokens, width) each.

        Raises:
            ValueError: A width is not the dictionary's.
        """
        first = next(iter(activations.values()))
        codes = torch.empty((len(first), self.features), device=first.device)
        for number, dictionary in enumerate(self.dictionaries.values()):
            codes[:, self.starts[number] : self.starts[number + 1]] = dictionary.encode(
                inputs_of(dictionary, activations)
            )
        return codes

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Put dictionary and its own number of the feature in the place of the number through all of them."""
        numbers = frame["feature"].to_numpy().astype(np.int64)
        which = np.searchsorted(self.starts, numbers, side="right") - 1
        return frame.with_columns(
            self._names.gather(which), pl.Series("feature", (numbers - self.starts[which]).astype(np.int32))
        ).select("dictionary", "feature", *(name for name in frame.columns if name not in ("dictionary", "feature")))

    def numbered(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The reverse of `named`: features counted through all dictionaries, sorted; rows of others are left out."""
        starts = pl.DataFrame({"dictionary": self._names, "start": self.starts[:-1].astype(np.int32)})
        found = frame.join(starts, on="dictionary", how="inner")
        number = (pl.col("feature") + pl.col("start")).cast(pl.Int32).alias("feature")
        return found.with_columns(number).drop("dictionary", "start").sort("feature", maintain_order=True)

    def batches(self, streams: Mapping[str, ActivationShards], device: torch.device | str) -> Iterator[TokenBatch]:
        """What is read of some streams, in the corpus's order, in batches that suit the number of features.

        Args:
            streams: Those that are read, and any others.
            device: Where activations are put.

        Raises:
            ValueError: See `read_in_step`.
        """
        tokens = max(64, min(8_192, CODE_CELLS // self.features))
        return read_in_step({name: streams[name] for name in self.streams}, tokens, device)


def inputs_of(dictionary: Dictionary, activations: Mapping[str, Tensor]) -> Tensor:
    """What a dictionary reads: its stream, or the streams of a crosscoder side by side.

    Raises:
        ValueError: One of them is not there.
    """
    if absent := [site for site in dictionary.config.sites if site not in activations]:
        raise ValueError(
            f"dictionary: {dictionary.config.name} reads {absent[0]!r}: there are {', '.join(sorted(activations))}"
        )
    parts = [activations[site] for site in dictionary.config.sites]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def grouped(dictionaries: Mapping[str, Dictionary], vocabulary: int, cells: int = CELLS) -> Iterator[DictionarySet]:
    """Dictionaries in groups of so many features that features times vocabulary stays within `cells`; at least one."""
    group: dict[str, Dictionary] = {}
    features = 0
    for name, dictionary in dictionaries.items():
        if group and (features + dictionary.config.d_sae) * vocabulary > cells:
            yield DictionarySet(group)
            group, features = {}, 0
        group[name] = dictionary
        features += dictionary.config.d_sae
    if group:
        yield DictionarySet(group)
