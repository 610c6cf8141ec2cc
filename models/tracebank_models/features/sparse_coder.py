"""What this room asks of a dictionary, whatever its architecture, and the codes of texts by several of them.

Architectures and their training are the room `sparse_autoencoder`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class SparseCoder(Protocol):
    """A dictionary of features of one site."""

    def encode(self, activations: Tensor, /) -> Tensor:
        """Codes of activations: (tokens, width) to (tokens, features)."""

    def decode(self, codes: Tensor, /) -> Tensor:
        """Activations of codes: (tokens, features) to (tokens, width)."""


class RawActivations:
    """The activations themselves in the place of codes: the control of a probe on sparse codes."""

    def encode(self, activations: Tensor, /) -> Tensor:
        """The activations."""
        return activations

    def decode(self, codes: Tensor, /) -> Tensor:
        """The codes."""
        return codes


def encoded(site: str, coder: SparseCoder, activations: Tensor) -> Tensor:
    """Codes of activations (tokens, width) by a dictionary, as (tokens, features).

    Raises:
        ValueError: The dictionary is of another width.
    """
    try:
        with torch.no_grad():
            codes = coder.encode(activations)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"dictionary: that of {site!r} does not take activations of width {activations.shape[1]}: allowed is a"
            f" dictionary of that width ({reason})"
        ) from None
    if codes.ndim != 2 or len(codes) != len(activations):
        raise ValueError(
            f"dictionary: that of {site!r} gives codes {tuple(codes.shape)}: allowed is ({len(activations)}, features)"
        )
    return codes


def text_codes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    coders: Mapping[str, SparseCoder],
    *,
    over: Literal["last", "mean"],
    batch_tokens: int = 8_192,
    max_tokens: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Codes of each text at its last token, or their mean over its tokens, of all sites side by side.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        texts: None of them empty; none longer than `max_tokens` where the last token is asked for.
        coders: The dictionary of each site; one forward pass serves all.
        over: `last` or `mean`.
        batch_tokens: Tokens of a forward pass.
        max_tokens: Tokens of a text at most.
        progress: Told how many texts are done, and how many there are.

    Returns:
        float32, shape (texts, features of all sites).

    Raises:
        ValueError: A text has no token or too many, or a dictionary is of another width.
    """
    limit = max_tokens + 1 if over == "last" else max_tokens
    corpus = TokenCorpus.from_texts(texts, tokenizer, max_tokens=limit)
    lengths = torch.from_numpy(corpus.starts).diff()
    if corpus.documents != len(texts) or (over == "last" and int(lengths.max()) > max_tokens):
        raise ValueError(f"texts: a text has no token or more than {max_tokens}: allowed are 1 to {max_tokens}")
    found: Tensor | None = None
    done = 0
    for batch in stream_activations(model, corpus, list(coders), batch_tokens=batch_tokens):
        rows = batch.documents
        if over == "last":
            chosen = (batch.positions + 1) == lengths[rows]
            rows = rows[chosen]
            parts = [
                encoded(s, c, batch.activations[s][chosen.to(batch.activations[s].device)]) for s, c in coders.items()
            ]
        else:
            parts = [encoded(site, coder, batch.activations[site]) for site, coder in coders.items()]
        codes = torch.cat([part.detach().float().cpu() for part in parts], dim=1)
        if found is None:
            found = torch.zeros(len(texts), codes.shape[1])
        found.index_add_(0, rows, codes)
        done += len(set(rows.tolist()))
        if progress is not None:
            progress(done, len(texts))
    if found is None:
        raise ValueError("texts: there is none: at least one is needed")
    return found if over == "last" else found / lengths[:, None]
