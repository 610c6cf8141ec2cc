"""Asset `probes`: rows of every probe, controls included, replaced and never doubled."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from sqlalchemy import delete, select

from tracebank_assets.sparse_features.probe_checks import beyond_random, knows_more
from tracebank_assets.sparse_features.probes import probes
from tracebank_models.reward_probe.agreement import METRICS, PRIMARY
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.reward_probe import Probe, ProbeDifference, ProbeMetric, ProbeWeight
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder


def test_probes_of_both_models_are_kept_with_their_differences(home: Any) -> None:
    result = home.materialise(probes)
    assert result.success
    with home.relational.session() as session:
        rows = {row.probe: row for row in session.scalars(select(Probe).where(Probe.study == "small-ppo"))}
        session.expunge_all()
        ridge = "small-ppo-seed0/small-ppo-seed0/reward/ridge/sparse_codes"
        weights = list(session.scalars(select(ProbeWeight).where(ProbeWeight.probe == ridge)))
        assert sorted(row.rank for row in weights) == list(range(1, 33))
        assert {row.dictionary for row in weights} == {
            f"small-ppo-seed0/tuned-layers.{layer}.mlp-small-tied_relu-0" for layer in (0, 1)
        }
        metrics = {row.metric: row for row in session.scalars(select(ProbeMetric).where(ProbeMetric.probe == ridge))}
        more = {row.metric: row for row in session.scalars(select(ProbeDifference).filter_by(probe=ridge))}
        entry = session.scalars(select(Materialization)).one()
        deps = ("language_models/base", "language_models/tuned", "sparse_features/dictionaries")
        assert set(entry.input_versions) == set(deps)
        session.expunge_all()
    assert {(row.model, row.task) for row in rows.values()} == {
        (model, task) for model in ("small", "small-ppo-seed0") for task in ("reward", "replication")
    }
    assert set(metrics) == set(more) == set(METRICS)
    for name, row in more.items():
        assert row.less == "small-ppo-seed0/small/reward/ridge/sparse_codes"
        assert row.low <= row.value <= row.high
        assert row.count == metrics[name].count
        assert metrics[name].low <= metrics[name].value <= metrics[name].high
        assert 0 < metrics[name].p_value <= 1
    metadata = result.asset_materializations_for_node("sparse_features__probes")[0].metadata
    assert metadata["reward_kendall_tau_within_difference"].value == pytest.approx(more[PRIMARY].value, abs=1e-4)
    assert "| reward | sparse_codes | kendall_tau_within |" in metadata["compared"].value
    (check,) = result.get_asset_check_evaluations()
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.passed == (more[PRIMARY].low > 0)


def test_a_study_that_tunes_on_preferences_has_their_probe_too(home: Any) -> None:
    assert home.materialise(probes, "small-dpo-seed0").success
    with home.relational.session() as session:
        rows = list(session.scalars(select(Probe).where(Probe.task == "preference")))
        assert {(row.model, row.kind, row.representation) for row in rows} == {
            (model, *kind)
            for model in ("small", "small-dpo-seed0")
            for kind in (
                ("logistic", "sparse_codes"), ("logistic", "raw_activations"), ("length", "words"), ("lexicon", "words")
            )
        }  # fmt: skip
        named = "small-dpo-seed0/small-dpo-seed0/preference/{}"
        found = {
            kind: dict(
                session.execute(
                    select(ProbeMetric.metric, ProbeMetric.value).where(ProbeMetric.probe == named.format(kind))
                ).all()
            )
            for kind in ("logistic/sparse_codes", "lexicon/words")
        }
    assert set(found["logistic/sparse_codes"]) == {"pair_accuracy", "accuracy"}
    # Answers were preferred by the lexicon, so it orders every pair.
    assert found["lexicon/words"]["pair_accuracy"] == 1


def test_without_dictionaries_it_is_said_what_to_make(home: Any) -> None:
    with home.relational.session() as session:
        session.execute(delete(SparseAutoencoder))
    result = home.materialise(probes)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "study 'small-ppo-seed0' has no dictionaries; materialise sparse_features/dictionaries first" in str(
        event.step_failure_data.error
    )


@pytest.mark.parametrize(
    ("low", "passed", "verdict"), [(0.01, True, "there: "), (0.0, False, "not there: "), (None, False, "not said: 4 ")]
)
def test_tuning_has_taught_what_the_base_does_not_know(low: float | None, passed: bool, verdict: str) -> None:
    check = knows_more({"value": 0.1, "low": low, "high": 0.2, "p_value": 0.5, "count": 4})
    assert check.passed == passed
    assert str(check.metadata["verdict"].value).startswith(verdict)


@pytest.mark.parametrize(("high", "rank", "passed"), [(-0.1, 0.05, True), (0.1, 0.01, False), (-0.1, 0.06, False)])
def test_an_ablation_must_do_more_than_random_ones(high: float, rank: float, passed: bool) -> None:
    import polars as pl

    chosen = {"condition": "features_error_kept", "effect": -0.2, "effect_low": -0.3, "effect_high": high,
              "rank_p": rank, "two_sided_p": 2 * rank}  # fmt: skip
    effects = pl.DataFrame([chosen, *({"condition": "random_error_kept", "effect": 0.0} for _ in range(3))])
    result = beyond_random(effects)
    assert result.passed == passed
    assert result.metadata["draws"].value == 3
    assert str(result.metadata["verdict"].value).startswith("there: " if passed else "not there: ")
