"""What the checks of dictionaries let pass, and what a demonstration never does."""

from __future__ import annotations

import dagster as dg
import polars as pl
import pytest

from tracebank_assets.sparse_features.dictionaries import dictionaries
from tracebank_assets.sparse_features.dictionary_checks import dictionary_checks
from tracebank_models.sparse_autoencoder.plan import DictionaryPlan, demonstration

PLAN = DictionaryPlan(extra_architectures=("topk",))
GOOD = {"start_cosine": 0.2, "active_share": 0.08, "fvu": 0.1, "dead_share": 0.1}
LEARNING = ("seeds_agree", "moved_from_start", "l0_at_most_a_tenth")


def _metrics(**changed: float) -> pl.DataFrame:
    """Two dictionaries of the plan, of which the changed figures are the second's, and one of another architecture."""
    rows = [("base-x-small-tied_relu-0", name, value) for name, value in GOOD.items()]
    rows += [("tuned-x-big-tied_relu-1", name, value) for name, value in (GOOD | changed).items()]
    rows += [("tuned-x-big-topk-0", name, value) for name, value in (GOOD | {"active_share": 0.9}).items()]
    return pl.DataFrame(rows, schema=["dictionary", "metric", "value"], orient="row")


def _similarities(small: float, big: float = 0.0) -> pl.DataFrame:
    rows = [
        (f"{side}-{site}-{size}-tied_relu-0", f"{side}-{site}-{size}-tied_relu-1", "seed", 0.6 + value, 0.6, value)
        for side in ("base", "tuned")
        for size, value in (("small", small), ("big", big))
        for site, value in (("layers.0.mlp", value - 0.1), ("layers.1.mlp", value + 0.1))
    ]
    rows.append(
        ("base-layers.0.mlp-small-tied_relu-0", "tuned-layers.0.mlp-small-tied_relu-0", "tuning", 0.1, 0.6, -0.5)
    )
    names = ["dictionary", "other", "comparison", "mmcs", "chance", "difference"]
    return pl.DataFrame(rows, schema=names, orient="row")


def _found(plan: DictionaryPlan, metrics: pl.DataFrame, similarities: pl.DataFrame) -> dict[str, dg.AssetCheckResult]:
    return {str(one.check_name): one for one in dictionary_checks(plan, metrics, similarities)}


def test_dictionaries_that_learned_pass_everything() -> None:
    found = _found(PLAN, _metrics(), _similarities(0.25))
    assert all(one.passed for one in found.values())
    assert found["seeds_agree"].metadata["difference"].value == pytest.approx(0.25)
    assert found["seeds_agree"].metadata["sites_below"].value == "base/layers.0.mlp, tuned/layers.0.mlp"
    better = _found(PLAN, _metrics(), _similarities(0.35))["seeds_agree"]
    assert better.metadata["sites_below"].value == "none"


@pytest.mark.parametrize(
    ("check", "changed", "agreement"),
    [
        ("seeds_agree", {}, 0.19),
        ("moved_from_start", {"start_cosine": 0.86}, 0.25),
        ("l0_at_most_a_tenth", {"active_share": 0.3}, 0.25),
        ("fvu_below_1", {"fvu": 1.0}, 0.25),
        ("dead_share", {"dead_share": 0.6}, 0.25),
    ],
)
def test_what_each_check_stops(check: str, changed: dict[str, float], agreement: float) -> None:
    found = _found(PLAN, _metrics(**changed), _similarities(agreement))
    assert [name for name, one in found.items() if not one.passed] == [check]
    wanted = dg.AssetCheckSeverity.WARN if check == "dead_share" else dg.AssetCheckSeverity.ERROR
    assert found[check].severity == wanted


def test_without_a_second_start_nothing_agrees() -> None:
    found = _found(PLAN, _metrics(), _similarities(0.25).filter(pl.col("comparison") == "tuning"))
    assert not found["seeds_agree"].passed


@pytest.mark.parametrize("agreement", [0.0, 0.25])
def test_a_demonstration_never_passes_what_asks_for_learning_and_never_stops(agreement: float) -> None:
    found = _found(demonstration(PLAN), _metrics(), _similarities(agreement))
    for name in LEARNING:
        assert not found[name].passed
        assert found[name].severity == dg.AssetCheckSeverity.WARN
        assert str(found[name].description).startswith("At this size it cannot be met")
    assert found["fvu_below_1"].passed


def test_agreement_stops_what_is_made_of_dictionaries() -> None:
    assert {spec.name for spec in dictionaries.check_specs if spec.blocking} == {
        "schema_as_declared",
        "seeds_agree",
        "l0_at_most_a_tenth",
    }
