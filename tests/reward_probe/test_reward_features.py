"""How features fire, what becomes of them between checkpoints, and which of them an ablation takes."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.activity import ACTIVITY_SCHEMA, feature_activity, feature_states
from tracebank_models.reward_probe.reward_ablation import AblationSettings, _KeepingError, ablate_reward_features
from tracebank_models.reward_probe.reward_features import control_features, features_to_ablate, rank_reward_features
from tracebank_models.reward_probe.tuning_dynamics import Checkpoint, follow_tuning


def _activity(site: str, densities: list[float], means: list[float] | None = None) -> pl.DataFrame:
    columns = {
        "site": [site] * len(densities),
        "feature": range(len(densities)),
        "density": densities,
        "mean_activation": means or [1.0] * len(densities),
    }
    return pl.DataFrame(columns, schema=ACTIVITY_SCHEMA)


def _weights(activity: pl.DataFrame, values: list[float]) -> pl.DataFrame:
    return activity.select("site", "feature").with_columns(pl.Series("weight", values, pl.Float64))


def test_activity_is_what_the_codes_say(model: Any, tokenizer: Any, signed: Any) -> None:
    corpus = TokenCorpus.from_texts(["a great lid", "such", "so it goes"], tokenizer)
    sites = ["layers.1.mlp", "layers.0.mlp"]
    found = feature_activity(model, corpus, dict.fromkeys(sites, signed), batch_tokens=12)
    whole = list(stream_activations(model, corpus, sites))
    for site in sites:
        codes = torch.cat([signed.encode(batch.activations[site]) for batch in whole])
        frame = found.filter(site=site)
        torch.testing.assert_close(frame["density"].to_torch(), (codes > 0).double().mean(0))
        mean = codes.double().sum(0) / (codes > 0).sum(0).clamp_min(1)
        torch.testing.assert_close(frame["mean_activation"].to_torch(), mean, rtol=1e-4, atol=1e-5)


def test_features_are_born_and_die_between_checkpoints() -> None:
    #          alive        never        born, died     died, born again
    densities = [[0.5, 0.0, 0.0, 0.1], [0.4, 0.0, 0.2, 0.0], [0.6, 0.0, 0.0, 0.3]]
    states = [frame["state"].to_list() for frame in feature_states([_activity("s", row) for row in densities])]
    assert states == [
        ["alive", "dead", "dead", "alive"],
        ["alive", "dead", "born", "died"],
        ["alive", "dead", "died", "born"],
    ]
    with pytest.raises(ValueError, match=r"^checkpoints: number 1 has other features"):
        feature_states([_activity("s", [0.1]), _activity("s", [0.1, 0.2])])


def test_features_are_ranked_by_what_they_add_to_the_mean() -> None:
    activity = _activity("s", [0.001, 0.5, 0.5, 0.5, 0.0], [9.0, 2.0, 2.0, 1.0, 0.0])
    ranked = rank_reward_features(_weights(activity, [100.0, 1.0, -5.0, 3.0, 50.0]), activity)
    assert ranked["feature"].to_list() == [3, 1, 0]
    assert ranked["push"].to_list() == pytest.approx([1.5, 1.0, 0.9])
    with pytest.raises(ValueError, match=r"^weights: 1 are of features without activity"):
        rank_reward_features(_weights(_activity("t", [0.1]), [1.0]), activity)


def test_a_site_keeps_as_many_living_features_for_the_control() -> None:
    activity = pl.concat([_activity("a", [0.5] * 4 + [0.0] * 4), _activity("b", [0.1] * 8), _activity("c", [0.1] * 2)])
    weights = _weights(activity, [9.0, 8.0, 7.0, 6.0, 1, 1, 1, 1, *range(8, 0, -1), -1, -1])
    ranking = rank_reward_features(weights, activity)
    chosen = features_to_ablate(ranking, activity, 4)
    assert {site: features.tolist() for site, features in chosen.items()} == {"a": [0, 1], "b": [0, 1], "c": []}
    control = control_features(activity, chosen)
    assert {site: features.tolist() for site, features in control.items()} == {
        "a": [2, 3],
        "b": [2, 3, 4, 5, 6, 7],
        "c": [],
    }
    with pytest.raises(ValueError, match=r"^count: 0"):
        features_to_ablate(ranking, activity, 0)
    with pytest.raises(ValueError, match=r"^ranking: no feature"):
        features_to_ablate(ranking.clear(), activity, 3)


def test_a_control_is_drawn_from_the_most_active_others() -> None:
    activity = _activity("s", [0.1, 0.9, 0.0, 0.2, 0.9, 0.5], [1.0, 1.0, 0.0, 9.0, 0.1, 1.0])
    assert control_features(activity, {"s": torch.tensor([1])}, times=2)["s"].tolist() == [3, 5]
    assert control_features(activity, {"s": torch.tensor([1])}, times=9)["s"].tolist() == [0, 3, 4, 5]


def test_ablation_takes_the_features_that_push_most(model: Any, tokenizer: Any, signed: Any) -> None:
    corpus = TokenCorpus.from_texts(["a great lid", "such"], tokenizer)
    sites = ["layers.0.mlp", "layers.1.mlp"]
    coders = dict.fromkeys(sites, signed)
    activity = feature_activity(model, corpus, coders)
    weights = _weights(activity, [0.0] * 32 + [1.0] * 16 + [-1.0] * 16)
    prompts = [tokenizer(text)["input_ids"] for text in ("a g", "so ", "it ")]
    done: list[tuple[int, int]] = []
    found = ablate_reward_features(
        model, tokenizer, coders, weights, corpus, prompts, lambda texts: [float(len(text)) for text in texts],
        AblationSettings(0.05, new_tokens=4, seeds=(0, 1)), progress=lambda one, all_: done.append((one, all_)),
    )  # fmt: skip
    top = activity.filter(site="layers.1.mlp").head(16)
    push = (top["density"] * top["mean_activation"]).sort(descending=True)
    assert found.chosen["site"].unique().to_list() == ["layers.1.mlp"]
    assert found.chosen["push"].to_list() == pytest.approx(push.to_list()[:3])
    assert found.summary.select("condition", "seed", "features", "prompts").rows() == [
        ("none", 0, 0, 3), ("reconstruction", 0, 0, 3), ("features", 0, 3, 3),
        ("random_features", 0, 3, 3), ("random_features", 1, 3, 3), ("features_error_kept", 0, 3, 3),
        ("random_error_kept", 0, 3, 3), ("random_error_kept", 1, 3, 3)]  # fmt: skip
    assert found.texts.height == 24
    assert found.texts.filter(prompt=1)["prompt_text"].unique().to_list() == ["so "]
    assert done == [(at, 10) for at in range(1, 11)]
    # The reconstruction of these dictionaries is exact.
    same = found.texts.filter(condition="none")["text"].to_list()
    assert found.texts.filter(condition="reconstruction")["text"].to_list() == same
    # And so there is no error that could be kept or lost.
    for plain, kept in (("features", "features_error_kept"), ("random_features", "random_error_kept")):
        pair = [found.texts.filter(condition=name)["text"].to_list() for name in (plain, kept)]
        assert pair[0] == pair[1]
    with pytest.raises(ValueError, match=r"^share: 0.6"):
        ablate_reward_features(
            model, tokenizer, coders, weights, corpus, prompts, lambda texts: [0.0] * len(texts), AblationSettings(0.6)
        )


class _Lossy:
    """A dictionary of one feature, the first dimension: nearly everything is error."""

    def encode(self, activations: Tensor, /) -> Tensor:
        return activations[:, :1].abs()

    def decode(self, codes: Tensor, /) -> Tensor:
        return functional.pad(codes, (0, 15))


def test_with_the_error_kept_only_what_the_feature_wrote_is_gone() -> None:
    coder = _KeepingError(_Lossy())
    x = torch.randn(7, 16, generator=torch.Generator().manual_seed(0))
    codes = coder.encode(x)
    torch.testing.assert_close(coder.decode(codes), x)
    without = coder.decode(torch.zeros_like(codes))
    torch.testing.assert_close(without[:, 1:], x[:, 1:])
    torch.testing.assert_close(without[:, 0], x[:, 0] - x[:, 0].abs())


def test_a_checkpoint_with_another_tokenizer_is_refused(model: Any, tokenizer: Any, signed: Any) -> None:
    with pytest.raises(ValueError, match=r"^checkpoints: study 's' has none"):
        follow_tuning(
            [], "s-seed0", "s", {"layers.0.mlp": signed}, {"layers.0.mlp": "s/d"}, ["a"], [], {}, max_tokens=4
        )

    import copy

    other = copy.deepcopy(tokenizer)
    other.add_tokens(["zzz"])
    triples = _few_triples()
    checkpoints = [Checkpoint("base", 0, lambda: (model, tokenizer)), Checkpoint("tuned", 1, lambda: (model, other))]
    lexicon = {word: 1.0 + at for at, word in enumerate({t.positive for t in triples})}
    lexicon |= {word: -1.0 - at for at, word in enumerate({t.negative for t in triples})}
    with pytest.raises(ValueError, match=r"^tokenizer: "):
        follow_tuning(
            checkpoints,
            "s-seed0",
            "s",
            {"layers.0.mlp": signed},
            {"layers.0.mlp": "s/d"},
            ["a lid"],
            triples,
            lexicon,
            max_tokens=4,
        )


def _few_triples() -> list[Any]:
    from tracebank_models.reward_probe.contrastive_triples import ContrastiveTriple

    return [ContrastiveTriple(at, f"it {at} is ", f"good{at}", f"bad{at}", "lid") for at in range(30)]
