"""The compiled loops of k-sparse training on a CPU: selection, decoding, and the two sparse backward products.

Every kernel works on a range of rows (or of features), holds no lock, and writes only into that range; so threads may
share a batch, and the result does not depend on their number. Codes are compressed sparse rows: `offsets`, `columns`,
`values`. Plain arrays in and out; autograd is in `sparse_products`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_FAST = {"reassoc", "contract", "arcp", "nsz"}


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _least_and_largest(row):  # type: ignore[no-untyped-def]
    low, high = row[0], row[0]
    for column in range(len(row)):
        low, high = min(low, row[column]), max(high, row[column])
    return low, high


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _count(row, bound):  # type: ignore[no-untyped-def]
    """Count the elements above a bound: one vector compare for many of them."""
    count = np.int32(0)
    for column in range(len(row)):
        count += np.int32(row[column] > bound)
    return count


@njit(cache=True, nogil=True)
def _bounds(row, k, guess):  # type: ignore[no-untyped-def]
    """Return two numbers: fewer than k elements are above the second, and k or more above the first.

    They are one where exactly k are above it; else nothing lies between them but elements equal to the second. Found by
    halving, from a guess: a count is so cheap that ten of them cost less than to move the elements about.
    """
    least, high = _least_and_largest(row)
    low = least - max(abs(least), np.float32(1))
    bound = guess if low < guess < high else low + (high - low) * np.float32(0.5)
    while low < bound < high:
        count = _count(row, bound)
        if count == k:
            return bound, bound
        if count > k:
            low = bound
        else:
            high = bound
        bound = low + (high - low) * np.float32(0.5)
    return low, high


@njit(cache=True, nogil=True)
def select_top_k(dense, k, columns, values, start, stop):  # type: ignore[no-untyped-def]
    """Write column and value of the k largest of each row, columns ascending; of equal ones, any that make it k.

    Args:
        dense: float32, (rows, features).
        k: Elements kept per row.
        columns: int32, (rows, k); written.
        values: float32, (rows, k); written, negative ones as 0.
        start: First row.
        stop: Row after the last.
    """
    low = np.float32(0)
    for at in range(start, stop):
        row = dense[at]
        low, high = _bounds(row, k, low)
        ties = k - _count(row, high)
        filled = 0
        for column in range(len(row)):
            value = row[column]
            if value > low:
                if value <= high:
                    if ties == 0:
                        continue
                    ties -= 1
                columns[at, filled] = column
                values[at, filled] = max(value, np.float32(0))
                filled += 1
        for left in range(filled, k):  # only where the row has numbers that are none
            columns[at, left] = 0
            values[at, left] = 0


@njit(cache=True, nogil=True)
def count_above(dense, weight, bound, counts, start, stop):  # type: ignore[no-untyped-def]
    """Count the weighted elements above a bound, per row of `dense` (float32, (rows, features))."""
    for at in range(start, stop):
        row = dense[at]
        count = 0
        for column in range(len(row)):
            count += row[column] * weight[column] > bound
        counts[at] = count


@njit(cache=True, nogil=True)
def gather_above(dense, weight, bound, offsets, columns, values, start, stop):  # type: ignore[no-untyped-def]
    """Write the elements that `count_above` counted: row r's from `offsets[r]`, columns ascending."""
    for at in range(start, stop):
        row = dense[at]
        filled, end = offsets[at], offsets[at + 1]
        for column in range(len(row)):
            if filled == end:
                break
            if row[column] * weight[column] > bound:
                columns[filled] = column
                values[filled] = row[column]
                filled += 1


