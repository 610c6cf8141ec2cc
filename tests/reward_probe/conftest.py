"""A tiny model, a byte-level tokenizer, and dictionaries whose features are known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast


class SignedCoder:
    """Two features a dimension, its positive and its negative part: the reconstruction is exact."""

    def encode(self, activations: Tensor, /) -> Tensor:
        return torch.cat([activations.relu(), (-activations).relu()], dim=1)

    def decode(self, codes: Tensor, /) -> Tensor:
        positive, negative = codes.chunk(2, dim=1)
        return positive - negative


class NarrowCoder:
    """A dictionary of another width than any site has."""

    def __init__(self) -> None:
        self.weight = torch.ones(5, 7)

    def encode(self, activations: Tensor, /) -> Tensor:
        return activations @ self.weight

    def decode(self, codes: Tensor, /) -> Tensor:
        return codes @ self.weight.T


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture
def signed() -> SignedCoder:
    return SignedCoder()


@pytest.fixture
def narrow() -> NarrowCoder:
    return NarrowCoder()


@pytest.fixture(scope="package")
def tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, and so is the padding."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<|padding|>")


@pytest.fixture(scope="package")
def model() -> GPTNeoXForCausalLM:
    torch.manual_seed(3)
    config = GPTNeoXConfig(
        vocab_size=257,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPTNeoXForCausalLM(config).eval()
