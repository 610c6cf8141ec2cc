"""Features of two dictionaries matched one to one, and how alike dictionaries are: MMCS and PW-MCC.

Both are the mean cosine of a one-to-one assignment that makes it largest (Hungarian method); MMCS names two
dictionaries of any sizes (arXiv:2310.08164), PW-MCC the mean over all pairs of seeds (arXiv:2505.20254). An assignment
finds cosines well above 0 in anything, so that neither says much without its chance.
"""

from __future__ import annotations

from typing import Final

import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

_DRAWS: Final = 3
"""Pairs of random dictionaries that chance is the mean of; their spread is some thousandths at 64 features."""


def match_features(first: Tensor, second: Tensor) -> pl.DataFrame:
    """Match the rows of two dictionaries one to one.

    Args:
        first: (features, width), any row norms.
        second: (other features, width).

    Returns:
        `feature`, `matched_feature`, `cosine`, most alike first; as many rows as the smaller dictionary has.

    Raises:
        ValueError: The widths differ.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped,import-not-found,unused-ignore]

    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"dictionaries of shapes {tuple(first.shape)} and {tuple(second.shape)}: must agree in width")
    cosines = functional.normalize(first.detach().float().cpu(), dim=1)
    cosines = (cosines @ functional.normalize(second.detach().float().cpu(), dim=1).T).clamp_(-1, 1)
    rows, columns = linear_sum_assignment(cosines.numpy(), maximize=True)
    frame = pl.DataFrame({"feature": rows, "matched_feature": columns, "cosine": cosines.numpy()[rows, columns]})
    types = {"feature": pl.Int64, "matched_feature": pl.Int64, "cosine": pl.Float64}
    return frame.cast(types).sort("cosine", descending=True, maintain_order=True)  # type: ignore[arg-type]


def mmcs(first: Tensor, second: Tensor) -> float:
    """Return the mean of the matched cosines of two dictionaries, (features, width) each."""
    return float(match_features(first, second)["cosine"].mean())  # type: ignore[arg-type]


def chance(sizes: tuple[int, int], covariances: tuple[Tensor, Tensor]) -> float:
    """Return the MMCS of two dictionaries that learned nothing of features, the larger of two kinds.

    Rows of every direction alike, which is how dictionaries begin; and rows drawn from a normal distribution with the
    covariance of the activations, which is what a dictionary gets by finding where the variance is. The second is far
    above the first where few directions carry most of the variance, as in small models.

    Args:
        sizes: Features of each.
        covariances: (width, width), of the activations that each reads.

    Raises:
        ValueError: The widths differ.
    """
    roots = [_root(covariance) for covariance in covariances]
    generator = torch.Generator().manual_seed(0)

    def draw(shaped: bool) -> float:
        rows = [torch.randn(size, len(root), generator=generator) for size, root in zip(sizes, roots, strict=True)]
        return mmcs(*(drawn @ root if shaped else drawn for drawn, root in zip(rows, roots, strict=True)))

    return max(sum(draw(shaped) for _ in range(_DRAWS)) / _DRAWS for shaped in (False, True))


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance.double().cpu())
    root: Tensor = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return root.float()
