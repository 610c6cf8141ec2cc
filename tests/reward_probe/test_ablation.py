"""Ablation beside its controls: exact reconstruction changes nothing, and features change what they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tracebank_models.reward_probe.ablation import ablate, ablations, generate_greedily, reconstruct_without

PROMPTS = [[3, 4, 5], [7], [1, 2, 3, 4, 5, 6], [200, 100]]
SITE = "layers.1.mlp"


def _longest(texts: Any) -> list[float]:
    return [float(sum(map(ord, text))) for text in texts]


def test_greedy_generation_is_not_changed_by_padding(model: Any, tokenizer: Any) -> None:
    """One prompt at a time, token by token without a cache, is the oracle."""
    found = generate_greedily(model, tokenizer, PROMPTS, new_tokens=6)
    for prompt, text in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([prompt])
        for _ in range(6):
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
        assert text == tokenizer.decode(ids[0, len(prompt) :], skip_special_tokens=True)


def test_the_four_conditions(model: Any, tokenizer: Any, signed: Any) -> None:
    told: list[tuple[int, int]] = []
    chosen = {SITE: torch.arange(16)}
    found = ablate(
        model, tokenizer, PROMPTS, {SITE: signed}, chosen, _longest, seeds=(0, 1), progress=lambda *at: told.append(at)
    )
    rows = {(row["condition"], row["seed"]): row for row in found.summary.iter_rows(named=True)}
    assert list(rows) == [
        ("none", None),
        ("reconstruction", None),
        ("features", None),
        ("random_features", 0),
        ("random_features", 1),
    ]
    assert rows["none", None]["difference"] == rows["reconstruction", None]["difference"] == 0.0
    assert rows["features", None]["difference"] != 0.0
    assert [row["features"] for row in rows.values()] == [0, 0, 16, 16, 16]
    assert told[-1] == (5, 5)
    plain = found.generations.filter(condition="none")
    assert plain["text"].to_list() == generate_greedily(model, tokenizer, PROMPTS, new_tokens=20)
    assert plain["reward"].mean() == pytest.approx(rows["none", None]["mean_reward"])


def test_a_feature_at_zero_leaves_the_others(signed: Any) -> None:
    output = torch.tensor([[[1.0, -2.0], [-3.0, 4.0]]])
    changed = reconstruct_without(SITE, signed, torch.tensor([0, 3]))(output)
    assert torch.equal(changed, torch.tensor([[[0.0, 0.0], [-3.0, 4.0]]]))


def test_random_features_are_never_the_chosen_ones() -> None:
    chosen, alive = torch.tensor([1, 4]), torch.tensor([1, 2, 5, 7, 9])
    for run in ablations({"s": chosen}, {"s": 10}, seeds=range(20), among={"s": alive}):
        if run.condition == "random_features":
            drawn = set(run.features["s"].tolist())
            assert len(drawn) == 2
            assert drawn <= {2, 5, 7, 9}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([32], "is not allowed: 0 to 31"),
        ([1, 1], "there twice"),
        (list(range(20)), "leave 12 to draw a control from"),
    ],
)
def test_bad_features_are_refused(model: Any, tokenizer: Any, signed: Any, features: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ablate(model, tokenizer, PROMPTS, {SITE: signed}, {SITE: torch.tensor(features)}, _longest)


def test_bad_dictionaries_and_prompts_are_refused(model: Any, tokenizer: Any, narrow: Any, signed: Any) -> None:
    chosen = {SITE: torch.tensor([1])}
    with pytest.raises(ValueError, match=r"^dictionary: that of 'layers.1.mlp' does not take"):
        ablate(model, tokenizer, PROMPTS, {SITE: narrow}, chosen, _longest)
    with pytest.raises(ValueError, match=r"^features: .* have no dictionary"):
        ablate(model, tokenizer, PROMPTS, {}, chosen, _longest)
    with pytest.raises(ValueError, match=r"^lengths: 102 tokens with the prompt are not allowed; allowed: at most 64"):
        generate_greedily(model, tokenizer, [[1, 2]], new_tokens=100)
    with pytest.raises(ValueError, match=r"^prompts: one is empty"):
        ablate(model, tokenizer, [[]], {SITE: signed}, chosen, _longest)
