"""Prompts for tuning: the first few tokens of documents, drawn by step, with the lengths of the responses wanted.

What is drawn at a step is a pure function of seed and step, so that a resumed run asks the same.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from tracebank_models.checked_settings import settings_hash, whole

from .corpus import checked_corpus
from .pretraining import batch_rows
from .token_blocks import encode_documents, padded_batch
from .tokenizer import padding_id

Prompt = tuple[int, ...]
_ROUNDS: Final = 32
"""Batches that are looked through for prompts that were not seen."""


@dataclass(frozen=True, slots=True)
class PromptLengths:
    """Lengths in tokens, each drawn uniformly; the defaults are the paper's (2310.08164)."""

    prompt_shortest: int = 2
    prompt_longest: int = 10
    response_shortest: int = 8
    response_longest: int = 20
    document_characters: int = 200
    """Documents must be longer than this."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 1, 10**6, "prompt_shortest", "response_shortest")
        whole(self, self.prompt_shortest, 10**6, "prompt_longest")
        whole(self, self.response_shortest, 10**6, "response_longest")
        whole(self, 0, 10**9, "document_characters")


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts of one step."""

    ids: torch.Tensor
    """Int64 [prompts, longest], padded on the left."""
    mask: torch.Tensor
    response_lengths: torch.Tensor
    """Most tokens of each response, int64 [prompts]."""
    openings: tuple[Prompt, ...]
    """What each is the beginning of: the longest prompt of its document."""


class _Drawn(NamedTuple):
    opening: npt.NDArray[np.int32]
    size: int
    """Of the prompt, from the opening's beginning."""
    wanted: int
    """Most tokens of the response."""


class PromptSource:
    """Draws prompts from the starts of a corpus's documents.

    Args:
        tokenizer: Of the model that continues them.
        corpus: Documents, as `corpus_frame` makes them.
        lengths: Lengths in tokens.
        seed: Seed of documents, prompt lengths and response lengths.

    Raises:
        ValueError: No document is long enough.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        corpus: pl.DataFrame,
        lengths: PromptLengths | None = None,
        seed: int = 0,
    ) -> None:
        self.lengths = lengths or PromptLengths()
        self.seed = seed
        self._padding = padding_id(tokenizer)
        longest = self.lengths.prompt_longest
        kept = checked_corpus(corpus).filter(pl.col("text").str.len_chars() > self.lengths.document_characters)
        # A token is at least one character long only on average; ten characters a token leave room enough.
        heads = kept["text"].str.slice(0, 10 * longest + 20).to_list()
        self._starts = [ids[:longest] for ids in encode_documents(tokenizer, heads) if len(ids) >= longest]
        if not self._starts:
            allowed = f"documents of more than {self.lengths.document_characters} characters and {longest} tokens"
            raise ValueError(f"corpus: none of {corpus.height} documents gives a prompt; allowed: {allowed}")

    def content_hash(self) -> str:
        """Hash of the prompts and of how they are drawn."""
        return settings_hash(self.lengths, self.seed, [start.tolist() for start in self._starts])

    def batch(self, count: int, step: int) -> PromptBatch:
        """The prompts of a step; documents are taken in epochs, each in an order of its own."""
        return self._batch(self._drawn(count, step))

    def unseen(self, count: int, seen: Collection[Prompt]) -> PromptBatch:
        """Prompts that are not among those seen; fewer than asked for where few are left.

        Raises:
            ValueError: They are of less than two openings.
        """
        found: list[_Drawn] = []
        for step in range(_ROUNDS):
            found += [one for one in self._drawn(count, step) if tuple(one.opening[: one.size].tolist()) not in seen]
            if len(found) >= count:
                break
        if len({tuple(one.opening.tolist()) for one in found[:count]}) < 2:
            raise ValueError(
                "corpus: prompts never tuned on have less than 2 openings; allowed: texts that begin otherwise"
            )
        return self._batch(found[:count])

    def prefixes(self) -> frozenset[Prompt]:
        """Every prompt that can be drawn."""
        sizes = range(self.lengths.prompt_shortest, self.lengths.prompt_longest + 1)
        return frozenset(opening[:size] for opening in self._openings() for size in sizes)

    def halves(self) -> tuple[PromptSource, PromptSource]:
        """The same with half of the openings each, by their hashes: what begins alike is on one side.

        Raises:
            ValueError: All documents begin alike.
        """
        openings = sorted(self._openings(), key=lambda ids: hashlib.sha256(str(ids).encode()).digest())
        if len(openings) < 2:
            raise ValueError("corpus: all documents begin alike; allowed: some that begin otherwise, to hold out")
        first = frozenset(openings[::2])
        return self._kept(first), self._kept(frozenset(openings[1::2]))

    def without(self, other: PromptSource) -> PromptSource:
        """The same less the documents that begin as one of another source does.

        Raises:
            ValueError: None is left.
        """
        return self._kept(self._openings() - other._openings())

    def _openings(self) -> frozenset[Prompt]:
        return frozenset(tuple(start.tolist()) for start in self._starts)

    def _kept(self, openings: Collection[Prompt]) -> PromptSource:
        found = copy.copy(self)
        found._starts = [start for start in self._starts if tuple(start.tolist()) in openings]
        if not found._starts:
            raise ValueError("corpus: every document begins as one held out does; allowed: some that begin otherwise")
        return found

    def _drawn(self, count: int, step: int) -> list[_Drawn]:
        stream = np.random.default_rng((self.seed, 1, step))
        limits = self.lengths
        sizes = stream.integers(limits.prompt_shortest, limits.prompt_longest, size=count, endpoint=True)
        wanted = stream.integers(limits.response_shortest, limits.response_longest, size=count, endpoint=True)
        rows = batch_rows(len(self._starts), count, step, self.seed)
        return [_Drawn(self._starts[row], *lengths) for row, *lengths in zip(rows, sizes, wanted, strict=True)]

    def _batch(self, drawn: list[_Drawn]) -> PromptBatch:
        ids, mask = padded_batch([one.opening[: one.size] for one in drawn], self._padding, left=True)
        wanted = torch.tensor([one.wanted for one in drawn])
        return PromptBatch(ids, mask, wanted, tuple(tuple(one.opening.tolist()) for one in drawn))


def step_generator(device: torch.device, seed: int, step: int) -> torch.Generator:
    """A source of chance for one step, the same whenever that step is taken."""
    number = int(np.random.default_rng((seed, 2, step)).integers(2**63 - 1))
    return torch.Generator(device=device).manual_seed(number)
