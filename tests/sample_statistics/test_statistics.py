"""Errors and intervals of samples in clusters: closed forms, a reference library, and how often intervals are right."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tracebank_models.sample_statistics.bootstrap import cluster_bootstrap
from tracebank_models.sample_statistics.clustered import clustered_mean, paired_difference
from tracebank_models.sample_statistics.comparison import compare_runs, mcnemar


def _clustered(seed: int, clusters: int, size: int, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Values whose clusters share so much of their variance, which is 1, around 0."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(clusters), size)
    return math.sqrt(shared) * random.normal(size=clusters)[of] + math.sqrt(1 - shared) * random.normal(
        size=of.size
    ), of


def test_the_error_of_single_samples_is_that_of_a_mean() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    found = clustered_mean(values, np.arange(5))
    error = values.std(ddof=1) / math.sqrt(5)
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    reach = stats.t.ppf(0.975, 4) * error
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach), rel=1e-12)


def test_equal_clusters_count_as_their_means() -> None:
    values, of = _clustered(1, 12, 7, 0.5)
    means = values.reshape(12, 7).mean(axis=1)
    assert clustered_mean(values, of).standard_error == pytest.approx(means.std(ddof=1) / math.sqrt(12), rel=1e-12)


def test_the_error_is_that_of_inspect_ai() -> None:
    metrics = pytest.importorskip("inspect_ai.scorer", reason="inspect_ai is not installed")
    values, of = _clustered(2, 9, 5, 0.4)
    scores = [
        metrics.SampleScore(score=metrics.Score(value=float(value)), sample_metadata={"cluster": int(one)})
        for value, one in zip(values, of, strict=True)
    ]
    found, ends = clustered_mean(values, of), metrics.ci(cluster="cluster")(scores)
    assert found.standard_error == pytest.approx(metrics.stderr(cluster="cluster")(scores), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((ends["lower"], ends["upper"]), rel=1e-12)


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.8])
def test_intervals_hold_the_truth_as_often_as_they_say(shared: float) -> None:
    held = [
        found.low < 0 < found.high
        for seed in range(500)
        if (found := clustered_mean(*_clustered(seed, 20, 6, shared))).low is not None and found.high is not None
    ]
    assert len(held) == 500
    assert 0.93 <= np.mean(held) <= 0.97


def test_samples_taken_for_independent_would_miss_the_truth() -> None:
    """The null of the clusters: the same data with each sample as its own cluster."""
    found = (
        clustered_mean(values, np.arange(values.size)) for values, _ in (_clustered(s, 20, 6, 0.8) for s in range(200))
    )
    held = [one.low < 0 < one.high for one in found if one.low is not None and one.high is not None]
    assert np.mean(held) < 0.75


def test_the_bootstrap_keeps_clusters_that_are_drawn_twice_apart() -> None:
    values, of = _clustered(3, 40, 8, 0.5)
    drawn, closed = cluster_bootstrap(values, of, draws=1_000), clustered_mean(values, of)
    assert drawn.standard_error == pytest.approx(closed.standard_error, rel=0.15)
    assert drawn.mean == closed.mean


def test_fewer_than_five_clusters_have_no_interval() -> None:
    for made in (clustered_mean, cluster_bootstrap):
        found = made(np.arange(8.0), np.repeat(np.arange(4), 2))
        assert (found.low, found.high) == (None, None)
        assert found.p_value() is None
    assert clustered_mean([1.0], ["a"]).standard_error is None


def test_a_paired_difference_is_sharper_where_samples_are_alike() -> None:
    values, of = _clustered(4, 30, 4, 0.5)
    found = paired_difference(values, values + 0.1 + 0.01 * np.random.default_rng(0).normal(size=values.size), of)
    assert found.low is not None
    assert found.low > 0.09
    with pytest.raises(ValueError, match="second: 3 values are not allowed; allowed: as many as in first, 2"):
        paired_difference([1, 2], [1, 2, 3], [0, 1])


@pytest.mark.parametrize(
    ("values", "clusters", "said"),
    [([], [], "at least one"), ([1.0, math.nan], [0, 1], "nan of sample 1"), ([1.0], [0, 1], "clusters: shape")],
)
def test_what_has_no_mean_is_one_line(values: list[float], clusters: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        clustered_mean(values, clusters)


def test_mcnemar_sees_what_an_unpaired_test_does_not() -> None:
    """220 items, 30 and 12 right under one run alone, 68 under both: the p-values of lm-eval's pull request 3868."""
    first = np.repeat([1, 1, 0, 0], [68, 30, 12, 110])
    second = np.repeat([1, 0, 1, 0], [68, 30, 12, 110])
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (30, 12)
    error = math.sqrt(sum(stats.sem(run) ** 2 for run in (first, second)))
    unpaired = 2 * stats.norm.sf((first.mean() - second.mean()) / error)
    assert (found.p_value, unpaired) == pytest.approx((0.008, 0.080), abs=5e-4)
    with pytest.raises(ValueError, match="is not allowed; allowed: 0 or 1"):
        mcnemar([0, 1], [1, 2])


def _run(values: list[float], items: str = "abcdefgh") -> pl.DataFrame:
    return pl.DataFrame({"item": list(items), "metric": "correct", "cluster": list(items), "value": values})


def test_two_runs_are_compared_over_the_items_that_both_have() -> None:
    found = compare_runs(_run([1, 1, 1, 1, 0, 0, 0, 0]), _run([1, 1, 0, 1, 1, 0, 0, 0], "abcdefgx"))
    row = found.metrics.row(0, named=True)
    assert (row["items"], row["only_a"], row["only_b"], row["difference"], row["higher"]) == (7, 1, 1, 0, None)
    assert found.flips.select("item", "value_a", "value_b").rows() == [("c", 1, 0), ("e", 0, 1)]
    same = compare_runs(_run([1.0] * 8), _run([1.0] * 8)).metrics.row(0, named=True)
    assert (same["higher"], same["p_value"]) == (None, 1.0)
    with pytest.raises(ValueError, match="no item of its 8 rows has a metric that it has in a"):
        compare_runs(_run([1.0] * 8), _run([1.0] * 8, "ijklmnop"))
