"""Units that can be run on any tokens: what graphs ask of them, and neurons and features of a model as such."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from tracebank_models.activations.capture import site_widths
from tracebank_models.activations.sites import resolve_sites
from tracebank_models.features.sparse_coder import RawActivations, SparseCoder, encoded
from tracebank_models.features.token_text import token_texts
from tracebank_models.language_model.hooks import evaluating, stopping_after, watched
from tracebank_models.language_model.text_limits import context_length
from tracebank_models.language_model.tokenizer import padding_id

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NO_LIMIT = 1 << 20
_WHOLE_TOKENS = 4_096
"""Tokens of a forward pass in which every mask has its whole text."""
_PASS_COST = 17e6
"""Multiplications in whose time a block's forward pass is called, whatever is in it, on a core."""


class UnitReader(Protocol):
    """The units of one dictionary. Values depend on a token and those before it, never on those after."""

    features: int
    """How many units there are."""
    context: int
    """Most tokens of a sequence, the start token counted."""
    padding_id: int
    """Id that is put in the place of a token to mask it."""
    start_id: int | None
    """Id that a text begins with; None where there is none."""
    texts: Sequence[str]
    """Text of each token, by id."""

    def values(self, ids: Tensor, mask: Tensor, units: Tensor) -> Tensor:
        """Values of units.

        Args:
            ids: int64, (sequences, positions).
            mask: Where there is a token, bool, same shape.
            units: int64, (units,).

        Returns:
            Floating, (sequences, positions, units).
        """

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""

    def masked_values(self, ids: Tensor, rows: Tensor, units: Tensor) -> Tensor:
        """Values of units with each token masked in turn.

        Args:
            ids: Sequences of one length, without padding, (sequences, positions).
            rows: Which sequence is asked for, (requests,).
            units: Of which unit, (requests,).

        Returns:
            (requests, masked position, position). What is before the masked position is not defined.
        """
        length, size = ids.shape[1], max(1, _WHOLE_TOKENS // ids.shape[1] ** 2)
        asked = sorted(set(units.tolist()))
        column = torch.tensor([asked.index(unit) for unit in units.tolist()])
        found = torch.empty(0)
        for first in range(0, len(ids), size):
            masked = ids[first : first + size][:, None].repeat(1, length, 1)
            masked.diagonal(dim1=1, dim2=2).fill_(self.padding_id)
            flat = masked.flatten(0, 1)
            values = self.values(flat, torch.ones_like(flat, dtype=torch.bool), torch.tensor(asked))
            values = values.view(-1, length, length, len(asked))
            if first == 0:
                found = values.new_empty(len(rows), length, length)
            own = ((rows >= first) & (rows < first + size)).nonzero()[:, 0]
            found[own] = values[rows[own] - first, :, :, column[own]]
        return found


class ModelUnits(UnitReader):
    """Neurons or features of a site of a causal language model."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        site: str,
        coder: SparseCoder | None = None,
    ) -> None:
        """Take a model where it lies.

        Args:
            model: The model.
            tokenizer: Its tokenizer.
            site: Name of the site, as `layers.3.neurons`.
            coder: Dictionary of the site; None takes the site's activations themselves.

        Raises:
            ValueError: The site is not known, or the dictionary is of another width.
        """
        self.model, self.coder = model, coder or RawActivations()
        self.site = resolve_sites(model, [site])[0]
        self._tokenizer = tokenizer
        width = site_widths(model, [self.site])[site]
        probe = torch.zeros(1, width, device=model.device, dtype=model.dtype)
        self.features = int(encoded(site, self.coder, probe).shape[1])
        self.context = context_length(model) or _NO_LIMIT
        self.padding_id = padding_id(tokenizer)
        start = tokenizer.bos_token_id
        self.start_id = start if isinstance(start, int) else None
        self.texts = token_texts(tokenizer).to_list()
        self._encoded: dict[str, list[int]] = {}
        self.forwarded = 0
        """Tokens that went through the model so far, padding included."""

    def in_double(self) -> ModelUnits:
        """The same units of a copy of the model that computes in float64, on the processor."""
        coder = copy.deepcopy(self.coder)
        if isinstance(coder, nn.Module):
            coder = coder.cpu().double()
        return ModelUnits(copy.deepcopy(self.model).cpu().double(), self._tokenizer, self.site.name, coder)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""
        if text not in self._encoded:  # few are asked for often, and a call of a tokenizer is slow
            self._encoded[text] = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._encoded[text]

    def values(self, ids: Tensor, mask: Tensor, units: Tensor) -> Tensor:
        """See `UnitReader`."""
        with self._evaluating():
            return self._codes(self._activations(ids, mask))[:, :, units]

    def masked_values(self, ids: Tensor, rows: Tensor, units: Tensor) -> Tensor:
        """See `UnitReader`. The keys and values before the masked position are computed once for all masks."""
        # Sharing needs a pass for each position: of few and short texts, whole ones cost less.
        texts, length = ids.shape
        saved = texts * (length * length - length * (length + 3) // 2)
        if saved <= self._pass_tokens * (length + 1) or not self._shares_prefixes:
            return UnitReader.masked_values(self, ids, rows, units)
        return self._from_prefix(ids, rows, units)

    def _from_prefix(self, ids: Tensor, rows: Tensor, units: Tensor) -> Tensor:
        length = ids.shape[1]
        found = torch.zeros(len(rows), length, length, dtype=self.model.dtype)
        cache = DynamicCache()
        with self._evaluating():
            self._activations(ids, None, cache)
            for first in reversed(range(length)):
                suffix = ids[:, first:].clone()
                suffix[:, 0] = self.padding_id
                cache.crop(first - length)  # what the last mask has left
                codes = self._codes(self._activations(suffix, None, cache))
                found[:, first, first:] = codes[rows, :, units].to(found)
        return found

    def _evaluating(self) -> AbstractContextManager[None]:
        """As `evaluating`, which goes through all modules to set what is most often set already."""
        training = any(module.training for module in self.model.modules())
        return evaluating(self.model) if training else torch.no_grad()

    def _codes(self, activations: Tensor) -> Tensor:
        if isinstance(self.coder, RawActivations):
            return activations
        codes = encoded(self.site.name, self.coder, activations.flatten(0, 1))
        return codes.view(*activations.shape[:2], -1)

    def _activations(self, ids: Tensor, mask: Tensor | None, cache: DynamicCache | None = None) -> Tensor:
        self.forwarded += ids.numel()
        tap, device = self.site.tap, self.model.device
        attention = None if mask is None else mask.to(device, torch.int64)
        given = {} if cache is None else {"past_key_values": cache}
        # The pass ends at the site: neither later blocks nor the unembedding run.
        with watched(self.model, {tap: tap}) as seen, stopping_after(self.model, [tap]):
            self._runner(input_ids=ids.to(device), attention_mask=attention, use_cache=cache is not None, **given)
        return seen[tap]

    @cached_property
    def _pass_tokens(self) -> float:
        """Tokens that cost as much as an empty pass."""
        width = int(self.model.config.get_text_config().hidden_size)
        return _PASS_COST / (12 * width * width)

    @cached_property
    def _runner(self) -> PreTrainedModel:
        prefix = self.model.base_model_prefix
        inside = self.site.tap.module.partition(".")[0] == prefix
        return getattr(self.model, prefix, self.model) if inside else self.model

    @cached_property
    def _shares_prefixes(self) -> bool:
        """Whether a sequence continued from a cut cache gives what the whole one gives; a few tokens are run for it."""
        before = self.forwarded
        ids = torch.tensor([[3, 5, 7, 5], [2, 4, 4, 6]]) % len(self.texts)
        rows, units = torch.tensor([0, 1]), torch.zeros(2, dtype=torch.int64)
        try:
            shared = self._from_prefix(ids, rows, units)
        except Exception:  # whatever an architecture says to a cache that it does not know
            return False
        finally:
            self.forwarded = before
        whole = torch.triu(UnitReader.masked_values(self, ids, rows, units).to(shared))
        self.forwarded = before
        return torch.allclose(shared, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().amax()))
