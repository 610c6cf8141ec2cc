"""What probes read of texts: sparse codes, and the raw activations beside them, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor

from tracebank_models.features.sparse_coder import SparseCoder, text_codes

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


class _WithActivations:
    """Codes, and behind them the activations that they are of."""

    def __init__(self, coder: SparseCoder) -> None:
        self.coder = coder
        self.features = 0
        self.width = 0

    def encode(self, activations: Tensor, /) -> Tensor:
        codes = self.coder.encode(activations)
        self.features, self.width = codes.shape[1], activations.shape[1]
        return torch.cat([codes.float(), activations.float()], dim=1)

    def decode(self, codes: Tensor, /) -> Tensor:
        return codes[:, self.features :]


def represented(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    coders: Mapping[str, SparseCoder],
    *,
    over: Literal["last", "mean"],
    batch_tokens: int = 8_192,
    progress: Callable[[int, int], None] | None = None,
) -> Representations:
    """Sparse codes and raw activations of texts, at their last token or as the mean over their tokens.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        texts: See `text_codes`.
        coders: The dictionary of each site.
        over: `last` or `mean`.
        batch_tokens: Tokens of a forward pass.
        progress: Told how many texts are done, and how many there are.

    Raises:
        ValueError: See `text_codes`.
    """
    both = {site: _WithActivations(coder) for site, coder in coders.items()}
    found = text_codes(model, tokenizer, texts, both, over=over, batch_tokens=batch_tokens, progress=progress)
    parts = torch.split(found, [size for one in both.values() for size in (one.features, one.width)], dim=1)
    codes = {SPARSE: torch.cat(parts[0::2], dim=1), RAW: torch.cat(parts[1::2], dim=1)}
    return Representations(codes, {site: one.features for site, one in both.items()})
