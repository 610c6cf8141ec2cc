"""The one error of this room: bad input said in one line that names the field, the value and what is allowed."""

from __future__ import annotations


class RewardProbeError(ValueError):
    """A probe, an ablation or a statistic cannot be computed as asked."""
