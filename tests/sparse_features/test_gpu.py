"""Assets that compute with models ask for a GPU where an executor can give one."""

import pytest

from tracebank_assets import studies
from tracebank_assets.groups import definitions_found

GROUPS = ("language_models", "sparse_features")
ALONE = ("edits", "graphs", "layers")
"""Assets of other groups that compute models."""
ASSETS = [
    one
    for one in definitions_found()["assets"]
    if next(iter(one.keys)).path[0] in GROUPS or next(iter(one.keys)).path[1] in ALONE
]


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.key.path[-1])
def test_every_asset_is_in_the_pool_and_asks_kubernetes_and_ray(asset):
    assert asset.op.pools == {studies.GPU_POOL}
    assert {name for name in asset.op.tags if name.startswith("dagster-")} == {
        "dagster-k8s/config",
        "dagster-ray/config",
    }


@pytest.mark.parametrize(("device", "asks"), [("auto", True), ("cuda:1", True), ("cpu", False), ("mps", False)])
def test_the_device_says_whether_a_gpu_is_wanted(monkeypatch, device, asks):
    monkeypatch.setenv("TRACEBANK_DEVICE", device)
    assert bool(studies._tags()) is asks
