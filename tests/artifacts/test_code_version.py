"""The version of an asset's code changes with what the asset computes, and with nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tracebank_assets.code_version import _definitions, _module, code_version
from tracebank_assets.definitions import defs
from tracebank_assets.language_models import assets as model_assets
from tracebank_assets.language_models import frontier as frontiers
from tracebank_assets.sparse_features import (
    ablations,
    capture,
    dictionaries,
    dynamics,
    explanations,
    features,
    probes,
)

SOURCE = '''"""A module."""
import math
from tracebank_models.market.instruments import instrument_units

FACTOR = 2
UNUSED = 3


def helper(x):
    """Twice."""
    return FACTOR * x  # here


def other(x):
    return UNUSED * x


def asset(x):
    from tracebank_assets.market import checks

    units = instrument_units("v", "s")
    return helper(math.floor(x)), units, checks.QUALITY_CHECKS
'''


def _version(folder: Path, source: str, files: list[Path] | None = None) -> str:
    path = folder / "written.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("written", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return code_version(module.asset, files or [])


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("# here", "# there", False),
        ('"""Twice."""', '"""Two times."""', False),
        ("FACTOR * x ", "FACTOR*x ", False),
        ("UNUSED = 3", "UNUSED = 4", False),
        ("return UNUSED * x", "return x", False),
        ("FACTOR = 2", "FACTOR = 3", True),
        ("FACTOR * x ", "FACTOR + x ", True),
        ("math.floor", "math.ceil", True),
        ("checks.QUALITY_CHECKS", "checks.TABLE_CHECKS", True),
        ('units = instrument_units("v", "s")', "units = None", True),
    ],
)
def test_what_changes_the_version(tmp_path: Path, old: str, new: str, changes: bool) -> None:
    assert old in SOURCE
    assert (_version(tmp_path, SOURCE) != _version(tmp_path, SOURCE.replace(old, new, 1))) is changes


def test_texts_that_are_read_are_part_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "sql"
    folder.mkdir()
    (folder / "a.sql").write_text("SELECT 1")
    before = _version(tmp_path, SOURCE, [folder])
    assert before == _version(tmp_path, SOURCE, [folder]) != _version(tmp_path, SOURCE)
    (folder / "a.sql").write_text("SELECT 2")
    assert _version(tmp_path, SOURCE, [folder]) != before


def test_rooms_that_compute_are_followed_and_the_platform_is_not() -> None:
    start = _module("tracebank_assets.market.assets")
    assert start is not None
    found = {name for name, _ in _definitions(start, "quality")}
    assert ("tracebank_assets.market.checks", "quality_measures") in found
    assert ("tracebank_schemas.quality", "QualityMeasure") in found
    loaded = {name for name, _ in _definitions(start, "market_tables")}
    assert any(module.startswith("tracebank_models.market.") for module, _ in loaded)
    assert ("tracebank_assets.market.checks", "quality_measures") not in loaded
    everything = {module.split(".")[0] for module, _ in found | loaded}
    assert everything <= {"tracebank_assets", "tracebank_models", "tracebank_schemas"}
    assert not {module for module, _ in found | loaded} & {
        "tracebank_assets.materialised",
        "tracebank_assets.artifacts",
    }


ROOMS_OF_STUDIES = [
    (model_assets.base, "language_model.base_training", "train_base_model"),
    (model_assets.base, "language_model.recipes", "RECIPES"),
    (model_assets.base, "language_model.pretraining", "_optimizer"),
    (model_assets.tuned, "language_model.tuning", "tune"),
    (model_assets.tuned, "language_model.policy_evaluation", "PolicyEvaluation"),
    (model_assets.layer_divergences, "language_model.layer_divergence", "weight_divergence"),
    (frontiers.frontier, "language_model.tuning", "frontier"),  # a name that the asset has too
    (capture.activations, "activations.shard_capture", "capture_shards"),
    (dictionaries.dictionaries, "features.dictionary_study", "study_of_dictionaries"),
    (dictionaries.dictionaries, "sparse_autoencoder.architectures.batchtopk", "ARCHITECTURE"),  # imported by its name
    (features.features, "features.one_pass", "FeaturePass"),
    (explanations.explanations, "features.executable_explanations", "ScoringPass"),
    (probes.probes, "reward_probe.study_probes", "probe_study"),
    (ablations.ablations, "reward_probe.reward_ablation", "ablate_reward_features"),
    (ablations.ablations, "sparse_autoencoder.architectures.tied_relu", "ARCHITECTURE"),
    (dynamics.dynamics, "reward_probe.tuning_dynamics", "follow_tuning"),
]


@pytest.mark.parametrize(("asset", "room", "name"), ROOMS_OF_STUDIES)
def test_an_asset_follows_what_it_calls_in_its_room(
    asset: Any, room: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = asset.op.compute_fn.decorated_fn
    before = code_version(function)
    assert before == asset.specs_by_key[asset.key].code_version
    for changed in ((room, name), ("reward_probe.study", "EFFORTS")):
        module = _module(f"tracebank_models.{changed[0]}")
        assert module is not None
        said, uses = module.definition(changed[1])
        with monkeypatch.context() as patch:
            patch.setitem(module._definitions, changed[1], (f"{said} Pass", uses))
            assert code_version(function) != before, changed


def test_every_asset_has_a_version_of_its_own() -> None:
    specs = [spec for spec in defs.resolve_all_asset_specs() if spec.key.path[0] != "market"]
    assert len({spec.code_version for spec in specs}) == len(specs) > 10


def test_readers_and_mappings_of_files_are_followed() -> None:
    start = _module("tracebank_assets.market.assets")
    assert start is not None
    for asset in ("raw_files", "market_tables"):
        found = {name for name, _ in _definitions(start, asset)}
        assert ("tracebank_models.market.lobster", "read") in found
        assert not any("synthetic" in module for module, _ in found)
