"""Sparse encoding, decoding and its gradients: by compiled loops, or by torch's dense or sparse products.

The encoder's product stays dense, since every feature has to be looked at. What comes after touches the chosen features
only: of the dense backward pass's four products none is left. `way_of` chooses.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

_ROWS: Final = 2048
"""Rows that are encoded at once on a CPU, so that the dense part's memory is bounded; fewer wait more for threads."""
_SAMPLE: Final = 16
"""Every so many-th row tells where the threshold of a batch lies."""
_GATHERED: Final = 1 << 22
"""Elements that torch's gather holds at once."""
_SPARSE_FROM: Final = 64
"""Features over firing ones from which torch's sparse products are faster than dense ones."""


class SparseCodes(NamedTuple):
    """Codes as compressed sparse rows."""

    offsets: Tensor
    """int64, (tokens + 1,)."""
    columns: Tensor
    """int32, (nonzeros,): the features."""
    values: Tensor
    """float32, (nonzeros,), none negative; top-k may keep a 0."""
    n_features: int

    def rows(self) -> Tensor:
        """Return the token of each nonzero (int64)."""
        n_rows = len(self.offsets) - 1
        return torch.repeat_interleave(torch.arange(n_rows, device=self.offsets.device), self.offsets.diff())

    def dense(self) -> Tensor:
        """Return the codes as (tokens, features)."""
        full = self.values.new_zeros(len(self.offsets) - 1, self.n_features)
        return full.index_put((self.rows(), self.columns.long()), self.values)

    def fired(self) -> Tensor:
        """Count the tokens on which each feature fires (int64, (features,))."""
        return torch.bincount(self.columns[self.values > 0], minlength=self.n_features)


Way = Literal["compiled", "dense", "sparse"]


@cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def way_of(x: Tensor, n_features: int, per_token: float) -> Way:
    """Choose how activations are encoded and decoded: by device, dtype and the share of features that fire.

    Args:
        x: (tokens, width).
        n_features: Features of the dictionary.
        per_token: Features that fire per token.
    """
    # Milliseconds to decode and differentiate 1,024 tokens on one core of an AMD EPYC, compiled, dense and sparse (one
    # run of tracebank_benchmarks.sparse_autoencoder.decoding_ways):
    #    64 ->   128, k 16 (  8 features to a firing one):  1.0    2.6   11.2
    #    64 ->   512, k 16 ( 32):                           1.2    8.4    9.8
    #   128 -> 1,024, k 16 ( 64):                           1.7   18.5   14.8
    #   512 -> 4,096, k 32 (128):                           9.1  215     77
    # So the loops win at every size, and dense products beat sparse ones where many features fire.
    if x.device.type == "cpu" and x.dtype == torch.float32 and _has_numba():
        return "compiled"
    # MPS has no sparse products. On CUDA nothing was measured.
    few = n_features >= _SPARSE_FROM * per_token and x.device.type != "mps"
    return "sparse" if few else "dense"


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sparse-autoencoder")


