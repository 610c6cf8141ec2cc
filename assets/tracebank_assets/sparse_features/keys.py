"""Names and versions that the modules of group `sparse_features` share."""

import dagster as dg

GROUP = "sparse_features"
CODE_VERSION = "1"
"""Version of the group's code: raise it when the same inputs would give other rows."""

ACTIVATIONS = dg.AssetKey([GROUP, "activations"])
DICTIONARIES = dg.AssetKey([GROUP, "dictionaries"])
FEATURES = dg.AssetKey([GROUP, "features"])
EXPLANATIONS = dg.AssetKey([GROUP, "explanations"])
PROBES = dg.AssetKey([GROUP, "probes"])
ABLATIONS = dg.AssetKey([GROUP, "ablations"])
DYNAMICS = dg.AssetKey([GROUP, "dynamics"])
