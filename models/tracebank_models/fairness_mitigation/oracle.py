"""Lenders that know everything: best policies on a table of how many have each score, and how many of those repay.

After Liu et al. 2018. Taken in the order of chances, a group's policies lie on the hull of its ROC curve, as in
google/ml-fairness-gym; where a constraint is met between two scores, the one at the border is accepted by lot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from .metrics import Floats, Ints

Order = Literal["chance", "score"]
Policy = Literal["maximum_utility", "demographic_parity", "equal_opportunity", "equalised_odds"]
GRID: Final = 1_000
"""Steps of the false positive rate among which equalised odds choose, beside the corners of the hulls."""


@dataclass(frozen=True, slots=True)
class Table:
    """Who there is. A row of no people may stand at the end of a group that has fewer scores."""

    weights: Floats
    """Share of each group in the population, (groups,)."""
    shares: Floats
    """Of a group's people at each score, (groups, scores), or of many tables, (..., groups, scores)."""
    chances: Floats
    """That one of them repays, as shares."""

    def worth(self, break_even: float) -> Floats:
        """Utility of accepting each cell, per applicant; a loan that is repaid is worth 1 - break_even."""
        found: Floats = self.weights[:, None] * self.shares * (self.chances - break_even)
        return found


def best_policy(
    table: Table, policy: Policy, break_even: float, order: Order = "chance", step: float | None = None
) -> Floats:
    """Probability that each cell is accepted, (..., groups, scores), of the policy of most utility.

    Args:
        table: Who there is; under equal opportunity every group has some who repay, under equalised odds some who do
            not, too.
        policy: The constraint; one of `Policy`. Equalised odds take one table, all others many at once.
        break_even: Chance from which a loan pays: loss / (loss + gain), both positive.
        order: In which a group's people are accepted: from the best chance down, or from the last column down; of a
            common rate only.
        step: Search common rates that are multiples of it, as those who publish them to some digits did; None: all.
    """
    if policy == "maximum_utility":
        return (table.chances >= break_even).astype(np.float64)
    if policy == "equalised_odds":
        return _equalised_odds(table, break_even)
    measure = table.shares if policy == "demographic_parity" else table.shares * table.chances
    measure = measure / measure.sum(axis=-1, keepdims=True)
    return _common_rate(measure, table.worth(break_even), _ranks(table, order), step)


def _ranks(table: Table, order: Order) -> Ints:
    """Columns of each group in the order in which they are accepted."""
    keys = (
        table.chances if order == "chance" else np.broadcast_to(np.arange(table.shares.shape[-1]), table.shares.shape)
    )
    return np.argsort(-np.where(table.shares > 0, keys, -1.0), axis=-1, kind="stable")


def _common_rate(measure: Floats, worth: Floats, ranks: Ints, step: float | None) -> Floats:
    """Accept the same share of a measure in every group, that of most worth.

    Worth is piecewise linear in the share, so that it is largest at a corner of some group. People of no measure (who
    cannot repay, under equal opportunity) are never accepted.
    """
    sizes, gains = np.take_along_axis(measure, ranks, -1), np.take_along_axis(worth, ranks, -1)
    each = np.divide(gains, sizes, out=np.zeros_like(gains), where=sizes > 0)
    before = np.cumsum(sizes, axis=-1) - sizes
    lead = sizes.shape[:-2]
    corners = np.sort((before + sizes).clip(max=1.0).reshape(*lead, -1), axis=-1)
    rates = np.concatenate([np.zeros((*lead, 1)), corners], axis=-1)
    if step is not None:
        rates = np.broadcast_to(np.arange(round(1 / step) + 1) * step, (*lead, round(1 / step) + 1))
    taken = np.clip(rates[..., None, None] - before[..., None, :, :], 0, sizes[..., None, :, :])
    best = (taken * each[..., None, :, :]).sum(axis=(-2, -1)).argmax(axis=-1)
    return _accepted(measure, ranks, np.take_along_axis(rates, best[..., None], -1))


def _accepted(measure: Floats, ranks: Ints, rate: Floats | float) -> Floats:
    """Acceptance of a share of the measure; of a rate for each table, (..., 1), or of one."""
    sizes = np.take_along_axis(measure, ranks, -1)
    left = np.asarray(rate)[..., None] - (np.cumsum(sizes, axis=-1) - sizes)
    share = np.divide(left, sizes, out=np.zeros_like(sizes), where=sizes > 0).clip(0.0, 1.0)
    found = np.empty_like(share)
    np.put_along_axis(found, ranks, share, -1)
    return found


def _equalised_odds(table: Table, break_even: float) -> Floats:
    """The best point under all hulls; a group whose hull is above mixes with acceptance by lot."""
    ranks = _ranks(table, "chance")
    good, bad = table.shares * table.chances, table.shares * (1 - table.chances)
    true, false = (part / part.sum(axis=1, keepdims=True) for part in (good, bad))
    curves = [_from_zero(np.take_along_axis(part, ranks, 1)) for part in (false, true)]
    rates = np.unique(np.concatenate([np.linspace(0, 1, GRID + 1), np.minimum(curves[0], 1.0).ravel()]))
    heights = np.stack([_height(rates, x, y) for x, y in zip(*curves, strict=True)])
    common = heights.min(axis=0)
    gain = table.weights @ good.sum(axis=1) * (1 - break_even)
    loss = table.weights @ bad.sum(axis=1) * break_even
    best = int(np.argmax(gain * common - loss * rates))
    on_hull = _on_hull(table, ranks, float(rates[best]))
    above, height = heights[:, best] - common[best], heights[:, best] - rates[best]
    ignored = np.divide(above, height, out=np.zeros_like(above), where=height > 0)[:, None]
    found: Floats = ignored * rates[best] + (1 - ignored) * on_hull
    return found


def _on_hull(table: Table, ranks: Ints, rate: float) -> Floats:
    """Acceptance with a false positive rate, at the highest true positive rate there is for it."""
    bad = table.shares * (1 - table.chances)
    found = _accepted(bad / bad.sum(axis=1, keepdims=True), ranks, rate)
    sure = (bad == 0) & (table.shares > 0)  # all repay: they cost nothing
    return np.where(sure, 1.0, found)


def _height(rates: Floats, x: Floats, y: Floats) -> Floats:
    """Height of a rising curve, where it goes straight up the upper end."""
    last = np.append(np.diff(x) > 0, True)
    found: Floats = np.interp(rates, x[last], y[last])
    return found


def _from_zero(values: Floats) -> Floats:
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
