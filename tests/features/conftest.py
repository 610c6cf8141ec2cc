"""One thread, a byte-level tokenizer, a tiny model of its tokens, and an endpoint that says what it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.endpoint_double import Double, answering
from tests.tiny_models import byte_tokenizer, tiny_model
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture(scope="package")
def model() -> GPTNeoXForCausalLM:
    return tiny_model(layers=1)


@pytest.fixture
def double() -> Iterator[Double]:
    with answering() as made:
        yield made
