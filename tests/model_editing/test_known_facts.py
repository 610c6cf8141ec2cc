"""Facts written into a model that knows facts: it says them, and goes on to say the others."""

from __future__ import annotations

import pytest
import torch
from tests.model_editing.conftest import KNOWN
from tests.model_editing.facts import PREFIXES, TOKENIZER, moments_of
from transformers import PreTrainedModel

from tracebank_models.model_editing.editors import EDITORS
from tracebank_models.model_editing.requests import EditRequest
from tracebank_models.model_editing.restored import edited
from tracebank_models.model_editing.settings import MassSettings, RankOneSettings
from tracebank_models.model_editing.value_search import SearchSettings

SEARCH = SearchSettings(clamp=10, weight_decay=0.0)
RANK_ONE = RankOneSettings(0, SEARCH, moment_ridge=1e-3)
MASS = MassSettings((0,), SEARCH, moment_weight=1e-3, moment_ridge=1e-3, norm_weight=1e-4, null_threshold=1e-1)
SETTINGS = {"rome": RANK_ONE, "r_rome": RANK_ONE, "memit": MASS, "memit_norm": MASS}


def _said(model: PreTrainedModel) -> dict[str, str]:
    """Where the model says that each one lives."""
    found = {}
    for who in KNOWN:
        ids = TOKENIZER(f"{who} lives in")["input_ids"]
        with torch.no_grad():
            for _ in range(5):
                ids = [*ids, int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())]
        found[who] = TOKENIZER.decode(ids).removeprefix(f"{who} lives in ")
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_a_written_fact_is_said_and_the_others_too(name: str, knowing_model: PreTrainedModel) -> None:
    assert _said(knowing_model) == KNOWN
    moments, request = moments_of(knowing_model, [0]), EditRequest("{} lives in", "D", "Oslo")
    editor = EDITORS[name](SETTINGS[name])
    with edited(knowing_model, TOKENIZER, editor, [request], moments, PREFIXES) as (trace,):
        assert trace.value_loss < 0.1
        assert _said(knowing_model) == KNOWN | {"D": "Oslo"}
    assert _said(knowing_model) == KNOWN


@pytest.mark.parametrize("name", SETTINGS)
def test_a_known_fact_moves_nothing(name: str, knowing_model: PreTrainedModel) -> None:
    moments, request = moments_of(knowing_model, [0]), EditRequest("{} lives in", "E", KNOWN["E"])
    editor = EDITORS[name](SETTINGS[name])
    with edited(knowing_model, TOKENIZER, editor, [request], moments, PREFIXES) as (trace,):
        assert trace.value_loss < 0.05
        assert trace.change_norm <= 1e-5 * trace.weight_norm
