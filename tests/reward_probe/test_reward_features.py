"""How features fire, what becomes of them between checkpoints, and which of them an ablation takes."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
import torch

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.activity import ACTIVITY_SCHEMA, feature_activity, feature_states
from tracebank_models.language_model.lexicon import Lexicon, LexiconReward
from tracebank_models.reward_probe.reward_ablation import (
    BASELINE,
    DRAWN,
    AblationSettings,
    AblationTexts,
    ablate_reward_features,
    work,
)
from tracebank_models.reward_probe.reward_features import features_to_ablate, rank_reward_features
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
    with pytest.raises(ValueError, match=r"^count: 0"):
        features_to_ablate(ranking, activity, 0)
    with pytest.raises(ValueError, match=r"^ranking: no feature"):
        features_to_ablate(ranking.clear(), activity, 3)


def test_ablation_takes_the_features_that_push_most(model: Any, tokenizer: Any, signed: Any) -> None:
    corpora = [TokenCorpus.from_texts(texts, tokenizer) for texts in (["a great lid", "such"], ["so it goes", "on"])]
    sites = ["layers.0.mlp", "layers.1.mlp"]
    coders = dict.fromkeys(sites, signed)
    activity = feature_activity(model, corpora[0], coders)
    weights = _weights(activity, [0.0] * 32 + [1.0] * 16 + [-1.0] * 16)
    starts = [tokenizer(text)["input_ids"] for text in ("a gr", "so i", "it i")]
    texts = AblationTexts(corpora[0], corpora[1], starts, starts[1:])
    lexicon, done = Lexicon("toy", {"a": 1.0, "i": -1.0, "go": 2.0}), list[int]()
    settings = AblationSettings(0.05, draws=7, new_tokens=4)
    found = ablate_reward_features(
        model, tokenizer, coders, weights, texts, lexicon, LexiconReward(lexicon), settings, advance=done.append
    )  # fmt: skip
    top = activity.filter(site="layers.1.mlp").head(16)
    push = (top["density"] * top["mean_activation"]).sort(descending=True)
    assert found.chosen["site"].unique().to_list() == ["layers.1.mlp"]
    assert found.chosen["push"].to_list() == pytest.approx(push.to_list()[:3])
    assert sum(done) == work(3, 7)
    rows = {(row["condition"], row["draw"]): row for row in found.effects.iter_rows(named=True)}
    random = [(name, draw) for name in ("random_features", "random_error_kept") for draw in range(7)]
    assert set(rows) == {(name, 0) for name in ("none", "reconstruction", *BASELINE)} | set(random)
    assert {row["features"] for (name, _), row in rows.items() if name not in ("none", "reconstruction")} == {3}
    matching = feature_activity(model, corpora[1], coders).filter(site="layers.1.mlp")
    mass = matching.filter(pl.col("feature").is_in(found.chosen["feature"].implode()))
    assert rows["features", 0]["mass"] == pytest.approx((mass["density"] * mass["mean_activation"]).sum())
    # The reconstruction of these dictionaries is exact, and so there is no error that could be kept or lost.
    assert rows["reconstruction", 0]["difference"] == pytest.approx(0, abs=1e-6)
    for name, baseline in BASELINE.items():
        row = rows[name, 0]
        assert row["effect"] == pytest.approx(row["expected_valence"] - rows[baseline, 0]["expected_valence"])
        assert row["effect"] == pytest.approx(rows["features", 0]["effect"], abs=1e-6)
        assert row["effect_low"] <= row["effect"] <= row["effect_high"]
        drawn = [rows[DRAWN[name], draw]["effect"] for draw in range(7)]
        assert row["rank_p"] == (1 + sum(one <= row["effect"] + 1e-6 for one in drawn)) / 8
    assert found.texts.select("condition", "prompt", "prompt_text").rows() == [
        (name, at, text)
        for name in ("none", "reconstruction", "features", "features_error_kept", "random_error_kept")
        for at, text in enumerate(("so i", "it i"))
    ]
    for wrong, message in ((AblationSettings(0.6), r"^share: 0.6"), (AblationSettings(0.1, draws=0), r"^draws: 0")):
        with pytest.raises(ValueError, match=message):
            ablate_reward_features(model, tokenizer, coders, weights, texts, lexicon, LexiconReward(lexicon), wrong)


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
