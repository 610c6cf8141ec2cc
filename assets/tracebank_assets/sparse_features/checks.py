"""Checks of captured activations."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

if TYPE_CHECKING:
    from tracebank_models.activations.corpus import TokenCorpus

_PADDING = "padding_share_is_0"
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
