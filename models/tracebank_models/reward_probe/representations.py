"""What probes read of texts: sparse codes, and the raw activations beside them, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor

from tracebank_models.activations.capture import ActivationBatch, stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.sparse_coder import SparseCoder, encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SPARSE: Final = "sparse_codes"
RAW: Final = "raw_activations"


@dataclass(frozen=True, slots=True)
class Representations:
    """Two readings of the same texts; rows belong together."""

    codes: dict[str, Tensor]
    """`sparse_codes` and `raw_activations`: float32, shape (texts, features of all sites)."""
    features: dict[str, int]
    """How many features the dictionary of each site has, in the order in which their codes stand side by side."""

    def chosen(self, rows: Tensor) -> Representations:
        """Some of the texts."""
        return Representations({name: codes[rows] for name, codes in self.codes.items()}, self.features)


def _last_tokens(batch: ActivationBatch, lengths: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Documents that end in a batch, and the activations at their last tokens."""
    chosen = (batch.positions + 1) == lengths[batch.documents]
    read = {site: values[chosen.to(values.device)] for site, values in batch.activations.items()}
    return batch.documents[chosen], read


def represented(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    coders: Mapping[str, SparseCoder],
    *,
    over: Literal["last", "mean"],
    batch_tokens: int = 8_192,
    max_tokens: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Representations:
    """Sparse codes and raw activations of texts, at their last token or as the mean over their tokens.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        texts: None of them empty; none longer than `max_tokens` where the last token is asked for.
        coders: The dictionary of each site; one forward pass serves all.
        over: `last` or `mean`.
        batch_tokens: Tokens of a forward pass.
        max_tokens: Tokens of a text at most.
        progress: Told how many texts are done, and how many there are.

    Raises:
        ValueError: There is no text, one has no token or too many, or a dictionary is of another width.
    """
    limit = max_tokens + 1 if over == "last" else max_tokens
    corpus = TokenCorpus.from_texts(texts, tokenizer, max_tokens=limit)
    lengths = torch.from_numpy(corpus.starts).diff()
    if corpus.documents != len(texts) or (over == "last" and int(lengths.max()) > max_tokens):
        raise ValueError(f"texts: a text has no token or more than {max_tokens}: allowed are 1 to {max_tokens}")
    sums: dict[str, Tensor] = {}
    features: dict[str, int] = {}
    done = 0
    for batch in stream_activations(model, corpus, list(coders), batch_tokens=batch_tokens):
        rows, read = (batch.documents, batch.activations) if over == "mean" else _last_tokens(batch, lengths)
        codes = {site: encoded(site, coder, read[site]) for site, coder in coders.items()}
        features = {site: of_site.shape[1] for site, of_site in codes.items()}
        for name, parts in ((SPARSE, codes), (RAW, read)):
            side_by_side = torch.cat([parts[site].detach().float().cpu() for site in coders], dim=1)
            sums.setdefault(name, torch.zeros(len(texts), side_by_side.shape[1])).index_add_(0, rows, side_by_side)
        done += len(set(rows.tolist()))
        if progress is not None:
            progress(done, len(texts))
    if over == "mean":
        sums = {name: total / lengths[:, None] for name, total in sums.items()}
    return Representations(sums, features)