def _over_range(kernel: Callable[..., None], size: int, *arguments: Any) -> None:
    """Run a kernel over `range(size)`, split among as many threads as torch has."""
    threads = min(torch.get_num_threads(), size)
    if threads <= 1:
        kernel(*arguments, 0, size)
        return
    parts = max(threads, min(4 * threads, size // 64))
    edges = [size * part // parts for part in range(parts + 1)]
    jobs = [_pool(threads).submit(kernel, *arguments, a, b) for a, b in pairwise(edges)]
    for job in jobs:
        job.result()


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return cast("np.ndarray[Any, Any]", tensor.detach().contiguous().numpy())


def encode_top_k(x: Tensor, encoder: Tensor, bias: Tensor, k: int) -> SparseCodes:
    """Encode and keep the k largest of each token, negative ones as 0.

    Args:
        x: (tokens, width).
        encoder: (features, width).
        bias: (features,).
        k: Features kept per token.
    """
    n, n_features = len(x), len(encoder)
    offsets = torch.arange(0, (n + 1) * k, k, device=x.device)
    if way_of(x, n_features, k) != "compiled":
        values, columns = torch.topk(torch.addmm(bias, x, encoder.T), k, sorted=False)
        return SparseCodes(offsets, columns.int().flatten(), values.relu().flatten(), n_features)
    from tracebank_models.sparse_autoencoder import cpu_kernels

    columns, values = torch.empty(n, k, dtype=torch.int32), torch.empty(n, k)
    work = torch.empty(min(_ROWS, n), n_features)
    for start in range(0, n, _ROWS):
        part = x[start : start + _ROWS]
        dense = torch.addmm(bias, part, encoder.T, out=work[: len(part)])
        chosen = columns[start : start + _ROWS].numpy(), values[start : start + _ROWS].numpy()
        _over_range(cpu_kernels.select_top_k, len(part), dense.numpy(), k, *chosen)
    return SparseCodes(offsets, columns.flatten(), values.flatten(), n_features)


def encode_batch_top_k(
    x: Tensor, encoder: Tensor, bias: Tensor, total: int, weight: Tensor, hint: float = 0.0
) -> tuple[SparseCodes, float]:
    """Encode and keep the `total` largest positive activations of the whole batch, times their feature's weight.

    Args:
        x: (tokens, width).
        encoder: (features, width).
        bias: (features,).
        total: Activations kept in the batch; fewer if fewer are positive, more if several equal the smallest.
        weight: (features,): what an activation is multiplied with before it is compared.
        hint: About the smallest that will be kept, say the last batch's; it changes the speed alone.

    Returns:
        The codes, and the smallest kept activation times its weight (0 if nothing is positive).
    """
    if way_of(x, len(encoder), total / len(x)) != "compiled":
        return _batch_top_k_by_torch(torch.addmm(bias, x, encoder.T).relu_(), total, weight)
    codes = None
    for bound in (0.9 * hint, _sampled_bound(x, encoder, bias, total, weight), 0.0):
        if bound > 0 or codes is None or len(codes.values) < total:
            codes = _encode_above(x, encoder, bias, weight, bound)
        if len(codes.values) >= total:
            break
    assert codes is not None
    return _keep_largest(codes, total, weight)


def _batch_top_k_by_torch(dense: Tensor, total: int, weight: Tensor) -> tuple[SparseCodes, float]:
    scores = dense * weight
    positive = int((scores > 0).sum())
    if positive == 0:
        return _from_mask(dense, scores > 0), 0.0
    least = scores.flatten().topk(min(total, positive), sorted=False).values.min()
    return _from_mask(dense, scores >= least), float(least)


def _from_mask(dense: Tensor, keep: Tensor) -> SparseCodes:
    counts = keep.sum(1)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return SparseCodes(offsets, keep.nonzero()[:, 1].int(), dense[keep], dense.shape[1])


def _sampled_bound(x: Tensor, encoder: Tensor, bias: Tensor, total: int, weight: Tensor) -> float:
    sample = x[::_SAMPLE]
    scores = _array(torch.addmm(bias, sample, encoder.T).mul_(weight)).ravel()
    at = min(len(scores), 1 + int(1.25 * total * len(sample) / len(x)))
    return float(np.partition(scores, len(scores) - at)[len(scores) - at])


def _encode_above(x: Tensor, encoder: Tensor, bias: Tensor, weight: Tensor, bound: float) -> SparseCodes:
    from tracebank_models.sparse_autoencoder import cpu_kernels

    n, n_features, least = len(x), len(encoder), np.float32(max(bound, 0.0))
    offsets, columns, values = np.zeros(n + 1, np.int64), [], []
    work, weights = torch.empty(min(_ROWS, n), n_features), _array(weight)
    for start in range(0, n, _ROWS):
        part = x[start : start + _ROWS]
        dense = torch.addmm(bias, part, encoder.T, out=work[: len(part)]).numpy()
        own = np.zeros(len(part) + 1, np.int64)
        _over_range(cpu_kernels.count_above, len(part), dense, weights, least, own[1:])
        np.cumsum(own, out=own)
        columns.append(np.empty(own[-1], np.int32))
        values.append(np.empty(own[-1], np.float32))
        _over_range(cpu_kernels.gather_above, len(part), dense, weights, least, own, columns[-1], values[-1])
        offsets[start + 1 : start + 1 + len(part)] = offsets[start] + own[1:]
    found = torch.from_numpy(np.concatenate(columns)), torch.from_numpy(np.concatenate(values))
    return SparseCodes(torch.from_numpy(offsets), found[0], found[1], n_features)


def _keep_largest(codes: SparseCodes, total: int, weight: Tensor) -> tuple[SparseCodes, float]:
    scores = _array(codes.values * weight[codes.columns.long()])
    if len(scores) <= total:
        return codes, float(scores.min()) if len(scores) else 0.0
    least = np.partition(scores, len(scores) - total)[len(scores) - total]
    keep = torch.from_numpy(scores >= least)
    kept_before = torch.cat([torch.zeros(1, dtype=torch.int64), keep.cumsum(0)])
    kept = SparseCodes(kept_before[codes.offsets], codes.columns[keep], codes.values[keep], codes.n_features)
    return kept, float(least)


def _way(x: Tensor, codes: SparseCodes) -> Way:
    return way_of(x, codes.n_features, len(codes.values) / len(x))


class _Reconstruction(torch.autograd.Function):
    """Mean squared error of the nested reconstructions, with gradients to the four parameters only."""

    @staticmethod
    def forward(
        ctx: Any,
        encoder: Tensor,
        encoder_bias: Tensor,  # noqa: ARG004
        decoder: Tensor,
        decoder_bias: Tensor,
        x: Tensor,
        codes: SparseCodes,
        group: Tensor,
        shift: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and the residual sums, (groups, tokens, width)."""
        n_groups = int(group[-1]) + 1
        run = _DECODE[_way(x, codes)]
        residual, value_gradient, squares = run(x, codes, decoder, decoder_bias, group, n_groups)
        ctx.save_for_backward(encoder, x, group, residual, value_gradient, *codes[:3])
        ctx.shift = shift
        ctx.mark_non_differentiable(residual)
        return (squares.sum() / (len(x) * n_groups)).to(x.dtype), residual

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        encoder, x, group, residual, value_gradient, offsets, columns, values = ctx.saved_tensors
        scale = gradients[0] * (2 / (len(x) * residual.shape[0]))
        shift = x.new_zeros(x.shape[1]) if ctx.shift is None else ctx.shift
        codes = SparseCodes(offsets, columns, values, len(encoder))
        run = _WEIGHT_GRADIENTS[_way(x, codes)]
        to_encoder, to_bias, to_decoder = run(x, codes, value_gradient, residual, group, shift, scale)
        to_decoder_bias = residual[0].sum(0) * scale
        if ctx.shift is not None:
            to_decoder_bias -= to_bias @ encoder
        return to_encoder, to_bias, to_decoder, to_decoder_bias, None, None, None, None


def reconstruction_loss(
    encoder: Tensor,
    encoder_bias: Tensor,
    decoder: Tensor,
    decoder_bias: Tensor,
    x: Tensor,
    codes: SparseCodes,
    group: Tensor,
    shift: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return the loss of codes and, for its gradients, let the codes depend on the encoder.

    The gradients equal those of a dense pass in which all but the chosen features are masked.

    Args:
        encoder: (features, width).
        encoder_bias: (features,).
        decoder: (features, width).
        decoder_bias: (width,).
        x: (tokens, width): what was encoded, and what is to be reconstructed.
        codes: What `encode_top_k` or `encode_batch_top_k` returned for it.
        group: int32, (features,), ascending from 0: the smallest nested dictionary that holds each feature.
        shift: What the encoder subtracted from x, if it did: the decoder's bias.

    Returns:
        Squared error, summed over the width, averaged over tokens and nested dictionaries; and for each nested
        dictionary the sum of the residuals (reconstruction - x) from it to the largest, (groups, tokens, width).
    """
    result = _Reconstruction.apply(encoder, encoder_bias, decoder, decoder_bias, x, codes, group, shift)  # type: ignore[no-untyped-call]
    return cast("tuple[Tensor, Tensor]", result)


def _decode_compiled(
    x: Tensor, codes: SparseCodes, decoder: Tensor, bias: Tensor, group: Tensor, n_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    from tracebank_models.sparse_autoencoder import cpu_kernels

    residual = torch.empty(n_groups, *x.shape)
    value_gradient = torch.empty_like(codes.values)
    squares = torch.empty(len(x), n_groups, dtype=torch.float64)
    sparse = tuple(_array(part) for part in codes[:3])
    weights = _array(decoder), _array(bias), _array(group), _array(x)
    results = residual.numpy(), value_gradient.numpy(), squares.numpy()
    _over_range(cpu_kernels.decode, len(x), sparse, *weights, *results)
    return residual, value_gradient, squares


def _decode_dense(
    x: Tensor, codes: SparseCodes, decoder: Tensor, bias: Tensor, group: Tensor, n_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    dense, parts = codes.dense(), _parts(group, n_groups)
    errors = torch.stack([dense[:, part] @ decoder[part] for part in parts]).cumsum(0) + (bias - x)
    residual = errors.flip(0).cumsum(0).flip(0)
    gradient = torch.cat([residual[g] @ decoder[part].T for g, part in enumerate(parts)], dim=1)
    value_gradient = gradient[codes.rows(), codes.columns.long()]
    return residual, value_gradient * (codes.values > 0), errors.square().sum(-1).T


def _parts(group: Tensor, n_groups: int) -> list[slice]:
    """Features of each group; they ascend."""
    edges = [0, *torch.bincount(group, minlength=n_groups).cumsum(0).tolist()]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _decode_sparse(
    x: Tensor, codes: SparseCodes, decoder: Tensor, bias: Tensor, group: Tensor, n_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    columns, rows = codes.columns.long(), codes.rows()
    of = group[columns]
    parts = [_product(codes, decoder, codes.values * (of == g)) for g in range(n_groups)]
    errors = torch.stack(parts).cumsum(0) + (bias - x)
    residual = errors.flip(0).cumsum(0).flip(0)
    step = max(1, _GATHERED // x.shape[1])
    dots = [
        torch.linalg.vecdot(residual[of[i : i + step], rows[i : i + step]], decoder[columns[i : i + step]])
        for i in range(0, len(columns), step)
    ]
    value_gradient = torch.cat(dots) if dots else codes.values.clone()
    return residual, value_gradient * (codes.values > 0), errors.square().sum(-1).T


def _product(codes: SparseCodes, dense: Tensor, values: Tensor) -> Tensor:
    shape = (len(codes.offsets) - 1, codes.n_features)
    places = torch.stack([codes.rows(), codes.columns.long()])
    sparse = torch.sparse_coo_tensor(places, values, shape, is_coalesced=True, check_invariants=False)
    product: Tensor = torch.sparse.mm(sparse, dense)
    return product


def _weight_gradients_compiled(
    x: Tensor,
    codes: SparseCodes,
    value_gradient: Tensor,
    residual: Tensor,
    group: Tensor,
    shift: Tensor,
    scale: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    from tracebank_models.sparse_autoencoder import cpu_kernels

    count, n_features = len(codes.values), codes.n_features
    rows, places = np.empty(count, np.int32), np.empty(count, np.int64)
    by_feature = rows, places, np.zeros(n_features + 1, np.int64)
    cpu_kernels.transpose(_array(codes.offsets), _array(codes.columns), *by_feature)
    to_encoder, to_decoder = torch.empty(n_features, x.shape[1]), torch.empty(n_features, x.shape[1])
    to_bias = torch.empty(n_features)
    arguments = (
        (_array(codes.values), _array(value_gradient)),
        _array(group),
        _array(x),
        _array(residual),
        _array(shift),
    )
    results = to_encoder.numpy(), to_decoder.numpy(), to_bias.numpy()
    factor = np.float32(scale.item())
    _over_range(cpu_kernels.weight_gradients, n_features, by_feature, *arguments, factor, results)
    return to_encoder, to_bias, to_decoder


def _weight_gradients_dense(
    x: Tensor,
    codes: SparseCodes,
    value_gradient: Tensor,
    residual: Tensor,
    group: Tensor,
    shift: Tensor,
    scale: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    gradient = codes._replace(values=value_gradient * scale).dense()
    dense, parts = codes.dense() * scale, _parts(group, len(residual))
    to_bias = gradient.sum(0)
    to_decoder = torch.cat([dense[:, part].T @ residual[g] for g, part in enumerate(parts)])
    return gradient.T @ x - to_bias[:, None] * shift, to_bias, to_decoder


def _weight_gradients_sparse(
    x: Tensor,
    codes: SparseCodes,
    value_gradient: Tensor,
    residual: Tensor,
    group: Tensor,
    shift: Tensor,
    scale: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    columns = codes.columns.long()
    order = columns.argsort(stable=True)
    counts = torch.bincount(columns, minlength=codes.n_features)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    by_feature = SparseCodes(offsets, codes.rows()[order], codes.values[order], len(x))
    gradient = value_gradient[order] * scale
    to_bias = x.new_zeros(codes.n_features).index_add_(0, columns[order], gradient)
    to_encoder = _product(by_feature, x, gradient) - to_bias[:, None] * shift
    of, weighted = group[columns[order]], by_feature.values * scale
    products = [_product(by_feature, part, weighted * (of == g)) for g, part in enumerate(residual)]
    return to_encoder, to_bias, torch.stack(products).sum(0)


_DECODE: Final = {"compiled": _decode_compiled, "dense": _decode_dense, "sparse": _decode_sparse}
_WEIGHT_GRADIENTS: Final = {
    "compiled": _weight_gradients_compiled,
    "dense": _weight_gradients_dense,
    "sparse": _weight_gradients_sparse,
}
