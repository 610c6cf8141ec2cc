"""The scorer against a plain computation of each pair, whatever the batches, the order and the padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tiny_models import byte_tokenizer, tiny_model
from transformers import GPT2Config, GPT2LMHeadModel, MambaConfig, MambaForCausalLM, PreTrainedModel

from tracebank_models.language_model.tokenizer import train_tokenizer
from tracebank_models.log_likelihood.scorer import (
    ScorerSettings,
    TokenPair,
    encoded_pair,
    last_log_probabilities,
    score_pairs,
    scored,
    token_log_probabilities,
)


def _gpt2() -> PreTrainedModel:
    torch.manual_seed(5)
    config = GPT2Config(vocab_size=257, n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


def _mamba() -> PreTrainedModel:
    torch.manual_seed(5)
    config = MambaConfig(vocab_size=257, hidden_size=16, num_hidden_layers=2, state_size=4, time_step_rank=2)
    return MambaForCausalLM(config).eval()


MODELS = {"gpt_neox": lambda: tiny_model(2), "gpt2": _gpt2, "mamba": _mamba}


def _pairs(count: int = 40, seed: int = 0) -> list[TokenPair]:
    """Pairs of many lengths, of some contexts three and of others one."""
    random, found = np.random.default_rng(seed), list[TokenPair]()
    for number in range(count):
        context = tuple(random.integers(0, 256, random.integers(1, 30)).tolist())
        if number % 4 > 1:
            context = found[-1].context
        found.append(TokenPair(context, tuple(random.integers(0, 256, random.integers(1, 20)).tolist())))
    return found


def _plain(model: PreTrainedModel, pair: TokenPair) -> tuple[float, bool]:
    ids = torch.tensor([[*pair.context, *pair.continuation]])
    with torch.no_grad():
        said = model(input_ids=ids).logits[0, len(pair.context) - 1 : -1].double().log_softmax(-1)
    wanted = torch.tensor(pair.continuation)
    return float(said.gather(1, wanted[:, None]).sum()), bool((said.argmax(1) == wanted).all())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shared", [True, False])
def test_scores_are_those_of_one_pair_at_a_time(name: str, shared: bool) -> None:
    model, pairs = MODELS[name](), _pairs(12 if name == "mamba" else 40)
    found = scored(model, pairs, ScorerSettings(batch_tokens=200, share_contexts=shared))
    plain = [_plain(model, pair) for pair in pairs]
    np.testing.assert_allclose(found.log_likelihood, [one for one, _ in plain], atol=2e-5, rtol=0)
    assert found.greedy.tolist() == [greedy for _, greedy in plain]
    assert found.tokens.tolist() == [len(pair.continuation) for pair in pairs]
    assert not model.training


@pytest.mark.parametrize("name", ["gpt_neox", "gpt2"])
def test_scores_do_not_depend_on_batches_and_order(name: str) -> None:
    model, pairs = MODELS[name](), _pairs(60, 1)
    first = scored(model, pairs).log_likelihood
    for seed in range(12):
        random = np.random.default_rng(seed)
        order = random.permutation(len(pairs))
        settings = ScorerSettings(batch_tokens=int(random.integers(1, 600)), share_contexts=bool(seed % 2))
        other = scored(model, [pairs[at] for at in order], settings).log_likelihood
        np.testing.assert_allclose(other, first[order], atol=1e-5, rtol=0)


def test_every_pair_comes_once_as_batches_are_done() -> None:
    pairs, told = _pairs(), list[int]()
    parts = list(score_pairs(tiny_model(1), pairs, ScorerSettings(batch_tokens=64), told.append))
    assert len(parts) > 3
    assert sorted(np.concatenate([part.index for part in parts]).tolist()) == list(range(len(pairs)))
    assert sum(told) == len(pairs)


def test_tokens_of_a_pair_add_up_to_it() -> None:
    model, pairs = tiny_model(2), _pairs(12)
    whole = scored(model, pairs).log_likelihood
    for row, tokens in token_log_probabilities(model, pairs):
        assert len(tokens) == len(pairs[row].continuation)
        assert tokens.sum() == pytest.approx(whole[row], abs=1e-9)


def test_the_next_token_after_a_context() -> None:
    model, contexts = tiny_model(2), [pair.context for pair in _pairs(15)]
    for rows, said in last_log_probabilities(model, contexts, ScorerSettings(batch_tokens=90)):
        for row, one in zip(rows.tolist(), said, strict=True):
            with torch.no_grad():
                plain = model(input_ids=torch.tensor([contexts[row]])).logits[0, -1].log_softmax(-1)
            torch.testing.assert_close(one, plain, atol=1e-5, rtol=0)


def test_bfloat16_is_near() -> None:
    model, pairs = tiny_model(2), _pairs(20)
    exact = scored(model, pairs).log_likelihood
    rounded = scored(model.bfloat16(), pairs)
    per_token = np.abs(rounded.log_likelihood - exact) / rounded.tokens
    assert per_token.max() < 0.1


def test_what_is_too_long_is_refused_or_reported_and_never_cut() -> None:
    pairs = [*_pairs(3), TokenPair((1,) * 40, (2,) * 40)]
    with pytest.raises(ValueError, match="pairs: "):
        scored(tiny_model(1), pairs)
    found = scored(tiny_model(1), pairs, ScorerSettings(too_long="report"))
    assert np.isnan(found.log_likelihood).tolist() == [False] * 3 + [True]


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (TokenPair((1,), ()), "continuation of pair 0 is empty"),
        (TokenPair((), (1,)), "context of pair 0"),
        (TokenPair((1,), (4_000,)), "4000"),
    ],
)
def test_bad_pairs_are_one_line(pair: TokenPair, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scored(tiny_model(1), [pair])


def test_a_pair_is_cut_where_the_context_ends() -> None:
    tokenizer = byte_tokenizer()
    pair = encoded_pair(tokenizer, "ab", " cd")
    assert tokenizer.decode(pair.context) == "ab"
    assert tokenizer.decode(pair.continuation) == " cd"
    assert encoded_pair(tokenizer, "ab ", "cd") == pair


def test_a_token_of_both_is_refused_with_the_way_out() -> None:
    tokenizer = train_tokenizer(["the cat sat on the cat"] * 50, 300)
    assert len(tokenizer("cat", add_special_tokens=False)["input_ids"]) == 1
    with pytest.raises(ValueError, match="continuation: 'at' after 'the c' does not begin with a token of its own"):
        encoded_pair(tokenizer, "the c", "at")
