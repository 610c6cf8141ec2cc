"""Random features beside chosen ones: as many, as active, and ranks that are uniform where the choice means nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from tracebank_models.features.activity import ACTIVITY_SCHEMA
from tracebank_models.reward_probe.matched_draws import matched_draws, rank_p

FEATURES = 48


def _activity(*sites: str, dead: int = 8) -> pl.DataFrame:
    chance = np.random.default_rng(3)
    return pl.concat(
        pl.DataFrame(
            {
                "site": [site] * FEATURES,
                "feature": range(FEATURES),
                "density": np.where(np.arange(FEATURES) < FEATURES - dead, chance.random(FEATURES), 0),
                "mean_activation": chance.exponential(size=FEATURES),
            },
            schema=ACTIVITY_SCHEMA,
        )
        for site in sites
    )


def test_draws_are_as_many_and_as_active_at_every_site() -> None:
    activity = _activity("a", "b", "c")
    order = {
        site: frame.sort(pl.col("density") * pl.col("mean_activation"), descending=True)["feature"].to_list()
        for (site,), frame in activity.group_by("site")
    }
    chosen = {"a": torch.tensor(order["a"][:3] + order["a"][20:21]), "b": torch.tensor(order["b"][39:40])}
    chosen["c"] = torch.empty(0, dtype=torch.int64)
    found = matched_draws(chosen, activity, draws=50, seed=1)
    assert {site: tuple(off.shape) for site, off in found.items()} == dict.fromkeys(chosen, (50, FEATURES))
    strata = found["a"][:, order["a"]][:, :40].view(50, 5, 8).sum(2)
    assert (strata == torch.tensor([3, 0, 1, 0, 0])).all()
    assert (found["b"][:, order["b"]][:, 32:40].sum(1) == 1).all()
    assert (found["b"].sum(1) == 1).all()
    assert not found["c"].any()
    assert len({tuple(row) for row in found["a"].int().tolist()}) > 45
    again = matched_draws(chosen, activity, draws=50, seed=1)
    assert all(torch.equal(found[site], again[site]) for site in found)
    assert not torch.equal(found["a"], matched_draws(chosen, activity, draws=50, seed=2)["a"])


def test_ranks_count_what_is_as_extreme() -> None:
    drawn = torch.tensor([-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert rank_p(-4.0, drawn) == (0.1, 0.2)
    assert rank_p(-3.0, drawn) == (0.2, 0.4)
    assert rank_p(6.5, drawn) == (1.0, 0.2)
    assert rank_p(2.0, drawn) == (0.6, 1.0)


def test_ranks_of_features_that_were_chosen_by_chance_are_uniform() -> None:
    """Effects of features are heavy-tailed and go with their mass: what would mislead a draw that is not matched."""
    activity = _activity("a")
    chance = np.random.default_rng(5)
    mass = (activity["density"] * activity["mean_activation"]).to_numpy()
    ranks, two_sided = [], []
    for repeat in range(400):
        effects = torch.from_numpy(mass * chance.standard_t(2, FEATURES) - mass)
        start = {"a": torch.from_numpy(chance.choice(np.flatnonzero(mass), 6, replace=False))}
        chosen = matched_draws(start, activity, draws=1, seed=10_000 + repeat)["a"][0]
        drawn = matched_draws({"a": chosen.nonzero().flatten()}, activity, draws=99, seed=repeat)["a"]
        low, both = rank_p(float(effects[chosen].sum()), drawn.double() @ effects)
        ranks.append(low)
        two_sided.append(both)
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.05)
    # Two and a half standard errors above the level.
    for values in (ranks, two_sided):
        for level in (0.05, 0.2, 0.5):
            assert np.mean(np.array(values) <= level) <= level + 2.5 * (level * (1 - level) / 400) ** 0.5
    assert np.mean(np.array(ranks) <= 0.2) > 0.12
