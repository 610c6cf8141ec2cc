"""Windows and splits: z-scores as NumPy's, memory by shape and stride, and no row that two parts share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.order_book_features.random_ticks import random_ticks, stretches

from tracebank_models.order_book_features.splits import split_by_time, window_ends
from tracebank_models.order_book_features.ticks import Ticks
from tracebank_models.order_book_features.windows import Windows

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
def test_a_window_is_standardised_by_its_own_mean_and_deviation(device: str) -> None:
    features = np.random.default_rng(0).normal(5.0, 3.0, (300, 4)).astype(np.float32)
    features[:, 3] = 7.0
    ends = np.array([99, 250, 299, 100])
    windows = Windows(torch.from_numpy(features).to(device), 100).batch(torch.from_numpy(ends).to(device)).cpu()
    plain = np.stack([features[end - 99 : end + 1] for end in ends]).astype(np.float64)
    expected = (plain - plain.mean(axis=1, keepdims=True)) / (plain.std(axis=1, keepdims=True) + 0.01)
    assert windows.shape == (4, 100, 4)
    assert_allclose(windows, expected, atol=2e-6)
    assert not windows[:, :, 3].any()
    kept = Windows(torch.from_numpy(features), 100, keep=[False, True, False, False]).batch(torch.from_numpy(ends))
    assert np.array_equal(kept[:, :, 1], plain[:, :, 1])
    assert_allclose(kept[:, :, 0], expected[:, :, 0], atol=2e-6)


def test_a_window_is_the_same_in_any_batch() -> None:
    windows = Windows(torch.randn(500, 38, generator=torch.Generator().manual_seed(0)), 100)
    ends = torch.arange(99, 500)
    together = windows.batch(ends)
    for size in (1, 7, 64):
        assert torch.equal(torch.cat([windows.batch(part) for part in ends.split(size)]), together)


class Allocated(torch.utils._python_dispatch.TorchDispatchMode):
    """Bytes of every new storage that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple) else (out,):
            storage = one.untyped_storage()
            self.storages[storage.data_ptr()] = storage.nbytes()
        return out


def test_windows_take_a_twentieth_of_the_originals_memory() -> None:
    rows, look_back, columns, batch = 20_000, 100, 38, 256
    features = torch.zeros(rows, columns)
    with Allocated() as allocated:
        windows = Windows(features, look_back)
        assert windows.batch(torch.arange(look_back - 1, look_back - 1 + batch)).shape == (batch, look_back, columns)
    assert windows.features.data_ptr() == features.data_ptr()
    original = (rows - look_back + 1) * look_back * columns * 8
    assert sum(allocated.storages.values()) < original / 20
    # At the paper's 720,000 windows only the rows grow: 0.11 GB for 21.9.
    assert 720_000 * columns * features.element_size() < 720_000 * look_back * columns * 8 / 20


@pytest.mark.parametrize("end", [-1, 0, 98, 300])
def test_there_is_no_window_before_the_first_or_after_the_last(end: int) -> None:
    with pytest.raises(IndexError):
        Windows(torch.zeros(300, 2), 100).batch(torch.tensor([end]))


def test_what_cannot_be_laid_is_refused() -> None:
    with pytest.raises(ValueError, match="look_back: 100 is not allowed; allowed: 1 to 99, the rows there are"):
        Windows(torch.zeros(99, 2), 100)
    with pytest.raises(ValueError, match="keep: 1 columns; allowed: 2, one for each feature"):
        Windows(torch.zeros(99, 2), 10, keep=[True])


@given(stretches(200), st.integers(1, 12), st.integers(1, 8), st.data())
@settings(max_examples=100, deadline=None)
def test_parts_share_no_row(ticks: Ticks, look_back: int, horizon: int, data: st.DataObject) -> None:
    n, purge = len(ticks), look_back + horizon
    train = data.draw(st.floats(0.2, 0.7))
    shares = (train, (1 - train) / 2, (1 - train) / 2)
    if n - 2 * purge < 12:  # a part may be left without a row
        n = 2 * purge + 12
        ticks = random_ticks([n], 0)
    split = split_by_time(n, shares, purge)
    assert (split.train.start, split.test.stop) == (0, n)
    assert split.validation.start - split.train.stop == purge == split.test.start - split.validation.stop
    used: list[set[int]] = []
    for rows in split:
        touched: set[int] = set()
        for end in ends_or_none(ticks, look_back, horizon, rows):
            span = range(end - look_back + 1, end + horizon + 1)
            assert len(set(ticks.segment[span.start : span.stop].tolist())) == 1
            touched.update(span)
        assert touched <= set(rows)
        used.append(touched)
    for earlier, later in ((used[0], used[1]), (used[1], used[2]), (used[0], used[2])):
        assert not earlier or not later or max(earlier) + purge < min(later)


def ends_or_none(ticks: Ticks, look_back: int, horizon: int, rows: range) -> list[int]:
    """Ends of windows, checked against all rows that could be one."""
    segment = ticks.segment
    first, last = rows.start + look_back - 1, rows.stop - horizon
    expected = [end for end in range(first, last) if segment[end - look_back + 1] == segment[end + horizon]]
    if not expected:
        with pytest.raises(ValueError, match=f"look_back: {look_back} ticks and {horizon} more are not in rows "):
            window_ends(segment, look_back, horizon, rows)
        return []
    ends = window_ends(segment, look_back, horizon, rows)
    assert ends.tolist() == expected
    return expected


@pytest.mark.parametrize(
    ("n", "shares", "purge", "line"),
    [
        (1_000, (0.6, 0.2, 0.1), 130, "shares: (0.6, 0.2, 0.1) is not allowed; allowed: three from 0 to 1 that add up"),
        (1_000, (0.6, 0.2, 0.2), -1, "purge: -1 is not allowed; allowed: 0 or more rows"),
        (250, (0.6, 0.2, 0.2), 130, "shares: 250 rows are too few for (0.6, 0.2, 0.2) with 130 rows between two parts"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(
    n: int, shares: tuple[float, float, float], purge: int, line: str
) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as refusal:
        split_by_time(n, shares, purge)
    assert str(refusal.value).startswith(line)


def test_a_part_may_be_absent() -> None:
    split = split_by_time(1_000, (0.8, 0.0, 0.2), 100)
    assert (split.train, len(split.validation), split.test) == (range(720), 0, range(820, 1_000))
