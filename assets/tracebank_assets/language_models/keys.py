"""Names that the modules of group `language_models` share."""

import dagster as dg

GROUP = "language_models"

NAMED = dg.AssetKey([GROUP, "named"])
BASE = dg.AssetKey([GROUP, "base"])
TUNED = dg.AssetKey([GROUP, "tuned"])
DIVERGENCES = dg.AssetKey([GROUP, "layer_divergences"])
FRONTIER = dg.AssetKey([GROUP, "frontier"])
