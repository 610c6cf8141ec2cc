"""Metrics over cases by hand, and the bootstrap of the released evaluation against what is true of simulated data."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from tracebank_models.counterfact.metrics import SCORES_SCHEMA
from tracebank_models.counterfact.released_intervals import CaseShape, standard_errors
from tracebank_models.counterfact.summary import METRICS, summarise
from tracebank_models.sample_statistics.bootstrap import cluster_bootstrap

_ROW = {"success": True, "magnitude": 0.5, "correct": True, "generated_correct": True}
_KL = {"kl": 0.25, "kl_reversed": 0.5, "kl_released": 0.5 / 257}


def _rows(case_id: int, moment: str, successes: list[bool]) -> list[dict[str, object]]:
    """A rewrite prompt, and neighbors that are right or not."""
    said = {"case_id": case_id, "moment": moment, "index": 0, **_ROW}
    of = {"case_id": case_id, "moment": moment, "kind": "neighborhood", "correct": False, **_KL}
    neighbors = [{**of, "index": at, "success": right, "magnitude": 0.1} for at, right in enumerate(successes)]
    return [{**said, "kind": "rewrite"}, *neighbors]


def _scores(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCORES_SCHEMA)


def test_every_case_counts_the_same_beside_the_unedited_model() -> None:
    after = [[True, False], [False], [True, True, True], [False, True], [True]]
    rows = [row for case, right in enumerate(after) for row in _rows(case, "after_edit", right)]
    rows += [row for case, right in enumerate(after) for row in _rows(case, "unedited", [True] * len(right))]
    found = summarise(_scores(rows), draws=50).filter(pl.col("moment") == "after_edit")
    assert set(found["metric"]) == {
        *("ES", "EM", "efficacy_accuracy", "efficacy_generated", "NS", "NM", "neighborhood_accuracy"),
        *("NKL", "NKL_reversed", "NKL_released"),
    }
    means = np.array([0.5, 0.0, 1.0, 0.5, 1.0])
    row = found.row(by_predicate=pl.col("metric") == "NS", named=True)
    assert (row["cases"], row["prompts"], row["undefined"]) == (5, 9, 0)
    assert row["mean"] == pytest.approx(means.mean())
    assert row["standard_error"] == pytest.approx(means.std(ddof=1) / math.sqrt(5))
    assert (row["unedited"], row["change"]) == pytest.approx((1.0, means.mean() - 1))
    assert row["change_low"] < row["change"] < row["change_high"]
    assert row["bootstrap_low"] < row["mean"] < row["bootstrap_high"]
    assert found.row(by_predicate=pl.col("metric") == "NKL", named=True)["mean"] == pytest.approx(0.25)
    assert found.row(by_predicate=pl.col("metric") == "NKL_released", named=True)["mean"] == pytest.approx(0.5 / 257)


def test_what_a_broken_model_has_no_number_for_is_counted() -> None:
    rows = [row for case in range(6) for row in _rows(case, "end", [False])]
    rows[-1]["magnitude"] = math.nan
    found = summarise(_scores(rows), draws=20)
    undefined = dict(found.select("metric", "undefined").iter_rows())
    assert undefined == {name: int(name == "NM") for name in undefined}
    assert dict(found.select("metric", "cases").iter_rows())["NM"] == 5


def test_every_metric_reads_a_column_that_scores_have() -> None:
    assert {metric.column for metric in METRICS.values()} < set(SCORES_SCHEMA)
    assert {"ES", "EM", "PS", "PM", "NS", "NM", "NS+", "NM+", "NKL", "NKL+"} < set(METRICS)


def test_the_released_bootstrap_is_too_narrow_and_the_right_ones_are_not() -> None:
    shape = CaseShape(cases=2_000, prompts=10, mean=0.3, between=1.0, within=1.0)
    found = standard_errors(shape.drawn(), draws=400)
    assert found.mean == pytest.approx(0.3, abs=4 * shape.true_error)
    assert found.released / shape.true_error == pytest.approx(0.81, abs=0.06)
    assert found.robust / shape.true_error == pytest.approx(1.0, abs=0.05)
    assert found.two_stage / shape.true_error == pytest.approx(1.04, abs=0.08)


def test_a_bootstrap_of_equal_clusters_is_about_the_mean_of_their_means() -> None:
    values, clusters = [1.0, *[0.0] * 9, *[1.0] * 5, *[0.0] * 5], [0, *[1] * 9, *range(2, 7), *range(7, 12)]
    assert cluster_bootstrap(values, clusters, 200).mean == pytest.approx(6 / 20)
    equal = cluster_bootstrap(values, clusters, 200, equal_clusters=True)
    assert equal.mean == pytest.approx(6 / 12)
    assert equal.low < 0.5 < equal.high
