"""Checks of captured activations and trained dictionaries."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

if TYPE_CHECKING:
    from tracebank_models.activations.corpus import TokenCorpus

_PADDING = "padding_share_is_0"
_DEAD = "dead_share"
_FVU = "fvu_below_1"
MOST_DEAD = 0.5
"""Share of dead features above which a dictionary is worth a warning."""


CAPTURE_CHECKS = {_PADDING: "Every site holds each token of the corpus once, and nothing that is no token of it."}
"""The check of captured activations."""


def capture_checks(shards: "Iterable[tuple[TokenCorpus, pl.DataFrame]]") -> list[dg.AssetCheckResult]:
    """Compare what lies in the files of each shard with its corpus."""
    padding, stored = 0, 0
    for corpus, rows in shards:
        sites = rows.group_by("model", "site").agg(pl.col("tokens").sum(), pl.col("path").sort())
        for tokens, paths in sites.select("tokens", "path").iter_rows():
            padding += abs(tokens - corpus.tokens) + _foreign(corpus, paths)
            stored += tokens
    share = padding / max(1, stored)
    return [
        dg.AssetCheckResult(
            check_name=_PADDING, passed=padding == 0, metadata={"padding_share": share, "rows": padding}
        )
    ]


def _foreign(corpus: "TokenCorpus", paths: list[str]) -> int:
    """Rows of a site whose token is not the corpus's at that place."""
    import numpy as np

    from tracebank_models.activations.shards import token_ids_of

    stored = np.concatenate([token_ids_of(path) for path in paths])
    shared = min(len(stored), corpus.tokens)
    return int((stored[:shared] != corpus.token_ids[:shared]).sum())


DICTIONARY_CHECKS = {
    _FVU: "Every dictionary explains more of held-out activations than their mean does.",
    _DEAD: f"At most {MOST_DEAD:.0%} of any dictionary's features never fire.",
}
"""Checks of dictionaries."""


def dictionary_checks(metrics: pl.DataFrame) -> list[dg.AssetCheckResult]:
    """What they found."""
    found = {}
    for metric in ("fvu", "dead_share"):
        values = metrics.filter(pl.col("metric") == metric).sort("value", descending=True, nulls_last=False)
        found[metric] = values.select("dictionary", "value").row(0)
    fvu, dead = found["fvu"], found["dead_share"]
    return [
        dg.AssetCheckResult(
            check_name=_FVU,
            passed=fvu[1] is not None and fvu[1] < 1,
            metadata={"worst": fvu[0], "fvu": str(fvu[1])},
        ),
        dg.AssetCheckResult(
            check_name=_DEAD,
            passed=dead[1] <= MOST_DEAD,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"worst": dead[0], "dead_share": float(dead[1])},
        ),
    ]
