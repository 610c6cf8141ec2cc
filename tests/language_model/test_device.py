"""fp64 where a device has none: what is measured in it is measured on the CPU there."""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tracebank_models.device import as_double


def test_fp64_is_taken_on_the_device_or_else_on_the_cpu() -> None:
    with FakeTensorMode():
        found = {device: as_double(torch.empty(2, device=device)) for device in ("cpu", "cuda", "mps")}
    assert {device: tensor.device.type for device, tensor in found.items()} == {
        "cpu": "cpu", "cuda": "cuda", "mps": "cpu",
    }  # fmt: skip
    assert {tensor.dtype for tensor in found.values()} == {torch.float64}
