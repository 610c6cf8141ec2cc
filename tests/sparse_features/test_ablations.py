"""Asset `ablations`: rewards under each condition, and the texts behind them, replaced and never doubled."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select
from tests.filled import filled

from tracebank.stores.opening import open_series
from tracebank_assets.sparse_features.ablations import PROMPT_TOKENS, ablations
from tracebank_assets.sparse_features.findings import findings
from tracebank_assets.sparse_features.probes import probes
from tracebank_models.language_model.lexicon import LexiconReward, load_vader_lexicon
from tracebank_schemas.reward_probe import ABLATION_TEXTS, Ablation, Probe, ProbeWeight
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

DRAWS = 20


def test_conditions_and_their_texts_are_kept(home: Any) -> None:
    assert home.materialise(probes).success
    result = home.materialise(ablations)
    assert result.success
    with home.relational.session() as session:
        rows = {(row.condition, row.draw): row for row in session.scalars(select(Ablation))}
        session.expunge_all()
    drawn = [(condition, draw) for condition in ("random_features", "random_error_kept") for draw in range(DRAWS)]
    assert set(rows) == {
        ("none", 0), ("reconstruction", 0), ("features", 0), ("features_error_kept", 0), *drawn}  # fmt: skip
    assert [row.features for row in rows.values()].count(3) == 2 + len(drawn)
    assert rows["none", 0].difference == 0
    assert {name for (name, _), row in rows.items() if row.rank_p is not None} == {"features", "features_error_kept"}
    for name, baseline, random in (
        ("features", "reconstruction", "random_features"),
        ("features_error_kept", "none", "random_error_kept"),
    ):
        row = rows[name, 0]
        assert row.effect == pytest.approx(row.expected_valence - rows[baseline, 0].expected_valence)
        as_low = sum(rows[random, draw].effect <= row.effect + 1e-6 for draw in range(DRAWS))
        assert row.rank_p == pytest.approx((1 + as_low) / (1 + DRAWS))
    told = {one.what: one.mean for one in findings(home.relational, "small-ppo")}
    kept = rows["features_error_kept", 0]
    assert told["features at zero, error kept: rank p among random draws"] == kept.rank_p
    assert told["features at zero, error kept: valence of the next token"] == kept.effect
    assert told["features at zero: valence of the next token"] == rows["features", 0].effect
    texts = open_series(home.settings).read(ABLATION_TEXTS, partition={"study": "small-ppo", "seed": 0})
    assert texts.height == 5 * 32
    reward = LexiconReward(load_vader_lexicon())
    assert texts["reward"].to_list() == pytest.approx(reward(texts["text"].to_list()).tolist())
    assert texts["prompt_text"].n_unique() == 32
    assert texts["prompt_text"].str.starts_with("Review of a ").all()
    assert texts["text"].filter(texts["condition"] == "none").to_list() != texts["text"].filter(
        texts["condition"] == "reconstruction"
    ).to_list()  # fmt: skip
    checks = {check.check_name for check in result.get_asset_check_evaluations()}
    assert checks == {"schema_as_declared", "unique_key", "ablation_beyond_random_features"}

    assert home.materialise(ablations).success
    with home.relational.session() as session:
        again = {(row.condition, row.draw): row.expected_valence for row in session.scalars(select(Ablation))}
    assert again == {key: row.expected_valence for key, row in rows.items()}
    assert open_series(home.settings).read(ABLATION_TEXTS).equals(texts)
    assert PROMPT_TOKENS == 12


def test_a_probe_of_other_dictionaries_is_refused(home: Any) -> None:
    result = home.materialise(ablations)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "probe 'small-ppo-seed0/small-ppo-seed0/reward/ridge/sparse_codes' was not fitted on these" in str(
        event.step_failure_data.error
    )
    with home.relational.session() as session:
        name = session.scalar(select(SparseAutoencoder.dictionary).where(SparseAutoencoder.side == "tuned").limit(1))
        row = {"probe": "small-ppo-seed0/small-ppo-seed0/reward/ridge/sparse_codes", "dictionary": name, "feature": 0}
        home.relational.upsert(session, Probe, [filled(Probe, probe=row["probe"], model="small-ppo-seed0")])
        home.relational.upsert(session, ProbeWeight, [{**row, "weight": 1.0, "rank": 1}])
    result = home.materialise(ablations)
    assert not result.success
    with home.relational.session() as session:
        assert session.scalar(select(func.count()).select_from(Ablation)) == 0
