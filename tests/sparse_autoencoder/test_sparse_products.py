"""Sparse selection and gradients, compiled and by torch, against a dense pass in double precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder import sparse_products
from tracebank_models.sparse_autoencoder.sparse_products import (
    SparseCodes,
    encode_batch_top_k,
    encode_top_k,
    reconstruction_loss,
)

WAY_OF = sparse_products.way_of


@pytest.fixture
def chosen() -> Callable[[Tensor, int, float], str]:
    """What chooses, before it is put out of the way."""
    return WAY_OF


@pytest.fixture(params=["compiled", "dense", "sparse"], autouse=True)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    # Several blocks of rows in a batch of test size.
    monkeypatch.setattr(sparse_products, "_ROWS", 256)
    monkeypatch.setattr(sparse_products, "way_of", lambda *_: request.param)
    return str(request.param)


def _parameters(n_features: int, width: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n_features, width), (n_features,), (n_features, width), (width,))
    return [(torch.randn(shape, generator=generator) * 0.3).requires_grad_() for shape in shapes]


def _input(tokens: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed))


def _dense_gradients(parameters: list[Tensor], x: Tensor, mask: Tensor, group: Tensor) -> tuple[float, list[Tensor]]:
    """The same loss by autograd on dense matrices, all but the selected features masked, in double precision."""
    encoder, bias, decoder, shift = doubles = [p.detach().double().requires_grad_() for p in parameters]
    x = x.double()
    codes = ((x - shift) @ encoder.T + bias).relu() * mask
    losses = [
        ((codes * (group <= g)) @ decoder + shift - x).square().sum(1).mean() for g in range(int(group.max()) + 1)
    ]
    loss = torch.stack(losses).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), [p.grad for p in doubles if p.grad is not None]


def _check_gradients(parameters: list[Tensor], x: Tensor, codes: SparseCodes, group: Tensor) -> None:
    shift = parameters[3].detach()
    encoder, bias, decoder, decoder_bias = parameters
    loss, residual = reconstruction_loss(encoder, bias, decoder, decoder_bias, x, codes, group, shift)
    (loss * 1.5).backward()  # type: ignore[no-untyped-call]
    wanted, gradients = _dense_gradients(parameters, x, codes.dense() > 0, group)
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert parameter.grad is not None
        error = (parameter.grad / 1.5 - gradient).abs().max() / gradient.abs().max()
        assert float(error) < 1e-5
    output = codes.dense() @ parameters[2] + parameters[3]
    torch.testing.assert_close(residual[-1], (output - x).detach(), rtol=1e-4, atol=1e-5)


def _bias(parameters: list[Tensor]) -> Tensor:
    encoder, bias, _, shift = (p.detach() for p in parameters)
    return bias - encoder @ shift


@pytest.mark.parametrize(("tokens", "width", "n_features", "k"), [(600, 24, 200, 5), (3, 7, 11, 11), (40, 16, 333, 1)])
def test_top_k_equals_torch_and_its_gradients_equal_the_dense_ones(
    tokens: int, width: int, n_features: int, k: int
) -> None:
    parameters, x = _parameters(n_features, width), _input(tokens, width)
    codes = encode_top_k(x, parameters[0].detach(), _bias(parameters), k)
    dense = torch.addmm(_bias(parameters), x, parameters[0].detach().T)
    values, columns = dense.topk(k)
    wanted = torch.zeros_like(dense).scatter(1, columns, values.relu())
    torch.testing.assert_close(codes.dense(), wanted)
    assert (codes.fired() == (wanted > 0).sum(0)).all()
    _check_gradients(parameters, x, codes, torch.zeros(n_features, dtype=torch.int32))


def test_nested_dictionaries_have_the_gradients_of_their_mean_loss() -> None:
    parameters, x = _parameters(96, 20), _input(150, 20)
    group = torch.searchsorted(torch.tensor([8, 32, 96]), torch.arange(96), right=True).int()
    codes, _ = encode_batch_top_k(x, parameters[0].detach(), _bias(parameters), 150 * 6, torch.ones(96))
    _check_gradients(parameters, x, codes, group)


@pytest.mark.parametrize("hint", [0.0, 0.5, 1e9])
def test_batch_top_k_keeps_the_largest_of_the_batch_whatever_the_hint(hint: float) -> None:
    parameters, x = _parameters(64, 12), _input(1100, 12)
    weight = torch.linspace(0.5, 2, 64)
    codes, least = encode_batch_top_k(x, parameters[0].detach(), _bias(parameters), 1100 * 4, weight, hint)
    dense = torch.addmm(_bias(parameters), x, parameters[0].detach().T).relu()
    bound = (dense * weight).flatten().topk(1100 * 4).values.min()
    assert least == pytest.approx(float(bound), rel=1e-5)
    assert len(codes.values) == 1100 * 4
    torch.testing.assert_close(codes.dense(), dense * (dense * weight >= bound))


def test_batch_top_k_keeps_what_is_positive_if_that_is_less() -> None:
    x = torch.eye(4)
    codes, least = encode_batch_top_k(x, torch.eye(4), torch.zeros(4), 12, torch.ones(4))
    assert torch.equal(codes.dense(), torch.eye(4))
    assert least == 1
    codes, least = encode_batch_top_k(-x, torch.eye(4), torch.zeros(4), 12, torch.ones(4))
    assert torch.equal(codes.dense(), torch.zeros(4, 4))
    assert least == 0


def test_the_way_follows_from_device_size_and_sparsity(
    chosen: Callable[[Tensor, int, float], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = _input(8, 4)
    assert chosen(x, 64, 16) == chosen(x, 4096, 32) == "compiled"
    monkeypatch.setattr(sparse_products, "_has_numba", lambda: False)
    assert chosen(x, 512, 16) == "dense"
    assert chosen(x, 4096, 32) == "sparse"
    assert chosen(_On("mps"), 4096, 32) == "dense"  # type: ignore[arg-type]
    assert chosen(_On("cuda"), 4096, 32) == "sparse"  # type: ignore[arg-type]


class _On:
    """All that is asked of a tensor."""

    dtype = torch.float32

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)


def test_a_row_of_ties_infinities_or_nothing_makes_k_columns_that_are_there(implementation: str) -> None:
    if implementation != "compiled":
        pytest.skip("torch's own selection is not ours to test")
    inf, nan = float("inf"), float("nan")
    rows = [
        [1.0, 2, 2, 2, 0, 2],
        [-3.0, -1, -1, -2, -5, -4],
        [inf, 1, inf, 0, inf, 2],
        [-inf, 1, 2, 3, -inf, 0],
        [nan] * 6,
    ]
    codes = encode_top_k(torch.tensor(rows), torch.eye(6), torch.zeros(6), 3)
    assert codes.columns.min() >= 0
    assert codes.columns.max() < 6
    assert codes.values.view(5, 3)[0].tolist() == [2, 2, 2]
    assert codes.values.view(5, 3)[1].tolist() == [0, 0, 0]


def test_equal_activations_still_make_exactly_k() -> None:
    codes = encode_top_k(torch.ones(5, 3), torch.ones(64, 3), torch.zeros(64), 3)
    assert (codes.dense() > 0).sum(1).tolist() == [3] * 5


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    found: list[list[Tensor | None]] = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            parameters, x = _parameters(128, 16), _input(700, 16)
            codes = SparseCodes(torch.arange(0, 701 * 2, 2), torch.arange(1400).int() % 128, torch.ones(1400), 128)
            group = torch.zeros(128, dtype=torch.int32)
            encoder, bias, decoder, shift = parameters
            loss, _ = reconstruction_loss(encoder, bias, decoder, shift, x, codes, group, None)
            loss.backward()  # type: ignore[no-untyped-call]
            found.append([parameter.grad for parameter in parameters])
    finally:
        torch.set_num_threads(threads)
    for one, two in zip(*found, strict=True):
        assert one is not None
        assert two is not None
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
