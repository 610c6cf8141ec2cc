"""One thread, sources to choose from, and a tiny model that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.endpoint_double import Double, answering
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tracebank_models.identifier_swaps.dataset import examples_of
from tracebank_models.identifier_swaps.examples import SwapExample
from tracebank_models.identifier_swaps.selection import SwapSelection
from tracebank_models.identifier_swaps.source_functions import PythonSources
from tracebank_models.language_model.architecture import ModelSize, build_model
from tracebank_models.language_model.tokenizer import train_tokenizer

TEXT = '''def first(items):
    """Add up."""
    print(len(items), sum(items))
    return sum(items)


def second(items):
    """Say the order."""
    for at, one in enumerate(sorted(items)):
        print(at, one.len, key=one)


def third(text):
    """Make it longer than the others, so that a small context does not hold it."""
    found = [str(one) + "len" for one in text if isinstance(one, int)]
    found += [str(one) + "len" for one in text if isinstance(one, float)]
    return found
'''


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[SwapExample]:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "three.py").write_text(TEXT)
    return examples_of(PythonSources(folder), SwapSelection(pairs=2)).examples


@pytest.fixture(scope="package")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([TEXT] * 3, 330)


@pytest.fixture(scope="package")
def model(tokenizer: PreTrainedTokenizerFast) -> GPTNeoXForCausalLM:
    size = ModelSize(hidden_size=32, layers=2, attention_heads=4, vocabulary_size=330, context_length=320)
    made = build_model(size, tokenizer, seed=1)
    with torch.no_grad():  # far enough from uniform that bodies differ
        for parameter in made.parameters():
            parameter.mul_(4.0) if parameter.dim() > 1 else None
    return made.eval()


@pytest.fixture
def double() -> Iterator[Double]:
    with answering() as made:
        yield made


def write(folder: Path, **modules: str) -> PythonSources:
    """A tree of sources of the given modules."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return PythonSources(folder)
