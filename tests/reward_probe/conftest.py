"""A tiny model, a byte-level tokenizer, and dictionaries whose features are known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.tiny_models import byte_tokenizer, tiny_model
from threadpoolctl import threadpool_limits
from torch import Tensor
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast


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
    return byte_tokenizer()


@pytest.fixture(scope="package")
def model() -> GPTNeoXForCausalLM:
    return tiny_model(layers=2)