@njit(cache=True, nogil=True, fastmath=_FAST)
def decode(codes, decoder, bias, group, target, residual, value_gradient, loss, start, stop):  # type: ignore[no-untyped-def]
    """Decode rows, and give what the backward pass needs, while the decoder's rows are still in the cache.

    With G nested dictionaries, reconstruction g uses the features of groups up to g. Its residual is
    `reconstruction - target`; a feature of group g hears of all residuals from g on, so their sum is what is kept.

    Args:
        codes: Offsets (int64, (rows + 1,)), columns (int32) and values (float32), (nonzeros,).
        decoder: float32, (features, width).
        bias: float32, (width,).
        group: int32, (features,): the smallest nested dictionary that holds the feature.
        target: float32, (rows, width).
        residual: float32, (G, rows, width); written: sums of the residuals from group g on.
        value_gradient: float32, (nonzeros,); written: that sum times the feature's decoder row; 0 for a value of 0.
        loss: float64, (rows, G); written: squared error of each reconstruction.
        start: First row.
        stop: Row after the last.
    """
    offsets, columns, values = codes
    n_groups, width = residual.shape[0], decoder.shape[1]
    for at in range(start, stop):
        for g in range(n_groups):
            residual[g, at, :] = 0
        for c in range(width):
            residual[0, at, c] = bias[c] - target[at, c]
        for i in range(offsets[at], offsets[at + 1]):
            value, atom, total = values[i], decoder[columns[i]], residual[group[columns[i]], at]
            for c in range(width):
                total[c] += value * atom[c]
        for g in range(n_groups):
            total = residual[g, at]
            if g > 0:
                before = residual[g - 1, at]
                for c in range(width):
                    total[c] += before[c]
            squares = np.float32(0)
            for c in range(width):
                squares += total[c] * total[c]
            loss[at, g] = squares
        for g in range(n_groups - 2, -1, -1):
            for c in range(width):
                residual[g, at, c] += residual[g + 1, at, c]
        for i in range(offsets[at], offsets[at + 1]):
            atom, total = decoder[columns[i]], residual[group[columns[i]], at]
            dot = np.float32(0)
            for c in range(width):
                dot += total[c] * atom[c]
            value_gradient[i] = dot if values[i] > 0 else np.float32(0)


@njit(cache=True, nogil=True)
def transpose(offsets, columns, rows, places, feature_offsets):  # type: ignore[no-untyped-def]
    """Sort the nonzeros by feature, rows ascending: a counting sort.

    Args:
        offsets: int64, (rows + 1,).
        columns: int32, (nonzeros,).
        rows: int32, (nonzeros,); written: row of each sorted nonzero.
        places: int64, (nonzeros,); written: where it was.
        feature_offsets: int64, (features + 1,), zeros; written.
    """
    for i in range(len(columns)):
        feature_offsets[columns[i] + 1] += 1
    for j in range(1, len(feature_offsets)):
        feature_offsets[j] += feature_offsets[j - 1]
    cursor = feature_offsets[:-1].copy()
    for at in range(len(offsets) - 1):
        for i in range(offsets[at], offsets[at + 1]):
            to = cursor[columns[i]]
            cursor[columns[i]] = to + 1
            rows[to], places[to] = at, i


@njit(cache=True, nogil=True, fastmath=_FAST)
def weight_gradients(by_feature, codes, group, inputs, residual, shift, scale, gradients, start, stop):  # type: ignore[no-untyped-def]
    """Write the gradients of encoder and decoder rows for a range of features.

    Args:
        by_feature: Rows, places and feature offsets of `transpose`.
        codes: Values and value gradients, (nonzeros,).
        group: int32, (features,).
        inputs: float32, (rows, width).
        residual: float32, (G, rows, width), of `decode`.
        shift: float32, (width,): what the encoder subtracts from its input.
        scale: float32: factor of all gradients.
        gradients: Encoder and decoder, float32, (features, width), and encoder bias, (features,); written.
        start: First feature.
        stop: Feature after the last.
    """
    rows, places, feature_offsets = by_feature
    values, value_gradient = codes
    encoder, decoder, encoder_bias = gradients
    width = inputs.shape[1]
    for j in range(start, stop):
        to_encoder, to_decoder, sums, total = encoder[j], decoder[j], residual[group[j]], np.float32(0)
        to_encoder[:] = 0
        to_decoder[:] = 0
        for i in range(feature_offsets[j], feature_offsets[j + 1]):
            at = rows[i]
            value, gradient = values[places[i]] * scale, value_gradient[places[i]] * scale
            x, s = inputs[at], sums[at]
            total += gradient
            for c in range(width):
                to_encoder[c] += gradient * x[c]
                to_decoder[c] += value * s[c]
        for c in range(width):
            to_encoder[c] -= total * shift[c]
        encoder_bias[j] = total
