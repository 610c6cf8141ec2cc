"""The exact effect of features at zero: against brute force, beside its controls, and where it was planted."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.activations.sites import resolve_sites
from tracebank_models.features.activity import feature_activity
from tracebank_models.features.held_at_zero import held, without_features
from tracebank_models.language_model.lexicon import Lexicon, LexiconReward
from tracebank_models.reward_probe.ablation import Condition, ExpectedValence, interval, under
from tracebank_models.reward_probe.ablation_texts import generate_greedily, write_under
from tracebank_models.reward_probe.matched_draws import matched_draws, rank_p
from tracebank_models.reward_probe.next_valence import TokenValences

PROMPTS = [[3, 4, 5], [7], [1, 2, 3, 4, 5, 6], [200, 100]]
STARTS = ["goo", "ba ", " .b"]
SITE, OTHER = "layers.1.mlp", "layers.0.mlp"
LEXICON = Lexicon("toy", {"good": 2.0, "a": 1.0, "bad": -1.5, "i": 0.5})
WORDS = Lexicon("toy", {f"nice{letter}": 2.0 for letter in "abcd"} | {f"evil{letter}": -2.0 for letter in "abcd"})


def _expected(model: Any, tokenizer: Any, sites: Any, coders: Any, condition: Condition, text: list[int]) -> float:
    """Every token put behind every start of a text."""
    with torch.no_grad(), under(model, sites, coders, condition):
        chances = model(torch.tensor([text])).logits[0].softmax(-1)
    means = []
    for at in range(len(text)):
        before = tokenizer.decode(text[: at + 1])
        values = [
            LEXICON.valence_sum(before + tokenizer.decode([token])) - LEXICON.valence_sum(before)
            for token in range(256)
        ]
        means.append(float(chances[at, :256] @ torch.tensor(values)))
    return sum(means) / len(means)


def test_the_measure_is_exact_for_every_choice_of_a_batch(model: Any, tokenizer: Any, signed: Any) -> None:
    coders, texts = {SITE: signed, OTHER: signed}, tokenizer(STARTS)["input_ids"]
    sites = {site.name: site for site in resolve_sites(model, [SITE, OTHER])}
    off = torch.rand(5, 32, generator=torch.Generator().manual_seed(0)) < 0.3
    conditions = {
        "none": Condition({}),
        "drawn": Condition({SITE: off, OTHER: off.flip(0)}),
        "kept": Condition({SITE: off, OTHER: torch.zeros_like(off)}, error_kept=True),
    }
    measured = ExpectedValence(model, TokenValences.of(tokenizer, LEXICON), coders, texts)
    done: list[int] = []
    found = measured.of(conditions, done.append)
    assert (measured.tokens, sum(done)) == (9, 3 * 11)
    assert {name: tuple(values.shape) for name, values in found.items()} == {
        "none": (1, 3), "drawn": (5, 3), "kept": (5, 3)}  # fmt: skip
    for name, condition in conditions.items():
        for choice in (0, condition.choices - 1):
            for number, text in enumerate(texts):
                one = condition.part(slice(choice, choice + 1))
                wanted = _expected(model, tokenizer, sites, coders, one, text)
                assert abs(wanted) > 1e-4
                assert float(found[name][choice, number]) == pytest.approx(wanted, abs=1e-5)


def test_an_exact_reconstruction_changes_nothing(model: Any, tokenizer: Any, signed: Any) -> None:
    off = held([0, 3, 20], 32)
    conditions = {
        "none": Condition({}),
        "reconstruction": Condition({SITE: torch.zeros_like(off)}),
        "features": Condition({SITE: off}),
        "kept": Condition({SITE: off}, error_kept=True),
    }
    found = ExpectedValence(
        model, TokenValences.of(tokenizer, LEXICON), {SITE: signed}, tokenizer(STARTS)["input_ids"]
    ).of(conditions)
    torch.testing.assert_close(found["reconstruction"], found["none"], atol=1e-6, rtol=0)
    torch.testing.assert_close(found["features"], found["kept"], atol=1e-6, rtol=0)
    assert float((found["features"] - found["none"]).abs().max()) > 1e-5


@pytest.fixture
def praising(model: Any) -> Any:
    """A model in which four dimensions of the last MLP raise words of praise and lower words of blame."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        mlp, embedding = made.gpt_neox.layers[1].mlp.dense_4h_to_h, made.lm_head.weight
        mlp.bias[:4] += torch.tensor([0.5, 1.0, 1.5, 2.0])
        embedding[:, :4] = 0
        embedding[:4, :4], embedding[4:8, :4] = 1.0, -1.0
    return made


