"""Names and versions that the modules of group `language_models` share."""

import dagster as dg

GROUP = "language_models"
CODE_VERSION = "1"
"""Version of the group's code: raise it when the same inputs would give other rows."""

BASE = dg.AssetKey([GROUP, "base"])
TUNED = dg.AssetKey([GROUP, "tuned"])
DIVERGENCES = dg.AssetKey([GROUP, "layer_divergences"])
