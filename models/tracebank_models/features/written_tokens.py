"""Which tokens the decoder rows of features write for. Which they fire on is `token_totals`."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor


def top_logits(decoder: Tensor, unembedding: Tensor, count: int = 10, *, block: int = 1_024) -> pl.DataFrame:
    """Tokens whose logits a feature raises and lowers most when it writes straight into the residual stream.

    Args:
        decoder: A row a feature, shape (features, width).
        unembedding: A row a token, shape (tokens, width).
        count: Tokens at each end.
        block: Features at once: bounds the memory to block x tokens.

    Returns:
        Columns feature, direction (`raised` or `lowered`), rank (from 1), token_id and logit.

    Raises:
        ValueError: The widths differ, or there are fewer tokens than asked for.
    """
    if decoder.shape[1] != unembedding.shape[1] or not 1 <= count <= len(unembedding):
        raise ValueError(
            f"decoder: {tuple(decoder.shape)} with unembedding {tuple(unembedding.shape)}, {count} tokens: allowed are"
            " equal widths, and 1 to as many tokens as there are"
        )
    parts = []
    for first in range(0, len(decoder), block):
        logits = decoder[first : first + block].detach().float() @ unembedding.detach().float().T
        features = torch.arange(first, first + len(logits), dtype=torch.int32).repeat_interleave(count)
        for direction, largest in (("raised", True), ("lowered", False)):
            found = logits.topk(count, dim=1, largest=largest)
            columns = {
                "feature": features.numpy(),
                "rank": np.tile(np.arange(1, count + 1, dtype=np.int32), len(logits)),
                "token_id": found.indices.flatten().int().cpu().numpy(),
                "logit": found.values.flatten().cpu().numpy(),
            }
            parts.append(pl.DataFrame(columns).with_columns(direction=pl.lit(direction)))
    frame = pl.concat(parts).select("feature", "direction", "rank", "token_id", "logit")
    return frame.sort("feature", "direction", "rank", descending=[False, True, False])
