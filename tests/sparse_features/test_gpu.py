"""Assets that compute with models ask for a GPU where an executor can give one."""

import pytest

from tracebank_assets import studies
from tracebank_assets.language_models.assets import ASSETS as LANGUAGE_MODEL_ASSETS
from tracebank_assets.sparse_features.assets import ASSETS as SPARSE_FEATURE_ASSETS


@pytest.mark.parametrize(
    "asset", [*LANGUAGE_MODEL_ASSETS, *SPARSE_FEATURE_ASSETS], ids=lambda asset: asset.key.path[-1]
)
def test_every_asset_is_in_the_pool_and_asks_kubernetes_and_ray(asset):
    assert asset.op.pools == {studies.GPU_POOL}
    assert {name for name in asset.op.tags if name.startswith("dagster-")} == {
        "dagster-k8s/config",
        "dagster-ray/config",
    }


@pytest.mark.parametrize(("device", "asks"), [("auto", True), ("cuda:1", True), ("cpu", False), ("mps", False)])
def test_the_device_says_whether_a_gpu_is_wanted(monkeypatch, device, asks):
    monkeypatch.setenv("TRACEBANK_DEVICE", device)
    assert bool(studies._gpu_tags()) is asks
