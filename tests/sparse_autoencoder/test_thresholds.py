"""Thresholds learned from batches give k features a token at inference, whenever a training ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary
from tracebank_models.sparse_autoencoder.checkpoint import (
    WEIGHTS,
    load_checkpoint,
    load_dictionary,
    save_checkpoint,
    save_dictionary,
)
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.planted import PlantedFeatures
from tracebank_models.sparse_autoencoder.training import ActivationBatch, CurvePoint, StreamTraining

PLANTED = PlantedFeatures(d_in=24, n_features=40, active=4, noise=0.05)
K, LAST = 5, 260
LEARNED = ("batchtopk", "matryoshka", "crosscoder")


def _config(architecture: str) -> DictionaryConfig:
    return DictionaryConfig(
        name=architecture,
        architecture=architecture,
        d_in=24,
        d_sae=48,
        k=K,
        sites=("base", "tuned") if architecture == "crosscoder" else ("base",),
        normalize_activations=True,
    )


def _batches(first: int, last: int) -> Iterator[ActivationBatch]:
    for at, (x, _) in enumerate(PLANTED.batches(384, last)):
        if at >= first:
            yield ActivationBatch({"base": x, "tuned": x + 0.2 * x.roll(1, dims=1)})


def _train(training: StreamTraining, last: int) -> list[CurvePoint]:
    return [point for found in training.train(_batches(training.batches, last), log_every=20) for point in found]


def _fresh_l0(dictionary: Dictionary) -> float:
    rows: Tensor = torch.cat([batch.rows(dictionary.config.sites) for batch in _batches(LAST, LAST + 6)])
    return float((dictionary.encode(rows) > 0).sum(1).double().mean())


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Dictionary]]:
    """Dictionaries after few steps (the learning rate has hardly warmed up), and after many with a stop on the way."""
    folder = tmp_path_factory.mktemp("training") / "checkpoint"
    training = StreamTraining([_config(name) for name in LEARNED], "cpu")
    points = _train(training, 80)
    for point in points[-len(LEARNED) :]:
        assert point.l0 == pytest.approx(K, rel=0.1), point
    save_checkpoint(training, folder)
    few = {name: load_dictionary(folder / name) for name in LEARNED}
    again = load_checkpoint(folder, "cpu")
    _train(again, LAST)
    save_checkpoint(again, folder)
    return {80: few, LAST: {name: load_dictionary(folder / name) for name in LEARNED}}


@pytest.mark.parametrize("steps", [80, LAST])
@pytest.mark.parametrize("architecture", LEARNED)
def test_k_features_fire_on_fresh_activations(
    resumed: dict[int, dict[str, Dictionary]], architecture: str, steps: int
) -> None:
    assert _fresh_l0(resumed[steps][architecture]) == pytest.approx(K, rel=0.1)


@pytest.mark.parametrize("architecture", LEARNED)
def test_weights_of_before_there_was_a_trend_are_read(architecture: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    config = _config(architecture)
    training = StreamTraining([config], "cpu")
    _train(training, 20)
    dictionary = training.dictionaries[architecture].eval()
    save_dictionary(dictionary, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    del tensors["trend"]
    save_file(tensors, tmp_path / WEIGHTS)
    x = torch.randn(50, config.width)
    assert torch.equal(load_dictionary(tmp_path).encode(x), dictionary.encode(x))
