"""Scores of one case: against a plain reckoning prompt by prompt, and divergences against their closed form."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import torch
from tests.counterfact.cases import byte_model, case
from tests.tiny_models import byte_tokenizer
from transformers import PreTrainedModel

from tracebank_models.counterfact.divergences import divergences
from tracebank_models.counterfact.metrics import begins_with, case_prompts, score_case

TOKENIZER = byte_tokenizer()


def _log_probabilities(model: PreTrainedModel, text: str, rest: str = "") -> torch.Tensor:
    """Of each token after the text and of every token of the rest but the last, fp64."""
    ids = TOKENIZER(text + rest, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0].double()
    return torch.log_softmax(logits, dim=-1)[len(TOKENIZER(text).input_ids) - 1 :]


def _nll(model: PreTrainedModel, text: str, target: str) -> tuple[float, bool]:
    found = _log_probabilities(model, text, f" {target}")[:-1]
    ids = torch.tensor(TOKENIZER(f" {target}").input_ids)
    return -float(found.gather(1, ids[:, None]).mean()), bool((found.argmax(dim=1) == ids).all())


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2"])
def test_scores_are_those_of_a_plain_reckoning(family: str) -> None:
    model, one = byte_model(family), case()
    before = score_case(model, TOKENIZER, one, "unedited")
    assert before.rows.select((pl.col("^kl.*$") == 0).all()).row(0) == (True, True, True)
    plain = [_log_probabilities(model, prompt.text)[0] for prompt in case_prompts(one)]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("dense_4h_to_h.weight", "mlp.c_proj.weight")):
                weight.mul_(1.3)
    after = score_case(model, TOKENIZER, one, "after_edit", before.distributions).rows
    prompts = case_prompts(one)
    kinds = ["rewrite", *["paraphrase"] * 2, *["neighborhood"] * 2, *["neighborhood_plus"] * 2]
    assert after["kind"].to_list() == [prompt.kind for prompt in prompts] == kinds
    assert after["index"].to_list() == [0, 0, 1, 0, 1, 0, 1]
    for row, prompt, was in zip(after.iter_rows(named=True), prompts, plain, strict=True):
        new, true = (_nll(model, prompt.text, target) for target in ("Latin", "Greek"))
        assert (row["nll_new"], row["nll_true"]) == pytest.approx((new[0], true[0]), abs=1e-4)
        right, wrong = (new, true) if prompt.asks_new else (true, new)
        assert row["success"] == (right[0] < wrong[0])
        assert row["magnitude"] == pytest.approx(math.exp(-right[0]) - math.exp(-wrong[0]), abs=1e-6)
        assert row["correct"] == right[1]
        now = _log_probabilities(model, prompt.text)[0]
        if prompt.asks_new:
            assert row["kl"] is None
        else:
            there, back = float((was.exp() * (was - now)).sum()), float((now.exp() * (now - was)).sum())
            found = (row["kl"], row["kl_reversed"], row["kl_released"])
            assert found == pytest.approx((there, back, back / 257), rel=1e-3)
            assert min(found) > 0


def test_what_is_written_is_greedy_and_counts_where_it_begins_with_the_new_object() -> None:
    model, one = byte_model(), case()
    ids = TOKENIZER(one.rewrite).input_ids
    written: list[int] = []
    for _ in range(len(" Latin") + 4):
        with torch.no_grad():
            written.append(int(model(input_ids=torch.tensor([[*ids, *written]])).logits[0, -1].argmax()))
    rows = score_case(model, TOKENIZER, one, "unedited").rows
    assert rows["generated"][0] == TOKENIZER.decode(written)
    assert rows["generated_correct"].to_list() == [False] * 3 + [None] * 4
    assert [begins_with(text, "Latin") for text in (" Latin.", "Latin", " Latinate", "In Latin", " L")] == [
        *(True, True, False, False, False)
    ]


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.9, 0.2), (1e-6, 0.3)])
def test_divergences_of_two_tokens_are_their_closed_form(p: float, q: float) -> None:
    before, after = (torch.tensor([[one, 1 - one]], dtype=torch.float64).log() for one in (p, q))
    there = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    back = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
    np.testing.assert_allclose(divergences(before, after)[:, 0], (there, back, back / 2), rtol=1e-12, atol=1e-15)


def test_a_token_that_cannot_come_moves_nothing() -> None:
    before, after = (torch.tensor([[one, 1 - one, 0.0]]).log() for one in (0.5, 0.25))
    assert bool(torch.isfinite(divergences(before, after)).all())
