"""Asset `dynamics`: features and probes of each checkpoint, beside those of asset `probes`."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from sqlalchemy import func, select

from tracebank_assets.sparse_features.dynamics import dynamics
from tracebank_assets.sparse_features.probes import probes
from tracebank_schemas.reward_probe import FeatureDynamic, Probe, ProbeMetric, ProbeWeight

_BECAME = {(True, True): "alive", (False, False): "dead", (False, True): "born", (True, False): "died"}


def _count(home: Any, task: str) -> int:
    with home.relational.session() as session:
        names = select(Probe.probe).where(Probe.task == task)
        return sum(
            session.scalar(select(func.count()).where(table.probe.in_(names)).select_from(table))
            for table in (Probe, ProbeMetric, ProbeWeight)
        )


def test_each_checkpoint_is_followed(home: Any) -> None:
    assert home.materialise(probes).success
    of_reward = _count(home, "reward")
    result = home.materialise(dynamics)
    assert result.success
    with home.relational.session() as session:
        names = ("model", "dictionary", "feature", "step", "density", "mean_activation", "state")
        columns = [getattr(FeatureDynamic, name) for name in names]
        rows = pl.DataFrame(list(map(tuple, session.execute(select(*columns)))), schema=names, orient="row")
        taus = session.execute(
            select(Probe.model, Probe.representation, ProbeMetric.value)
            .join(ProbeMetric, ProbeMetric.probe == Probe.probe)
            .where(Probe.task == "dynamics", ProbeMetric.metric == "kendall_tau")
        ).all()
    assert rows.select("model", "step").unique().sort("step").rows() == [
        ("small", 0), ("small-ppo-seed0@1", 1), ("small-ppo-seed0", 2)]  # fmt: skip
    assert rows.height == 3 * 32
    for _, feature in rows.sort("step").group_by("dictionary", "feature"):
        alive = [density > 0 for density in feature["density"]]
        expected = [_BECAME[before, now] for before, now in zip([alive[0], *alive], alive, strict=False)]
        assert feature["state"].to_list() == expected
    assert {(model, kind) for model, kind, _ in taus} == {
        (model, kind)
        for model in ("small", "small-ppo-seed0@1", "small-ppo-seed0")
        for kind in ("sparse_codes", "raw_activations")
    }
    # The tuned model, the same triples, the same dictionaries: what asset `probes` found (150 triples are under 300).
    with home.relational.session() as session:
        known = session.scalar(
            select(ProbeMetric.value).where(
                ProbeMetric.probe == "small-ppo-seed0/small-ppo-seed0/reward/ridge/sparse_codes",
                ProbeMetric.metric == "kendall_tau",
            )
        )
    assert [value for model, kind, value in taus if (model, kind) == ("small-ppo-seed0", "sparse_codes")] == [
        pytest.approx(known)
    ]
    metadata = result.asset_materializations_for_node("sparse_features__dynamics")[0].metadata
    assert metadata["checkpoints"].value == 3

    of_dynamics = _count(home, "dynamics")
    assert home.materialise(dynamics).success
    assert home.materialise(probes).success
    assert (_count(home, "reward"), _count(home, "dynamics")) == (of_reward, of_dynamics)
    with home.relational.session() as session:
        assert session.scalar(select(func.count()).select_from(FeatureDynamic)) == 96
