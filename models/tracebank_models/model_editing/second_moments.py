"""Second moments of keys: C = mean over the tokens of a corpus of k k^T, not centred, of several layers in one pass.

They are sums in float64; a file of them names the weights, the corpus and the tokens that they are of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.device import as_double
from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.language_model.text_limits import context_length

from .places import edit_places

_MOST_TOKENS = 1_024
"""Of a document, where the model's context has no limit."""


@dataclass(frozen=True, slots=True)
class SecondMoments:
    """Second moments by layer."""

    matrices: dict[int, Tensor]
    """float64 [width of the keys, width of the keys]."""
    tokens: int
    """That they are means over."""
    weights_hash: str
    """Of the model, see `fingerprint`."""
    corpus_hash: str
    """Of the corpus, see `TokenCorpus.hash`."""

    def of(self, layer: int) -> Tensor:
        """The moment of a layer.

        Raises:
            ValueError: There is none of that layer.
        """
        if layer not in self.matrices:
            known = ", ".join(map(str, sorted(self.matrices)))
            raise ValueError(f"moments: there is none of layer {layer}; allowed: those that were made, {known}")
        return self.matrices[layer]

    def regular(self, layer: int, ridge: float = 0.0) -> Tensor:
        """The moment of a layer, made fit to be inverted.

        Args:
            layer: The layer.
            ridge: Added to the diagonal, over the mean of the diagonal.

        Raises:
            ValueError: There is none of that layer, or it has too few tokens and no ridge.
        """
        moment = self.of(layer)
        if ridge:
            return moment + ridge * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype)
        if self.tokens <= len(moment):
            raise ValueError(
                f"moments: {self.tokens} tokens are too few for keys of width {len(moment)}; allowed: many more tokens"
                " than that, or moment_ridge above 0 (1e-3, say)"
            )
        return moment

    def save(self, path: Path) -> None:
        """Write them to a safetensors file, whole or not at all."""
        facts = {"tokens": str(self.tokens), "weights_hash": self.weights_hash, "corpus_hash": self.corpus_hash}
        part = path.with_name(f"{path.name}.part")
        save_file({f"layers.{layer}": one.contiguous() for layer, one in self.matrices.items()}, part, metadata=facts)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> SecondMoments:
        """Read what `save` wrote.

        Raises:
            ValueError: The file is none of those.
        """
        try:
            with safe_open(path, "pt") as opened:
                facts = opened.metadata() or {}
                matrices = {int(name.rpartition(".")[2]): opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return cls(matrices, int(facts["tokens"]), facts["weights_hash"], facts["corpus_hash"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: no second moments of keys ({error!r}); allowed: a file of `save`") from None

    def check_model(self, model: PreTrainedModel) -> None:
        """Refuse a model with other weights than those that the keys are from.

        Raises:
            ValueError: They differ.
        """
        found = weights_hash(model)
        if found != self.weights_hash:
            raise ValueError(
                f"moments: they are of the weights {self.weights_hash[:12]}, the model has {found[:12]}; allowed:"
                " moments of the model before its first edit"
            )


def solved(matrix: Tensor, keys: Tensor, setting: str) -> Tensor:
    """matrix^-1 keys, of a symmetric positive matrix.

    Args:
        matrix: float64.
        keys: [width] or [width, number].
        setting: What may be raised where the matrix has no inverse.

    Raises:
        ValueError: It has none.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info):
        raise ValueError(
            f"moments: the matrix of keys cannot be inverted (of width {len(matrix)}, from row {int(info)} on);"
            f" allowed: moments of more tokens, or {setting} above 0 (1e-3, say)"
        )
    columns = keys.to(matrix) if keys.ndim == 2 else keys.to(matrix)[:, None]
    return torch.cholesky_solve(columns, factor).reshape(keys.shape)


def second_moments(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[str],
    layers: Sequence[int],
    batch_tokens: int = 8_192,
) -> SecondMoments:
    """Means of k k^T over all tokens of documents, each cut at the model's context.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        documents: Texts.
        layers: Layers whose keys are taken, all in one pass.
        batch_tokens: Tokens of a forward pass.

    Raises:
        ValueError: There is no such layer or no document, or a key is not finite.
    """
    places = edit_places(model, layers)
    corpus = TokenCorpus.from_texts(documents, tokenizer, max_tokens=context_length(model) or _MOST_TOKENS)
    sites = {place.layer: f"layers.{place.layer}.neurons" for place in places}
    sums: dict[int, Tensor] = {}
    for batch in stream_activations(model, corpus, list(sites.values()), batch_tokens=batch_tokens):
        for layer, site in sites.items():
            keys = as_double(batch.activations[site])
            sums[layer] = sums[layer].addmm_(keys.T, keys) if layer in sums else keys.T @ keys
    matrices = {layer: (one / corpus.tokens).cpu() for layer, one in sums.items()}
    return SecondMoments(matrices, corpus.tokens, weights_hash(model), corpus.hash)
