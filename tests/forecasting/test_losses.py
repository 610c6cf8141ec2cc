"""Losses: their values, what unknown targets leave, and what a quantile's loss is smallest at."""

from __future__ import annotations

import torch

from tracebank_models.forecasting.losses import forecast_loss

UNIT = torch.ones(2, 1)


def test_unknown_targets_count_nothing_and_give_no_gradient() -> None:
    said = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]], requires_grad=True)
    wanted = torch.tensor([[0.0, torch.nan], [torch.nan, 6.0]])
    loss = forecast_loss(said, wanted, (), UNIT)
    assert loss == (1 + 4) / 2
    loss.backward()
    assert said.grad is not None
    assert said.grad.flatten().tolist() == [1, 0, 0, -2]
    assert forecast_loss(said, torch.full((2, 2), torch.nan), (), UNIT) == 0


def test_pinball_is_smallest_at_the_quantile() -> None:
    wanted = torch.arange(101.0)[:, None]
    for quantile, smallest in ((0.1, 10), (0.9, 90)):
        losses = [forecast_loss(torch.full((101, 1, 1), at), wanted, (quantile,), UNIT[:1]) for at in range(101)]
        assert torch.stack(losses).argmin() == smallest


def test_horizons_weigh_alike_in_units_of_their_own() -> None:
    said, wanted = torch.zeros(1, 2, 1), torch.tensor([[1.0, 10.0]])
    assert forecast_loss(said, wanted, (), torch.tensor([[1.0], [10.0]])) == 1
