"""A lexicon, a corpus, a tokenizer and a model small enough for tests, all made here."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
import torch
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.language_model.architecture import ModelSize, build_model
from tracebank_models.language_model.corpus import corpus_frame
from tracebank_models.language_model.lexicon import Lexicon
from tracebank_models.language_model.product_reviews import ProductReviews
from tracebank_models.language_model.tokenizer import train_tokenizer

VALENCES = {
    "great": 3.0,
    "nice": 1.5,
    "love": 3.2,
    "gift": 1.9,
    "awful": -2.5,
    "dull": -1.7,
    "hate": -2.7,
    "trap": -1.3,
}


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums over threads come in another order, and small models gain nothing from them.

    Of the package, since fixtures of a module train models too, before those of a function begin.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def lexicon() -> Lexicon:
    return Lexicon("small", VALENCES)


@pytest.fixture(scope="session")
def corpus(lexicon: Lexicon) -> pl.DataFrame:
    return corpus_frame(ProductReviews(lexicon, seed=3).documents(300))


@pytest.fixture(scope="session")
def tokenizer(corpus: pl.DataFrame) -> PreTrainedTokenizerFast:
    return train_tokenizer(corpus["text"], 400)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> GPTNeoXForCausalLM:
    return build_model(ModelSize(32, 3, 2, vocabulary_size=400, context_length=64), tokenizer, seed=1)
