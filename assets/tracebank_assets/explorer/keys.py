"""Keys of the assets that pages and API read."""

from typing import Final

import dagster as dg

GROUP: Final = "explorer"
UNITS: Final = dg.AssetKey([GROUP, "units"])
CURVES: Final = dg.AssetKey([GROUP, "curves"])
