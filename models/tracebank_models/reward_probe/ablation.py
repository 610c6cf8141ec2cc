"""The effect of held features on the valence of the next token: exact, teacher-forced over fixed texts.

Sums over the vocabulary are averaged over the places of a text, and texts are averaged. Nothing is sampled, so a
condition costs a forward pass, and many choices of features share one as parts of its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tracebank_models.activations.sites import Site, replaced, resolve_sites
from tracebank_models.features.held_at_zero import without_features
from tracebank_models.features.sparse_coder import SparseCoder
from tracebank_models.language_model.hooks import evaluating
from tracebank_models.reward_probe.next_valence import TokenValences

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CELLS: Final = 1 << 23
"""Logits of a forward pass: 32 MiB of them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What stands in the place of sites' outputs."""

    off: Mapping[str, Tensor]
    """By site, features at zero, bool (choices, features), with as many choices at every site. A site that is not here
    is left alone."""
    error_kept: bool = False
    """Whether the error of the reconstruction is added again."""

    @property
    def choices(self) -> int:
        """How many choices of features there are."""
        return next((len(off) for off in self.off.values()), 1)

    def part(self, choices: slice) -> Condition:
        """Some of the choices; with the error kept, sites at which nothing is held are left alone."""
        off = {site: one[choices] for site, one in self.off.items()}
        held = {site: one for site, one in off.items() if bool(one.any())}
        return Condition(held if self.error_kept and held else off, self.error_kept)


class ExpectedValence:
    """Expected valence of the next token of a model with features held at zero, over fixed texts."""

    def __init__(
        self,
        model: PreTrainedModel,
        valences: TokenValences,
        coders: Mapping[str, SparseCoder],
        texts: Sequence[Sequence[int]],
    ) -> None:
        """Take model, dictionaries and texts.

        Args:
            model: The model.
            valences: Of its tokenizer.
            coders: The dictionary of each site.
            texts: Token ids, all of one length.

        Raises:
            ValueError: There is no text, they differ in length, or a site is not known.
        """
        lengths = {len(text) for text in texts}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"texts: lengths {sorted(lengths)} are not allowed: at least one text, all of one length")
        self._model, self._valences, self._coders = model, valences, coders
        self._sites: dict[str, Site] = {site.name: site for site in resolve_sites(model, list(coders))}
        self._texts = [list(text) for text in texts]

    @property
    def tokens(self) -> int:
        """Places whose next token is looked at."""
        return sum(map(len, self._texts))

    def of(
        self, conditions: Mapping[str, Condition], advance: Callable[[int], None] | None = None
    ) -> dict[str, Tensor]:
        """By condition, float64 (choices, texts).

        Args:
            conditions: By name.
            advance: Told how many choices of a condition were looked at on how many texts, multiplied.

        Raises:
            ValueError: The model's logits are not finite, or a dictionary is of another width.
        """
        parts: dict[str, list[Tensor]] = {name: [] for name in conditions}
        with evaluating(self._model):
            for ids, values in self._batches():
                for name, condition in conditions.items():
                    found = []
                    for one in self._portions(condition, values.numel()):
                        found.append(self._measured(one, ids, values))
                        if advance is not None:
                            advance(one.choices * len(ids))
                    parts[name].append(torch.cat(found))
        return {name: torch.cat(found, dim=1) for name, found in parts.items()}

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Some texts at a time with the value of every token after each of their tokens, (tokens, vocabulary)."""
        width = self._logits(torch.tensor([self._texts[0][:1]]), Condition({})).shape[-1]
        count = max(1, _CELLS // (8 * width * len(self._texts[0])))
        for first in range(0, len(self._texts), count):
            texts = self._texts[first : first + count]
            values = self._valences.of_texts(texts)
            # Rows of an embedding that are no token of the tokenizer write nothing.
            values = functional.pad(values, (0, width - values.shape[1]))
            yield torch.tensor(texts, device=self._model.device), values.to(self._model.device)

    @staticmethod
    def _portions(condition: Condition, cells: int) -> Iterator[Condition]:
        count = max(1, _CELLS // cells)
        for first in range(0, condition.choices, count):
            yield condition.part(slice(first, first + count))

    def _measured(self, condition: Condition, ids: Tensor, values: Tensor) -> Tensor:
        chances = self._logits(ids.repeat(condition.choices, 1), condition).float().softmax(-1)
        expected = torch.einsum("ctv,tv->ct", chances.view(condition.choices, *values.shape), values)
        if not bool(torch.isfinite(expected).all()):
            raise ValueError(
                f"model: {type(self._model).__name__} gives logits that are not finite: allowed are numbers"
            )
        return expected.view(condition.choices, *ids.shape).mean(-1).double().cpu()

    def _logits(self, ids: Tensor, condition: Condition) -> Tensor:
        ids = ids.to(self._model.device)
        with under(self._model, self._sites, self._coders, condition):
            logits = self._model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        assert isinstance(logits, Tensor)
        return logits


def under(
    model: PreTrainedModel, sites: Mapping[str, Site], coders: Mapping[str, SparseCoder], condition: Condition
) -> AbstractContextManager[None]:
    """Put a model under a condition; a batch has its choices one after the other, each with all the sequences.

    Args:
        model: The model.
        sites: By name.
        coders: The dictionary of each site.
        condition: What is held at zero.
    """
    changes = {
        sites[site]: without_features(site, coders[site], off, error_kept=condition.error_kept)
        for site, off in condition.off.items()
    }
    return replaced(model, changes)


def interval(differences: Tensor, *, seed: int, resamples: int = 2_000) -> tuple[float, float]:
    """95 % interval of a mean over texts, by the percentiles of resampled texts."""
    values = differences.numpy()
    rows = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[rows].mean(1), (0.025, 0.975))
    return float(low), float(high)
