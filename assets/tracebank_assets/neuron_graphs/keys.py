"""Keys of the assets of neuron graphs."""

from typing import Final

import dagster as dg

GROUP: Final = "neuron_graphs"
GRAPHS: Final = dg.AssetKey([GROUP, "graphs"])
SCORES: Final = dg.AssetKey([GROUP, "scores"])
SIMILARITIES: Final = dg.AssetKey([GROUP, "similarities"])
