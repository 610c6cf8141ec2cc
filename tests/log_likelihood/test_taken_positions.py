"""Logits where they are asked for, on either side of padding, and log-probabilities made of them."""

from __future__ import annotations

import pytest
import torch
from tests.tiny_models import tiny_model
from torch.nn.functional import gelu
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.activations import NewGELUActivation

from tracebank_models.language_model.taken_positions import log_probabilities_of, logits_at
from tracebank_models.log_likelihood.mode import scoring


def _gpt2() -> PreTrainedModel:
    torch.manual_seed(5)
    return GPT2LMHeadModel(GPT2Config(vocab_size=257, n_embd=16, n_layer=2, n_head=2, n_positions=64)).eval()


@pytest.mark.parametrize("model", [tiny_model(2), _gpt2()], ids=["gpt_neox", "gpt2"])
@pytest.mark.parametrize("left", [True, False])
@torch.no_grad()
def test_padding_on_either_side_changes_no_logit(model: PreTrainedModel, left: bool) -> None:
    random = torch.Generator().manual_seed(1)
    rows = [torch.randint(0, 256, (length,), generator=random) for length in (9, 2, 30, 17)]
    ids, mask, taken = torch.full((4, 30), 99), torch.zeros(4, 30, dtype=torch.int64), torch.zeros(4, 30).bool()
    for row, tokens in enumerate(rows):
        place = slice(30 - len(tokens), 30) if left else slice(0, len(tokens))
        ids[row, place], mask[row, place], taken[row, place] = tokens, 1, True
    taken &= torch.rand(4, 30, generator=random) < 0.7
    found, _ = logits_at(model, ids, mask, taken)
    asked = [taken[row][mask[row].bool()] for row in range(4)]
    alone = torch.cat([model(input_ids=tokens[None]).logits[0][some] for tokens, some in zip(rows, asked, strict=True)])
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=0)


def test_log_probabilities_and_their_gradients_are_those_of_a_softmax() -> None:
    torch.manual_seed(2)
    logits = (30 * torch.randn(5_000, 257)).requires_grad_()  # more than are worked on at once
    targets = torch.randint(0, 257, (5_000,))
    plain = logits.double().log_softmax(-1).gather(1, targets[:, None])[:, 0]
    found = log_probabilities_of(logits, targets)
    torch.testing.assert_close(found, plain, atol=1e-6, rtol=0)
    (wanted,) = torch.autograd.grad(plain.sum(), logits)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=0)


def test_a_model_scores_in_one_mode_and_gets_its_own_back() -> None:
    model = _gpt2().train()
    spelt_out = [one for one in model.modules() if type(one) is NewGELUActivation]
    values = torch.linspace(-8, 8, 101)
    before = spelt_out[0](values)
    with scoring(model):
        assert not model.training
        assert torch.equal(spelt_out[0](values), gelu(values, approximate="tanh"))
    with pytest.raises(IndexError), scoring(model):
        model(input_ids=torch.tensor([[999]]))
    assert model.training
    assert all("forward" not in vars(one) for one in spelt_out)
    assert torch.equal(spelt_out[0](values), before)
    torch.testing.assert_close(before, gelu(values, approximate="tanh"), atol=1e-6, rtol=1e-5)
