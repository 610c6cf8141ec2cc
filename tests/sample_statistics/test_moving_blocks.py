"""Moving blocks: the error of a mean of overlapping sums, of independent samples, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from tracebank_models.sample_statistics.moving_blocks import MovingBlocks, independent_error


def _ones(values: np.ndarray) -> np.ndarray:
    return np.ones_like(values)


def test_independent_samples_have_the_error_that_is_known() -> None:
    values = np.random.default_rng(0).normal(2, 3, (20_000, 2))
    drawn = MovingBlocks(len(values), 20, draws=2_000).ratio(values, _ones(values))
    assert np.allclose(drawn.value, values.mean(0))
    assert np.allclose(drawn.draws.std(0), 3 / np.sqrt(20_000), rtol=0.1)
    assert np.allclose(independent_error(values, _ones(values)), 3 / np.sqrt(20_000), rtol=0.03)
    low, high = drawn.interval()
    assert np.allclose(high - low, 2 * 1.96 * 3 / np.sqrt(20_000), rtol=0.12)


def test_overlapping_sums_have_the_error_of_what_they_are_made_of() -> None:
    steps = np.random.default_rng(1).normal(size=60_000)
    sums = np.convolve(steps, np.ones(30), "valid")[:, None]
    drawn = MovingBlocks(len(sums), 600, draws=1_000).ratio(sums, _ones(sums))
    # A mean of sums of thirty is thirty times the mean of the steps.
    assert np.isclose(drawn.draws.std(), 30 / np.sqrt(60_000), rtol=0.15)
    assert drawn.draws.std() > 4.5 * independent_error(sums, _ones(sums))[0]


def test_a_ratio_counts_only_what_counts() -> None:
    values = np.arange(1_000.0)[:, None]
    counts = (values % 2 == 0).astype(float)
    drawn = MovingBlocks(1_000, 10).ratio(values * counts, counts)
    assert drawn.value[0] == 499
    assert np.isnan(MovingBlocks(1_000, 10).ratio(0 * values, 0 * counts).value[0])


def test_differences_are_of_the_same_draws() -> None:
    values = np.random.default_rng(2).normal(size=(2_000, 1))
    blocks = MovingBlocks(2_000, 50)
    one, two = (blocks.ratio(values + shift, _ones(values)) for shift in (0.0, 0.25))
    low, high = two.less(one).interval()
    assert np.allclose([low[0], high[0]], 0.25)


@pytest.mark.parametrize(("samples", "blocks"), [(479, 4), (39, 0), (480, 5)])
def test_fewer_than_five_blocks_have_no_interval(samples: int, blocks: int) -> None:
    values = np.random.default_rng(3).normal(size=(samples, 1))
    drawn = MovingBlocks(samples, 96, draws=20).ratio(values, _ones(values))
    assert np.isnan(drawn.interval()[0][0]) == (blocks < 5)
    assert np.isclose(drawn.value[0], values.mean())


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^block: 0 of 10 samples, 1000 draws; allowed: 1 or more"):
        MovingBlocks(10, 0)
    with pytest.raises(ValueError, match=r"^values: 9 rows are not allowed; allowed: 10"):
        MovingBlocks(10, 2).ratio(np.ones((9, 1)), np.ones((9, 1)))
