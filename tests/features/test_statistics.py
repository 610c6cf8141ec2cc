"""Statistics of features against dense sums, merging, and scores of explanations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tracebank_models.features.explanation_scores import ExplanationScores, TokenExplanations
from tracebank_models.features.statistics import FeatureStatistics
from tracebank_models.features.token_totals import TokenTotals
from tracebank_models.features.written_tokens import top_logits


@pytest.fixture
def codes() -> torch.Tensor:
    """600 tokens of 9 features: each fires now and then, and the last never."""
    made = (torch.randn(600, 9, generator=torch.Generator().manual_seed(0)) - 0.8).relu()
    made[:, 8] = 0
    return made


def _streamed(codes: torch.Tensor, size: int, **choice: int) -> FeatureStatistics:
    state = FeatureStatistics(9, **choice)
    for first in range(0, len(codes), size):
        state.update(codes[first : first + size], torch.arange(len(codes))[first : first + size])
    return state


def test_a_stream_gives_what_dense_sums_give(codes: torch.Tensor) -> None:
    found = _streamed(codes, 70).summary()
    assert found["fired"].to_list() == (codes > 0).sum(0).tolist()
    np.testing.assert_allclose(found["density"], (codes > 0).double().mean(0))
    np.testing.assert_allclose(found["max_activation"], codes.amax(0))
    np.testing.assert_allclose(found["mean_activation"][:8], [float(c[c > 0].mean()) for c in codes.T[:8]], rtol=1e-5)
    assert found["max_activation"][8] == found["mean_activation"][8] == 0


def test_top_examples_are_the_strongest(codes: torch.Tensor) -> None:
    found = _streamed(codes, 70, top=5).examples().filter(stratum="top")
    for feature in range(8):
        values, rows = codes[:, feature].topk(5)
        mine = found.filter(feature=feature)
        assert mine["row"].to_list() == rows.tolist()
        np.testing.assert_allclose(mine["activation"], values)
        assert mine["rank"].to_list() == [1, 2, 3, 4, 5]
    assert found.filter(feature=8).is_empty()


def test_merging_in_any_way_is_one_pass(codes: torch.Tensor) -> None:
    whole, rows = _streamed(codes, 600, top=4, sample=20), torch.arange(600)
    parts = [FeatureStatistics(9, top=4, sample=20) for _ in range(3)]
    for number, part in enumerate(parts):
        part.update(codes[number::3], rows[number::3])
    parts[2].merge(parts[0])
    parts[2].merge(parts[1])
    assert parts[2].examples().equals(whole.examples())
    exact = ["feature", "tokens", "fired", "density", "max_activation"]
    assert parts[2].summary().select(exact).equals(whole.summary().select(exact))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_parts_in_any_order_merged_in_any_way_are_one_pass(data: st.DataObject) -> None:
    """Of codes that may be negative, with equal ones, thresholds and a maximum of each feature."""
    shape = (data.draw(st.integers(1, 40)), 3)
    steps = data.draw(st.lists(st.integers(-4, 6), min_size=shape[0] * 3, max_size=shape[0] * 3))
    codes = torch.tensor(steps).view(shape) / 4
    order = data.draw(st.permutations(range(len(codes))))
    owner = data.draw(st.lists(st.integers(0, 2), min_size=len(codes), max_size=len(codes)))
    choice: dict[str, Any] = {
        "top": 2,
        "sample": data.draw(st.integers(1, 6)),
        "reservoir": data.draw(st.integers(0, 6)),
        "thresholds": np.array([0, 0.5, -0.3], np.float32),
        "maximum": codes.amax(0).clamp(min=0).numpy(),
    }
    whole, *parts = (FeatureStatistics(3, **choice) for _ in range(4))
    whole.update(codes, torch.arange(len(codes)))
    for row in order:
        parts[owner[row]].update(codes[row : row + 1], torch.tensor([row]))
    for number in data.draw(st.permutations([1, 2])):
        parts[0].merge(parts[number])
    assert_frame_equal(parts[0].summary(), whole.summary(), abs_tol=1e-12)
    assert parts[0].examples().equals(whole.examples())
    assert whole.fired.tolist() == [int((codes[:, n] > t).sum()) for n, t in enumerate((0, 0.5, -0.3))]


def test_the_reservoir_prefers_strong_tokens_by_their_weight() -> None:
    """Eight features, half of whose tokens have a weight of e, and half of e to a tenth of that."""
    values, rows = torch.tensor([4.0, 0.4]).repeat(5_000)[:, None].repeat(1, 8), torch.arange(10_000)
    found = {}
    for maximum in (4.0, 4e9):
        state = FeatureStatistics(8, reservoir=200, sample=200, maximum=np.full(8, maximum, np.float32))
        state.update(values, rows)
        found[maximum] = state.examples(random=200)
    drawn = {maximum: frame.filter(stratum="reservoir") for maximum, frame in found.items()}
    odds = math.e / math.exp(0.1)
    assert (drawn[4.0]["activation"] == 4.0).mean() == pytest.approx(odds / (1 + odds), abs=0.03)
    assert (drawn[4e9]["activation"] == 4.0).mean() == pytest.approx(0.5, abs=0.03), "all weights are 1"
    assert drawn[4.0].filter(feature=7)["rank"].to_list() == list(range(1, 201))
    even = found[4.0].filter(stratum="random")
    assert drawn[4.0].join(even, on=["feature", "row"]).height < 100, "drawn apart: 32 are in both by chance"


def test_random_examples_are_even_and_quantiles_are_in_order(codes: torch.Tensor) -> None:
    state = _streamed(codes, 100, sample=60)
    found = state.examples(random=60, quantiles=4, per_quantile=3)
    for feature in range(8):
        fires = torch.where(codes[:, feature] > 0)[0]
        drawn = found.filter(feature=feature, stratum="random")
        assert set(drawn["row"]) <= set(fires.tolist())
        assert drawn.height == min(60, len(fires))
        strata = found.filter(feature=feature, stratum="quantile")
        assert strata.group_by("quantile").len().sort("quantile").rows() == [(q, 3) for q in (1, 2, 3, 4)]
        bounds = strata.group_by("quantile").agg(
            pl.col("activation").min().alias("low"), pl.col("activation").max().alias("high")
        )
        ordered = bounds.sort("quantile")
        assert (ordered["high"][:-1] <= ordered["low"][1:]).all()
    many = FeatureStatistics(1, sample=500)
    many.update(torch.ones(20_000, 1), torch.arange(20_000))
    rows = many.examples(random=500).filter(stratum="random")["row"]
    assert abs(float(rows.mean()) - 10_000) < 1_000, "drawn from all over the corpus"


def test_top_tokens_and_lift() -> None:
    ids = torch.tensor([0, 1, 2, 2, 1, 0, 3, 3])
    codes = torch.zeros(8, 2)
    codes[ids == 2, 0] = 4.0
    codes[6, 0] = 1.0
    codes[:, 1] = 1.0
    totals = TokenTotals(2, 5)
    totals.update(codes[:3], ids[:3])
    totals.update(codes[3:], ids[3:])
    found = totals.top_tokens()
    first = found.filter(feature=0).select(
        "rank", "token_id", "fired", "token_count", "mean_activation", "share", "lift"
    )
    assert first.rows() == [
        (1, 2, 2, 2, 4.0, pytest.approx(8 / 9), pytest.approx((2 / 3) / (2 / 8))),
        (2, 3, 1, 2, 0.5, pytest.approx(1 / 9), pytest.approx((1 / 3) / (2 / 8))),
    ]
    np.testing.assert_allclose(found.filter(feature=1)["lift"], 1.0)


def test_top_logits_are_those_of_the_unembedding() -> None:
    chance = torch.Generator().manual_seed(0)
    decoder, unembedding = torch.randn(5, 6, generator=chance), torch.randn(30, 6, generator=chance)
    found = top_logits(decoder, unembedding, 3, block=2)
    logits = decoder @ unembedding.T
    for feature in range(5):
        order = logits[feature].argsort(descending=True).tolist()
        mine = found.filter(feature=feature)
        assert mine.filter(direction="raised")["token_id"].to_list() == order[:3]
        assert mine.filter(direction="lowered")["token_id"].to_list() == order[::-1][:3]
    np.testing.assert_allclose(found.filter(rank=1, direction="raised")["logit"], logits.amax(1), rtol=1e-5)
    with pytest.raises(ValueError, match=r"^decoder: "):
        top_logits(decoder, unembedding[:, :5])


def test_scores_are_those_of_whole_arrays(codes: torch.Tensor) -> None:
    simulated = (codes + 0.3 * torch.randn(codes.shape, generator=torch.Generator().manual_seed(1)) - 0.3).relu()
    parts = [ExplanationScores(torch.arange(9)) for _ in range(2)]
    parts[0].update(simulated[:250], codes[:250])
    parts[1].update(simulated[250:], codes[250:])
    parts[0].merge(parts[1])
    found = parts[0].scores()
    for feature in range(8):
        p, a = simulated[:, feature].double(), codes[:, feature].double()
        mine = dict(found.filter(feature=feature).select("metric", "value").rows())
        hits = int(((p > 0) & (a > 0)).sum())
        assert mine["correlation"] == pytest.approx(float(torch.corrcoef(torch.stack([p, a]))[0, 1]))
        assert mine["precision"] == pytest.approx(hits / int((p > 0).sum()))
        assert mine["recall"] == pytest.approx(hits / int((a > 0).sum()))
        assert mine["f1"] == pytest.approx(2 / (1 / mine["precision"] + 1 / mine["recall"]))
    dead = dict(found.filter(feature=8).select("metric", "value").rows())
    assert dead["correlation"] is dead["recall"] is None


def test_a_feature_of_one_token_is_explained_by_it() -> None:
    """Scored on tokens that the explanation was not made from."""
    ids = torch.randint(0, 20, (2_000,), generator=torch.Generator().manual_seed(2))
    noise = torch.randn(2_000, generator=torch.Generator().manual_seed(3)).relu()
    codes = torch.stack([noise, (ids == 7) * 2.0], dim=1)
    totals = TokenTotals(2, 20)
    totals.update(codes[:1_000], ids[:1_000])
    explained = TokenExplanations(totals.top_tokens(5), 20)
    scores = ExplanationScores(explained.features)
    scores.update(explained.simulate(ids[1_000:]), codes[1_000:][:, explained.features])
    found = scores.scores()
    assert found.filter(feature=1)["value"].to_list() == pytest.approx([1.0] * 4)
    assert found.filter(feature=0, metric="correlation")["value"][0] < 0.3


def test_bad_codes_are_refused(codes: torch.Tensor) -> None:
    half = np.full(9, 0.5, np.float32)
    calls: list[tuple[Any, str]] = [
        (lambda: FeatureStatistics(9).update(codes[:, :3], torch.arange(600)), "^codes: shape"),
        (lambda: FeatureStatistics(9).update(codes * float("nan"), torch.arange(600)), "^codes: one is not finite"),
        (lambda: FeatureStatistics(9).merge(FeatureStatistics(9, top=2)), "^top: 2 is not allowed: 20"),
        (lambda: FeatureStatistics(0), "^features: 0"),
        (lambda: FeatureStatistics(9, reservoir=-1), "^features: 9, top: 20, sample: 128, reservoir: -1: allowed"),
        (lambda: FeatureStatistics(9, reservoir=5), "^maximum: None is not allowed with a reservoir of 5"),
        (lambda: FeatureStatistics(9, thresholds=half[:3]), r"^thresholds: shape \(3,\) is not allowed: \(9,\)"),
        (lambda: FeatureStatistics(9, maximum=half * np.nan), "^maximum: shape .* none NaN"),
        (lambda: FeatureStatistics(9).merge(FeatureStatistics(9, thresholds=half)), "^thresholds: those of the other"),
        (lambda: FeatureStatistics(9).merge(FeatureStatistics(9, maximum=half)), "^maximum: those of the other"),
        (lambda: TokenTotals(9, 5).update(codes, torch.full((600,), 5)), "^token_ids: 5 is not allowed: 0 to 4"),
        (lambda: ExplanationScores(torch.arange(3)).update(codes, codes), "^codes: "),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()