def test_features_that_write_praise_have_the_smallest_rank(praising: Any, signed: Any) -> None:
    ids = torch.randint(0, 257, (24, 6), generator=torch.Generator().manual_seed(2))
    starts, numbers = np.arange(0, 150, 6), np.arange(24)
    activity = feature_activity(praising, TokenCorpus(ids.int().flatten().numpy(), starts, numbers, ""), {SITE: signed})
    drawn = matched_draws({SITE: torch.arange(4)}, activity, draws=200, seed=0)
    words = [f" {word}" for word in (*WORDS.valences, *(f"word{number}" for number in range(249)))]
    conditions = {
        "none": Condition({}),
        "kept": Condition({SITE: held(range(4), 32)}, error_kept=True),
        "drawn": Condition(drawn, error_kept=True),
    }
    measured = ExpectedValence(praising, TokenValences(words, WORDS), {SITE: signed}, ids.tolist())
    found = measured.of(conditions)
    effects, of_draws = found["kept"] - found["none"], (found["drawn"] - found["none"]).mean(1)
    # No draw does as much but one that is the chosen set itself.
    same = int((drawn[SITE] == held(range(4), 32)).all(1).sum())
    assert rank_p(float(effects.mean()), of_draws)[0] == pytest.approx((1 + same) / 201)
    assert same < 8
    low, high = interval(effects[0], seed=0)
    assert low < float(effects.mean()) < high < 0


class _Lossy:
    """A dictionary of one feature, the first dimension: nearly everything is error."""

    def encode(self, activations: Tensor, /) -> Tensor:
        return activations[:, :1].abs()

    def decode(self, codes: Tensor, /) -> Tensor:
        return functional.pad(codes, (0, 15))


def test_with_the_error_kept_only_what_the_feature_wrote_is_gone() -> None:
    x = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
    for off, gone in ((torch.tensor([[False]]), 0.0), (torch.tensor([[True]]), x[..., 0].abs())):
        found = without_features(SITE, _Lossy(), off, error_kept=True)(x)
        torch.testing.assert_close(found[..., 1:], x[..., 1:])
        torch.testing.assert_close(found[..., 0], x[..., 0] - gone)
    lost = without_features(SITE, _Lossy(), torch.tensor([[False]]), error_kept=False)(x)
    torch.testing.assert_close(lost[..., 0], x[..., 0].abs())
    assert not lost[..., 1:].any()


def test_each_choice_has_its_part_of_a_batch(signed: Any) -> None:
    output = torch.tensor([[[1.0, -2.0]], [[-3.0, 4.0]]])
    off = torch.cat([held([0, 3], 4), held([1], 4)])
    assert without_features(SITE, signed, off, error_kept=False)(output).tolist() == [[[0.0, 0.0]], [[-3.0, 0.0]]]
    with pytest.raises(ValueError, match=r"^off: \(2, 4\) is not allowed for 3 sequences and 4 features"):
        without_features(SITE, signed, off, error_kept=False)(torch.ones(3, 1, 2))


def test_greedy_generation_is_not_changed_by_padding(model: Any, tokenizer: Any) -> None:
    """One prompt at a time, token by token without a cache, is the oracle."""
    found = generate_greedily(model, tokenizer, PROMPTS, new_tokens=6)
    for prompt, text in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([prompt])
        for _ in range(6):
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
        assert text == tokenizer.decode(ids[0, len(prompt) :], skip_special_tokens=True)


def test_what_is_written_under_a_condition(model: Any, tokenizer: Any, signed: Any) -> None:
    conditions = {"none": Condition({}), "features": Condition({SITE: held(range(16), 32)})}
    found = write_under(model, tokenizer, {SITE: signed}, conditions, PROMPTS, LexiconReward(LEXICON), 6)
    assert found.select("condition", "draw", "prompt").rows() == [
        (name, 0, at) for name in conditions for at in range(4)]  # fmt: skip
    written = {name: found.filter(condition=name)["text"].to_list() for name in conditions}
    assert written["none"] == generate_greedily(model, tokenizer, PROMPTS, new_tokens=6)
    assert written["features"] != written["none"]
    assert found["reward"].to_list() == pytest.approx([LEXICON.valence_sum(text) / 5 for text in found["text"]])


def test_what_cannot_be_measured_is_refused(model: Any, tokenizer: Any, narrow: Any, signed: Any) -> None:
    valences = TokenValences.of(tokenizer, LEXICON)
    for texts in ([], [[1, 2], [3]], [[]]):
        with pytest.raises(ValueError, match=r"^texts: lengths .* are not allowed: at least one text, all of one"):
            ExpectedValence(model, valences, {SITE: signed}, texts)
    with pytest.raises(ValueError, match=r"^dictionary: that of 'layers.1.mlp' does not take"):
        ExpectedValence(model, valences, {SITE: narrow}, PROMPTS[:1]).of({"one": Condition({SITE: held([1], 5)})})
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.lm_head.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"^model: GPTNeoXForCausalLM gives logits that are not finite"):
        ExpectedValence(broken, valences, {SITE: signed}, PROMPTS[:1]).of({"none": Condition({})})
    for features, message in (([32], "32 is not allowed: 0 to 31"), ([1, 1], "one is there twice")):
        with pytest.raises(ValueError, match=message):
            held(features, 32)
    with pytest.raises(ValueError, match=r"^lengths: 102 tokens with the prompt are not allowed; allowed: at most 64"):
        generate_greedily(model, tokenizer, [[1, 2]], new_tokens=100)
    with pytest.raises(ValueError, match=r"^prompts: one is empty"):
        generate_greedily(model, tokenizer, [[]], new_tokens=1)
