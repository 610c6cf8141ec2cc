"""Which dictionaries are compared, what chance gives, and that learning is told from a null with nothing to learn."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest
import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.comparisons import Trained, comparisons, similarities, trained_as
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.matching import chance, mmcs
from tracebank_models.sparse_autoencoder.plan import DictionaryPlan, study_dictionaries
from tracebank_models.sparse_autoencoder.planted import PlantedFeatures
from tracebank_models.sparse_autoencoder.training import ActivationBatch, StreamTraining

WIDTH, SITE = 32, "layers.0.mlp"
PLANTED = PlantedFeatures(d_in=WIDTH, n_features=WIDTH, active=2.0, noise=0.01)
PLAN = DictionaryPlan(
    sizes=("small",),
    larger_sizes=(),
    extra_architectures=(),
    l1=0.04,
    learning_rate=1e-2,
    sparsity_warm_up_steps=200,
)
STEPS, TOKENS = 700, 512


def test_dictionaries_are_compared_where_they_differ_in_one_thing() -> None:
    trained = {
        "a": Trained("base", "x", "small", "relu", 0),
        "b": Trained("tuned", "x", "small", "relu", 0),
        "B": Trained("tuned", "x", "big", "relu", 0),
        "8": Trained("tuned", "x", "8x", "relu", 0),
        "b1": Trained("tuned", "x", "small", "relu", 1),
        "b2": Trained("tuned", "x", "small", "relu", 2),
        "t": Trained("tuned", "x", "big", "topk", 0),
        "c": Trained("both", "x", "big", "crosscoder", 0),
        "y": Trained("base", "y", "small", "relu", 0),
        "AB": Trained("both", "x", "small", "relu", 0),
    }
    assert {(pair.kind, pair.first, pair.second) for pair in comparisons(trained)} == {
        ("tuning", "a", "b"),
        ("size", "b", "B"),
        ("size", "B", "8"),
        ("seed", "b", "b1"),
        ("seed", "b", "b2"),
        ("seed", "b1", "b2"),
    }


def test_a_configuration_tells_what_it_stands_for() -> None:
    configs = study_dictionaries({SITE: 8}, SITE, DictionaryPlan(k=2), seed=7)
    found = [trained_as(config) for config in configs]
    assert len(set(found)) == len(configs)
    assert Trained("base", SITE, "8x", "tied_relu", 1) in found
    assert Trained("both", SITE, "big", "crosscoder", 0) in found


@pytest.mark.parametrize("features", [(64, 64), (64, 128)])
def test_chance_is_what_fresh_dictionaries_have(features: tuple[int, int]) -> None:
    """And, where few directions carry the variance, what random directions of the data have, which is far more."""
    alike = (torch.eye(64), torch.eye(64))
    fresh = [
        build(DictionaryConfig(name="one", architecture="tied_relu", d_in=64, d_sae=size, seed=seed)).encoder_rows()
        for seed, size in enumerate(features)
    ]
    expected = chance(features, alike)
    assert mmcs(*fresh) == pytest.approx(expected, abs=0.02)
    narrow = torch.diag(0.7 ** torch.arange(64.0))
    generator = torch.Generator().manual_seed(8)
    drawn = [torch.randn(size, 64, generator=generator) * narrow.diag().sqrt() for size in features]
    shaped = chance(features, (narrow, narrow))
    assert mmcs(*drawn) == pytest.approx(shaped, abs=0.02)
    assert shaped > expected + 0.2


def test_features_that_are_there_are_found_from_any_start_and_beyond_chance() -> None:
    found, batches = _trained([x for x, _ in PLANTED.batches(TOKENS, STEPS)])
    covariance = torch.cov(torch.cat(batches[:20]).T, correction=0)
    for one in found.values():
        assert mmcs(PLANTED.directions(), one.decoder_rows()) > 0.9
    (row,) = _seeds(found, covariance).iter_rows(named=True)
    assert row["mmcs"] > 0.9
    assert row["difference"] > 0.4


def test_normal_noise_of_the_same_covariance_gives_no_agreement_beyond_chance() -> None:
    covariance = torch.cov(next(PLANTED.batches(8_192, 1))[0].T, correction=0)
    root = torch.linalg.cholesky(covariance)
    generator = torch.Generator().manual_seed(1)
    found, _ = _trained([torch.randn(TOKENS, WIDTH, generator=generator) @ root.T for _ in range(STEPS)])
    (row,) = _seeds(found, covariance).iter_rows(named=True)
    assert row["difference"] < 0.2


def test_features_that_never_fire_are_not_compared() -> None:
    configs = study_dictionaries({SITE: WIDTH}, SITE, PLAN)
    first, second = (build(config) for config in configs if config.sites == (f"base/{SITE}",))
    second.encoder.data[:4] = first.encoder.data[:4]
    found = {one.config.name: one for one in (first, second)}
    pairs = comparisons({name: trained_as(one.config) for name, one in found.items()})
    covariances = {f"base/{SITE}": torch.eye(WIDTH)}
    for living, wanted in ((4, 1), (WIDTH, 4 / WIDTH)):
        alive = {first.config.name: torch.arange(living), second.config.name: torch.arange(living)}
        row = similarities(pairs, found, alive, covariances).row(0, named=True)
        assert (row["features"], row["other_features"]) == (living, living)
        assert row["chance"] == pytest.approx(chance((living, living), (torch.eye(WIDTH),) * 2))
        assert row["mmcs"] >= wanted - 1e-6
        assert row["difference"] == row["mmcs"] - row["chance"]
    assert row["mmcs"] < 0.6
    none = alive | {first.config.name: torch.arange(0)}
    assert similarities(pairs, found, none, covariances).is_empty()


def _trained(batches: Sequence[Tensor]) -> tuple[dict[str, Dictionary], Sequence[Tensor]]:
    """Both initialisations of the base's dictionary."""
    configs = study_dictionaries({SITE: WIDTH}, SITE, PLAN)
    training = StreamTraining([config for config in configs if config.sites == (f"base/{SITE}",)], "cpu")
    for _ in training.train(ActivationBatch({f"base/{SITE}": x}) for x in batches):
        pass
    assert len(training.dictionaries) == PLAN.initialisations
    return training.dictionaries, batches


def _seeds(found: dict[str, Dictionary], covariance: Tensor) -> pl.DataFrame:
    pairs = comparisons({name: trained_as(one.config) for name, one in found.items()})
    alive = {name: torch.arange(one.config.d_sae) for name, one in found.items()}
    rows = similarities(pairs, found, alive, {f"base/{SITE}": covariance})
    assert rows["comparison"].to_list() == ["seed"]
    return rows
