"""Keys of the assets of identifier swaps."""

from typing import Final

import dagster as dg

GROUP: Final = "identifier_swaps"
EXAMPLES: Final = dg.AssetKey([GROUP, "examples"])
SCORES: Final = dg.AssetKey([GROUP, "scores"])
TRENDS: Final = dg.AssetKey([GROUP, "trends"])
ANSWERS: Final = dg.AssetKey([GROUP, "answers"])
EVALUATION: Final = "identifier_swaps"
"""Name of the evaluation in `eval_runs`."""
CHAT: Final = "identifier_swaps_chat"
"""That of endpoints."""
