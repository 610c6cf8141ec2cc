"""When a unit fires: a code above 0, a neuron at half of its own maximum (`Dictionary.fires_at`).

That maximum has to be known before firings are counted: a pass of its own finds it (`MaximumPass`), or it is given.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.features.dictionary_codes import DictionarySet
from tracebank_models.features.streams import TokenBatch, describes


class MaximumPass:
    """Largest activation of each unit, on the documents that units are described from."""

    def __init__(self, dictionaries: DictionarySet) -> None:
        """Start with nothing seen.

        Args:
            dictionaries: Whose units.
        """
        self.dictionaries = dictionaries
        self.maximum = np.zeros(dictionaries.features, np.float32)
        """(units,); 0 where none is positive."""

    def update(self, batch: TokenBatch) -> None:
        """Take in tokens.

        Raises:
            ValueError: A width is not the dictionary's, or a code is NaN or infinite.
        """
        batch = batch.kept(describes(batch.documents))
        if len(batch.rows) == 0:
            return
        largest = self.dictionaries.encode(batch.activations).amax(0).cpu().numpy()
        if not np.isfinite(largest).all():
            raise ValueError("codes: one is not finite: allowed are finite numbers")
        np.maximum(self.maximum, largest, out=self.maximum)


class Firing:
    """What units of several dictionaries have to reach to fire."""

    def __init__(self, dictionaries: DictionarySet, maximum: NDArray[np.float32] | None = None) -> None:
        """Find the thresholds.

        Args:
            dictionaries: Whose units.
            maximum: Largest activation of each, (units,); needed where a dictionary's units fire at a share of it. One
                whose maximum is not above 0 never fires.

        Raises:
            ValueError: It is needed and not there, or of another shape.
        """
        ones = dictionaries.dictionaries
        self.thresholds = np.zeros(dictionaries.features, np.float32)
        """What an activation has to exceed, (units,)."""
        relative = [name for name, one in ones.items() if one.fires_at]
        self._all_above_0 = not relative
        if maximum is not None and maximum.shape != self.thresholds.shape:
            raise ValueError(f"maximum: shape {maximum.shape} is not allowed: {self.thresholds.shape}")
        if maximum is None and relative:
            share = ones[relative[0]].fires_at
            raise ValueError(f"maximum: none is given: units of {relative[0]!r} fire at {share} of their maximum")
        if maximum is not None:
            parts = [np.full(one.config.d_sae, one.fires_at, np.float32) for one in ones.values()]
            shares = np.concatenate(parts)
            at = np.where(maximum > 0, shares * maximum, np.inf).astype(np.float32)
            # At the share itself a unit fires: what has to be exceeded is the next smaller number.
            below = np.nextafter(at, np.float32(-np.inf))
            self.thresholds = np.where(shares > 0, below, np.float32(0))

    def of(self, codes: Tensor) -> Tensor:
        """Activations of units that fire, and 0 where they do not; codes and result are (tokens, units)."""
        if self._all_above_0:
            return codes
        thresholds = torch.from_numpy(self.thresholds).to(codes.device)
        return torch.where(codes > thresholds, codes, torch.zeros((), dtype=codes.dtype, device=codes.device))
