"""Thinned lines: few points, and no peak lost."""

from __future__ import annotations

import numpy as np
import pytest

from tracebank_models.sample_statistics.thinning import thinned


@pytest.mark.parametrize("count", [0, 1, 4, 500, 501, 1003, 100_000])
@pytest.mark.parametrize("most", [4, 5, 500])
def test_extremes_and_ends_are_kept(count: int, most: int) -> None:
    values = np.random.default_rng(count).normal(size=count).cumsum()
    kept = thinned(values, most)
    assert len(kept) <= max(most, 0)
    assert (np.diff(kept) > 0).all()
    if count:
        assert kept[0] == 0
        assert kept[-1] == count - 1
        assert values[kept].max() == values.max()
        assert values[kept].min() == values.min()


def test_a_single_peak_is_not_lost_where_every_kth_point_loses_it() -> None:
    values = np.zeros(10_000)
    values[4321] = 1.0
    assert values[thinned(values)].max() == 1.0
    assert values[:: 10_000 // 500].max() == 0.0, "the null"


def test_what_has_no_value_does_not_hide_what_has() -> None:
    values = np.full(5_000, np.nan)
    values[[10, 2_500, 4_990]] = 1.0, 5.0, -2.0
    kept = thinned(values, 50)
    assert {10, 2_500, 4_990} <= set(kept.tolist())
    assert len(kept) <= 50
    with pytest.raises(ValueError, match="most: 3 is not allowed"):
        thinned(values, 3)
