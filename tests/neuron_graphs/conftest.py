"""One thread, and a tiny model with random weights of a tokenizer of a few merges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.architecture import ModelSize, build_model
from tracebank_models.language_model.tokenizer import train_tokenizer

TEXTS = [
    "from os import path. The path is joined.",
    "from typing import Any, Final\nand then import it again.",
    "Return the path of a file, or the name of the file!",
    "import the name; the name is a path to import from.",
    "The file is a path. A name is not a file, and the file is not a name.",
]


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, 320)


@pytest.fixture(scope="package")
def model(tokenizer: PreTrainedTokenizerFast) -> GPTNeoXForCausalLM:
    made = build_model(ModelSize(32, 3, 2, vocabulary_size=320, context_length=48), tokenizer, seed=1).eval()
    with torch.no_grad():  # weights as large as trained ones: tokens then differ
        for weight in made.gpt_neox.layers.parameters():
            weight.mul_(4 if weight.ndim == 2 else 1)
    return made
