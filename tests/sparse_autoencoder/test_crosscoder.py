"""A crosscoder over two planted models: shared features and those of one model alone are told apart."""

from __future__ import annotations

import polars as pl
import pytest
import torch
from torch import Tensor

from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.crosscoder import LatentScaling, relative_decoder_norms, scale_latents
from tracebank_models.sparse_autoencoder.matching import match_features
from tracebank_models.sparse_autoencoder.planted import PlantedFeatures
from tracebank_models.sparse_autoencoder.training import ActivationBatch, StreamTraining

PLANTED = PlantedFeatures(d_in=24, n_features=30, active=2)
SHARED, TUNED_ONLY = 20, 5


def _pair(strengths: Tensor) -> tuple[Tensor, Tensor]:
    """The first 20 features are in both models, the next 5 in the tuned one alone, the last 5 in the base."""
    rows = PLANTED.directions()
    base, tuned = strengths.clone(), strengths.clone()
    base[:, SHARED : SHARED + TUNED_ONLY] = 0
    tuned[:, SHARED + TUNED_ONLY :] = 0
    return base @ rows, tuned @ rows


@pytest.fixture(scope="module")
def crosscoder() -> Dictionary:
    config = DictionaryConfig(
        name="cross",
        architecture="crosscoder",
        d_in=24,
        d_sae=40,
        k=2,
        sites=("base", "tuned"),
        learning_rate=5e-3,
        dead_after_tokens=20_000,
    )
    training = StreamTraining([config], "cpu")
    pairs = (_pair(strengths) for _, strengths in PLANTED.batches(512, 600))
    for _ in training.train(ActivationBatch({"base": base, "tuned": tuned}) for base, tuned in pairs):
        pass
    return training.dictionaries["cross"].eval()


def _with_truth(crosscoder: Dictionary, frame: pl.DataFrame) -> pl.DataFrame:
    truth = PLANTED.directions().repeat(1, 2)
    truth[SHARED : SHARED + TUNED_ONLY, :24] = 0
    truth[SHARED + TUNED_ONLY :, 24:] = 0
    matched = match_features(crosscoder.decoder_rows(), truth)
    assert float(matched["cosine"].to_numpy().mean()) > 0.9
    return frame.join(matched, on="feature").filter(pl.col("cosine") > 0.9).sort("matched_feature")


def test_decoder_norms_tell_whose_a_feature_is(crosscoder: Dictionary) -> None:
    frame = _with_truth(crosscoder, relative_decoder_norms(crosscoder))
    of = pl.col("matched_feature")
    shared = frame.filter(of < SHARED)
    tuned = frame.filter(of.is_between(SHARED, SHARED + TUNED_ONLY - 1))
    base = frame.filter(of >= SHARED + TUNED_ONLY)
    assert min(shared.height, tuned.height, base.height) > 0
    assert shared["relative_norm_difference"].is_between(0.4, 0.6).all()
    assert (tuned["relative_norm_difference"] > 0.9).all()
    assert (base["relative_norm_difference"] < 0.1).all()
    assert (shared["decoder_cosine"] > 0.9).all()


def test_latent_scaling_finds_the_shared_features_in_both_models(crosscoder: Dictionary) -> None:
    batches = (torch.cat(_pair(strengths), dim=1) for _, strengths in PLANTED.batches(512, 4))
    frame = _with_truth(crosscoder, scale_latents(crosscoder, batches))
    shared = frame.filter(pl.col("matched_feature") < SHARED)
    tuned = frame.filter(pl.col("matched_feature").is_between(SHARED, SHARED + TUNED_ONLY - 1))
    for nu in ("nu_reconstruction", "nu_error"):
        assert shared[nu].median() == pytest.approx(1, abs=0.15)
        assert float(tuned[nu].abs().to_numpy().max()) < 0.25


def test_latent_scaling_is_least_squares(crosscoder: Dictionary) -> None:
    x = torch.cat(_pair(next(PLANTED.batches(300, 1))[1]), dim=1)
    frame = scale_latents(crosscoder, (x[start : start + 70] for start in range(0, 300, 70)))
    with torch.no_grad():
        codes, output = crosscoder.encode(x), crosscoder(x)
    rows = crosscoder.decoder_rows().detach()
    for feature in (0, 11, 29):
        part = codes[:, feature, None] * rows[feature]
        column = part[:, 24:].reshape(-1, 1).double()
        targets = {
            "beta_base_reconstruction": output[:, :24],
            "beta_tuned_reconstruction": output[:, 24:],
            "beta_base_error": (x - output + part)[:, :24],
            "beta_tuned_error": (x - output + part)[:, 24:],
        }
        for name, target in targets.items():
            wanted = torch.linalg.lstsq(column, target.reshape(-1, 1).double()).solution.item()
            assert frame[name][feature] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_a_plain_dictionary_is_refused() -> None:
    dictionary = build(DictionaryConfig(name="one", architecture="topk", d_in=4, d_sae=8, k=2))
    with pytest.raises(ValueError, match=r"sites = \('activations',\): base and tuned are compared by a crosscoder"):
        relative_decoder_norms(dictionary)
    with pytest.raises(ValueError, match="crosscoder of two sites"):
        LatentScaling(dictionary)
