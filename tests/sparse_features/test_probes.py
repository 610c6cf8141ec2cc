"""Asset `probes`: rows of every probe, controls included, replaced and never doubled."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from sqlalchemy import delete, select

from tracebank_assets.sparse_features.probe_checks import above_random, beyond_random
from tracebank_assets.sparse_features.probes import probes
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.reward_probe import Probe, ProbeMetric, ProbeWeight
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder


def test_probes_of_both_models_are_kept_with_their_controls(home: Any) -> None:
    result = home.materialise(probes)
    assert result.success
    with home.relational.session() as session:
        rows = {row.probe: row for row in session.scalars(select(Probe).where(Probe.study == "small-ppo"))}
        session.expunge_all()
    shape = {(row.model, row.task, row.kind, row.representation) for row in rows.values()}
    assert shape == {
        (model, task, kind, representation)
        for model in ("small", "small-ppo-seed0")
        for task in ("reward", "unseen_words")
        for kind in ("ridge", "random")
        for representation in ("sparse_codes", "raw_activations")
    }
    assert len(rows) == 2 * 2 * 2 * 6
    assert {row.inputs for row in rows.values()} == {32}
    ridge = rows["small-ppo-seed0/small-ppo-seed0/reward/ridge/sparse_codes/42"]
    assert (ridge.study, ridge.seed, ridge.train_rows, ridge.test_rows) == ("small-ppo", 0, 240, 60)
    with home.relational.session() as session:
        weights = list(session.scalars(select(ProbeWeight).where(ProbeWeight.probe == ridge.probe)))
        assert sorted(row.rank for row in weights) == list(range(1, 33))
        assert {row.dictionary for row in weights} == {
            f"small-ppo-seed0/tuned-layers.{layer}.mlp-small-tied_relu-0" for layer in (0, 1)
        }
        metrics = set(session.scalars(select(ProbeMetric.metric).where(ProbeMetric.probe == ridge.probe)))
        assert metrics == {
            "kendall_tau", "kendall_tau_negative", "sign_share", "recovered", "bad", "error_frequency_tau",
            "kendall_tau_unseen_words"}  # fmt: skip
        entry = session.scalars(select(Materialization)).one()
        assert {"base", "tuned"} < set(entry.input_versions)
    metadata = result.asset_materializations_for_node("sparse_features__probes")[0].metadata
    assert {"tuned_tau", "tuned_raw_tau", "base_tau", "best_random_tau", "tuned_unseen_words_tau"} <= set(metadata)
    (check,) = result.get_asset_check_evaluations()
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["random probes"].value == 5


def test_a_study_that_tunes_on_preferences_has_their_probe_too(home: Any) -> None:
    first = home.materialise(probes, "small-dpo-seed0")
    assert first.success
    with home.relational.session() as session:
        rows = list(session.scalars(select(Probe).where(Probe.task == "preference")))
        assert {(row.model, row.kind, row.representation) for row in rows} == {
            (model, "logistic", representation)
            for model in ("small", "small-dpo-seed0")
            for representation in ("sparse_codes", "raw_activations")
        }
        found = dict(
            session.execute(
                select(ProbeMetric.metric, ProbeMetric.value).where(
                    ProbeMetric.probe == "small-dpo-seed0/small-dpo-seed0/preference/logistic/sparse_codes/42"
                )
            ).all()
        )
        assert set(found) == {"accuracy", "train_accuracy"}
        assert all(0 <= value <= 1 for value in found.values())


def test_without_dictionaries_it_is_said_what_to_make(home: Any) -> None:
    with home.relational.session() as session:
        session.execute(delete(SparseAutoencoder))
    result = home.materialise(probes)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "study 'small-ppo-seed0' has no dictionaries; materialise sparse_features/dictionaries first" in str(
        event.step_failure_data.error
    )


@pytest.mark.parametrize(("beaten", "passed"), [(20, True), (19, True), (18, False)])
def test_a_trained_probe_must_beat_nearly_all_of_chance(beaten: int, passed: bool) -> None:
    random = [-0.49] * beaten + [-0.51] * (20 - beaten)
    assert above_random(0.5, random).passed == passed
    assert not above_random(None, random).passed
    assert not above_random(0.5, []).passed


@pytest.mark.parametrize(("high", "rank", "passed"), [(-0.1, 0.05, True), (0.1, 0.01, False), (-0.1, 0.06, False)])
def test_an_ablation_must_do_more_than_random_ones(high: float, rank: float, passed: bool) -> None:
    import polars as pl

    chosen = {"condition": "features_error_kept", "effect": -0.2, "effect_low": -0.3, "effect_high": high,
              "rank_p": rank, "two_sided_p": 2 * rank}  # fmt: skip
    effects = pl.DataFrame([chosen, *({"condition": "random_error_kept", "effect": 0.0} for _ in range(3))])
    result = beyond_random(effects)
    assert result.passed == passed
    assert str(result.description).startswith("the effect is there" if passed else "no effect is shown")
    assert f"rank p {rank:.3g} among 3 random draws" in str(result.description)
