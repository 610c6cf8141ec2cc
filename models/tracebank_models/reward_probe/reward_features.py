"""Which features push a reward up most, by a probe's weights and by how much the features fire; for ablation.

A weight alone says what a feature would do if it fired. One of great weight that fires on a token in ten thousand does
nothing to the mean reward, so features are ranked by weight times mean activation over all tokens: what a feature adds
to the probe's mean prediction.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import torch
from torch import Tensor


def rank_reward_features(weights: pl.DataFrame, activity: pl.DataFrame) -> pl.DataFrame:
    """Features that a probe has found to push the reward up, the strongest first.

    Args:
        weights: Columns site, feature and weight.
        activity: What `feature_activity` gives.

    Returns:
        Columns site, feature, weight, density, mean_activation and push, only where push is above 0.

    Raises:
        ValueError: A weight is of a feature whose activity is not known.
    """
    pushed = weights.select("site", "feature", "weight").join(activity, on=["site", "feature"], how="left")
    if unknown := pushed["density"].null_count():
        raise ValueError(f"weights: {unknown} are of features without activity: allowed are those of the dictionaries")
    push = pl.col("weight") * pl.col("density") * pl.col("mean_activation")
    ranked = pushed.with_columns(push.alias("push")).filter(pl.col("push") > 0)
    return ranked.sort("push", "site", "feature", descending=[True, False, False])


def features_to_ablate(ranking: pl.DataFrame, activity: pl.DataFrame, count: int) -> dict[str, Tensor]:
    """The strongest features by site, so few of each site that as many others of it are alive to be drawn.

    Args:
        ranking: What `rank_reward_features` gives.
        activity: What `feature_activity` gives.
        count: Most features, over all sites.

    Returns:
        By site of `activity` the features, int64, ascending; empty for a site with none.

    Raises:
        ValueError: The count is below 1, or no feature pushes the reward up.
    """
    if count < 1:
        raise ValueError(f"count: {count} is not allowed: 1 or more")
    room = activity.group_by("site").agg(((pl.col("density") > 0).sum() // 2).alias("room"))
    place = pl.int_range(pl.len()).over("site")
    chosen = ranking.join(room, on="site", maintain_order="left").filter(place < pl.col("room")).head(count)
    if chosen.is_empty():
        raise ValueError("ranking: no feature pushes the reward up: allowed is a ranking with at least one")
    sites = activity["site"].unique(maintain_order=True).to_list()
    return {site: _numbers(chosen.filter(site=site)["feature"].to_list()) for site in sites}


def _numbers(features: Sequence[int]) -> Tensor:
    return torch.tensor(sorted(features), dtype=torch.int64)
