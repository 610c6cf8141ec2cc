"""A small model that knows six facts by heart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.counterfact.cases import byte_model
from tests.model_editing.facts import PREFIXES, TOKENIZER
from transformers import PreTrainedModel

from tracebank_models.language_model.token_blocks import encode_documents, padded_batch

KNOWN = {"B": "Rome", "A": "Oslo", "C": "Rome", "D": "Lima", "E": "Oslo", "F": "Lima"}


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small models gain nothing from more threads, and wait for them where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def knowing_model() -> PreTrainedModel:
    """NeoX that was shown where six people live, also after other texts."""
    model = byte_model()
    texts = [f"{prefix}{who} lives in {where}." for prefix in ("", *PREFIXES) for who, where in KNOWN.items()]
    ids, mask = padded_batch(encode_documents(TOKENIZER, texts), 0)
    labels = ids.masked_fill(mask == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    return model.eval()
