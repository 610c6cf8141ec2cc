"""Names that the modules of group `sparse_features` share."""

import dagster as dg

GROUP = "sparse_features"

ACTIVATIONS = dg.AssetKey([GROUP, "activations"])
DICTIONARIES = dg.AssetKey([GROUP, "dictionaries"])
FEATURES = dg.AssetKey([GROUP, "features"])
PROBES = dg.AssetKey([GROUP, "probes"])
ABLATIONS = dg.AssetKey([GROUP, "ablations"])
DYNAMICS = dg.AssetKey([GROUP, "dynamics"])
