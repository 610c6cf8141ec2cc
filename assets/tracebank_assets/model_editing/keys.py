"""Keys of the assets of model editing."""

from typing import Final

import dagster as dg

GROUP: Final = "model_editing"
CASES: Final = dg.AssetKey([GROUP, "cases"])
LAYERS: Final = dg.AssetKey([GROUP, "layers"])
EDITS: Final = dg.AssetKey([GROUP, "edits"])
EVALUATION: Final = "model_editing"
"""Name of the evaluation in `eval_runs`."""
