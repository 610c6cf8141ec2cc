"""Means, correlations of size and loss, and the picture of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tracebank_models.identifier_swaps.loss_plot import draw_losses
from tracebank_models.identifier_swaps.summary import loss_summary
from tracebank_models.identifier_swaps.trends import TRENDS_SCHEMA, correlations, loss_trends

_SIZES = {"a": 100, "b": 300, "c": 1_000, "d": 3_000, "e": 8_000}


def _scores(slope: float, functions: int = 30, sizes: dict[str, int] = _SIZES, noise: float = 0.3) -> pl.DataFrame:
    """Losses that rise with the logarithm of size, two examples of each function."""
    random, rows = np.random.default_rng(0), []
    for number in range(2 * functions):
        own = random.normal(0, 0.2)
        for model, size in sizes.items():
            loss = size**slope * np.exp(own + random.normal(0, noise))
            rows.append((model, size, "swap", f"x{number}", f"f{number // 2}", loss, loss / 9, bool(loss < 2)))
    columns = ["model", "parameters", "condition", "example", "function", "loss", "normalised_loss", "correct"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _by_statistic(trends: pl.DataFrame) -> dict[str, dict[str, object]]:
    return {row["statistic"]: row for row in trends.iter_rows(named=True)}


def test_a_rise_is_found_with_its_interval() -> None:
    scores = _scores(0.3)
    found = _by_statistic(loss_trends(scores, draws=300))
    means = (
        scores.group_by("parameters").agg(pl.col("loss").mean()).sort("parameters").select(pl.all().log()).to_numpy()
    )
    for name, test in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        expected = test(*means.T)
        assert found[name]["value"] == pytest.approx(expected.statistic, abs=1e-12)
        assert found[name]["p_value"] == pytest.approx(expected.pvalue, abs=1e-9)
        assert found[name]["low"] > 0.9  # type: ignore[operator]
        assert (found[name]["models"], found[name]["examples"], found[name]["functions"]) == (5, 60, 30)
        assert found[name]["reason"] is None
    flat = _by_statistic(loss_trends(_scores(0.0, noise=1.0), draws=300))
    assert flat["pearson"]["low"] < 0 < flat["pearson"]["high"]  # type: ignore[operator]


def test_correlations_are_scipys_also_with_ties() -> None:
    x, rows = np.array([1.0, 2, 2, 4, 5, 9]), np.array([[3.0, 1, 2, 2, 5, 4], [1, 2, 3, 3, 3, 9]])
    found = correlations(x, rows)
    for name, test in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        assert found[name] == pytest.approx([test(x, row).statistic for row in rows], abs=1e-12)
    assert np.isnan(correlations(x, np.ones((1, 6)))["kendall"]).all()


def test_no_trend_is_claimed_from_fewer_than_five_sizes() -> None:
    few = loss_trends(_scores(0.3, sizes=dict(list(_SIZES.items())[:4])), draws=10)
    assert few["value"].null_count() == few["low"].null_count() == 3
    assert few["reason"].unique().to_list() == ["4 models of 4 sizes, a trend needs 5"]
    alike = loss_trends(_scores(0.3, sizes=_SIZES | {"b": 100}), draws=10)
    assert alike["reason"].unique().to_list() == ["5 models of 4 sizes, a trend needs 5"]
    lonely = loss_trends(_scores(0.3, functions=4), draws=10)
    assert lonely["value"].null_count() == 0
    assert lonely["low"].null_count() == 3
    assert lonely["reason"].unique().to_list() == ["4 functions, an interval needs 5"]
    assert dict(few.schema) == TRENDS_SCHEMA


def test_every_model_counts_with_the_same_examples() -> None:
    scores = _scores(0.3)
    lost = (pl.col("example") == "x0") & (pl.col("model") == "e")
    holes = scores.with_columns(pl.when(lost).then(None).otherwise(pl.col("loss")).alias("loss"))
    whole = loss_trends(scores.filter(pl.col("example") != "x0"), draws=20)
    assert loss_trends(holes, draws=20).equals(whole)
    none = loss_trends(scores.with_columns(pl.lit(None, pl.Float64).alias("loss")), draws=20)
    assert none["reason"].unique().to_list() == ["no example has a loss of every model"]
    with pytest.raises(ValueError, match=r"^scores: column function is missing; allowed: rows of model, parameters"):
        loss_trends(scores.drop("function"))
    with pytest.raises(ValueError, match=r"^parameters: 0 is not allowed; allowed: above 0$"):
        loss_trends(scores.with_columns(pl.lit(0).alias("parameters")))


def test_means_and_their_picture(tmp_path: Path) -> None:
    scores = _scores(0.3)
    scores = pl.concat([scores, scores.with_columns(pl.lit("twice").alias("condition"), pl.col("loss") / 50)])
    lost = (pl.col("example") == "x0") & (pl.col("condition") == "swap")
    scores = scores.with_columns(pl.when(lost).then(None).otherwise(pl.col("loss")).alias("loss"))
    summary = loss_summary(scores)
    assert len(summary) == 5 * 2 * 3
    row = summary.row(
        by_predicate=(pl.col("model") == "c") & (pl.col("condition") == "swap") & (pl.col("metric") == "loss"),
        named=True,
    )
    kept = scores.filter(pl.col("model") == "c", pl.col("condition") == "swap").drop_nulls("loss")
    assert row["value"] == pytest.approx(kept["loss"].mean())
    assert row["low"] < row["value"] < row["high"]
    assert (row["examples"], row["functions"], row["without_numbers"]) == (59, 30, 1)
    first = draw_losses(summary, tmp_path / "deep" / "losses.svg").read_bytes()
    assert first == draw_losses(summary, tmp_path / "losses.svg").read_bytes()
    text = first.decode()
    assert "names swapped" in text
    assert "swapped twice" in text
    assert "other names swapped" not in text, "nothing was scored so"
    with pytest.raises(ValueError, match=r"^metric: 'none' has no row in the summary"):
        draw_losses(summary, tmp_path / "none.svg", "none")
