"""HFformer says and learns what torch's own layers with spikes tick by tick do, faster."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from tracebank_benchmarks.forecasting.paper_form import PaperForm, all_windows
from tracebank_models.forecasting.cpu_functions import attended, dropped
from tracebank_models.forecasting.hfformer import HFformer
from tracebank_models.forecasting.shape import Shape
from tracebank_models.forecasting.spiking import PAPER_STEP, STEP
from tracebank_models.order_book_features.windows import Windows


@pytest.mark.parametrize("step", [PAPER_STEP, STEP])
def test_forecasts_and_gradients_are_the_paper_forms(step: float) -> None:
    torch.manual_seed(0)
    ours, theirs = HFformer(Shape(38, 100, 4), dropout=0.0, step=step), PaperForm(horizons=4, dropout=0.0, step=step)
    theirs.take(ours)
    features = np.random.default_rng(1).normal(size=(160, 38)).astype(np.float32).cumsum(0)
    lazy = Windows(torch.from_numpy(features), 100).batch(torch.arange(99, 160))
    said, other = ours(lazy), theirs(torch.from_numpy(all_windows(features, 100)).float())
    # Where rates add up to a whole number all but exactly, rounding may move a spike by a tick: seldom, and by little.
    apart = (said - other).abs().amax((1, 2))
    same = apart <= 1e-5
    assert same.float().mean() >= (0.95 if step == STEP else 1)
    assert apart.max() < 0.1
    said[same].square().sum().backward()
    other[same].square().sum().backward()
    slopes = "layers.0.spiking.weight", "encoder.layers.0.activation.rate.weight"
    for one, two in (("embedding.weight", "embedding.weight"), slopes):
        mine, known = ours.get_parameter(one).grad, theirs.get_parameter(two).grad
        assert mine is not None
        assert known is not None
        assert torch.allclose(mine, known, rtol=1e-3, atol=1e-4 * float(known.abs().max()))


def test_the_attention_kernel_is_attention_backward_too() -> None:
    packed = torch.randn(2, 33, 3, 3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    query, key, value = packed.permute(2, 0, 3, 1, 4)
    known = functional.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
    made, came = attended(packed, 0.0), torch.randn(2, 33, 3, 5, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(made, known, atol=1e-6)
    gradients = [torch.autograd.grad(out, packed, came, retain_graph=True)[0] for out in (made, known)]
    assert torch.allclose(*gradients, atol=1e-5)


def test_large_scores_do_not_overflow() -> None:
    packed = 100 * torch.randn(1, 20, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    known = functional.scaled_dot_product_attention(*packed.permute(2, 0, 3, 1, 4), is_causal=True).transpose(1, 2)
    assert torch.allclose(attended(packed, 0.0), known, rtol=1e-3, atol=1e-3)


def test_dropped_weights_have_the_gradient_of_what_was_said() -> None:
    generator = torch.Generator().manual_seed(2)
    packed, way = torch.randn(2, 1, 12, 3, 2, 4, generator=generator)
    came = torch.randn(1, 12, 2, 4, generator=generator)

    def said(at: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(7)  # the same weights are dropped
        return (attended(at, 0.4) * came).sum()

    packed.requires_grad_()
    slope = float((torch.autograd.grad(said(packed), packed)[0] * way).sum())
    with torch.no_grad():
        measured = float(said(packed + 1e-2 * way) - said(packed - 1e-2 * way)) / 2e-2
    assert abs(slope - measured) < 2e-3 * abs(slope)


def test_a_share_is_dropped_and_the_rest_weighs_more() -> None:
    torch.manual_seed(0)
    values = torch.ones(40, 50, 60).requires_grad_()
    left = dropped(values, 0.3)
    assert abs(float((left == 0).float().mean()) - 0.3) < 0.005
    assert torch.allclose(left[left != 0], torch.tensor(1 / 0.7))
    left.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, left)
    assert not torch.equal(dropped(values, 0.3), left)
