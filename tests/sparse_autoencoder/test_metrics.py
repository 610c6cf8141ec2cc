"""Metrics against their definitions in NumPy, and matching against answers that are known."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
import torch

from tracebank_models.sparse_autoencoder.architectures import Dictionary, build
from tracebank_models.sparse_autoencoder.configuration import DictionaryConfig
from tracebank_models.sparse_autoencoder.matching import match_features, mmcs
from tracebank_models.sparse_autoencoder.metrics import METRIC_SCHEMA, LossRecovered, ReconstructionMetrics


def _dictionary() -> Dictionary:
    config = DictionaryConfig(name="one", architecture="topk", d_in=6, d_sae=20, k=3, seed=7)
    return build(config).eval()


def _values(rows: pl.DataFrame) -> dict[str, float]:
    return dict(rows.select("metric", "value").iter_rows())


def test_metrics_are_what_they_are_defined_to_be_however_the_corpus_is_cut() -> None:
    dictionary, x = _dictionary(), torch.randn(5000, 6) + torch.arange(6) * 100
    found = []
    for size in (5000, 77):
        metrics = ReconstructionMetrics(dictionary)
        for start in range(0, 5000, size):
            metrics.update(x[start : start + size])
        rows = metrics.rows()
        assert rows.schema == pl.Schema(METRIC_SCHEMA)
        assert rows["seed"].unique().to_list() == [7]
        assert rows["tokens"].unique().to_list() == [5000]
        found.append(_values(rows))
    codes = dictionary.encode(x).detach().numpy().astype(np.float64)
    output, real = dictionary(x).detach().double().numpy(), x.double().numpy()
    fvu = ((real - output) ** 2).sum() / ((real - real.mean(0)) ** 2).sum()
    wanted = {
        "fvu": fvu,
        "explained_variance": 1 - fvu,
        "mse": ((real - output) ** 2).mean(),
        "l0": (codes > 0).sum(1).mean(),
        "l1": codes.sum(1).mean(),
        "dead_share": ((codes > 0).sum(0) == 0).mean(),
        "density_above_1_percent": ((codes > 0).mean(0) > 0.01).mean(),
        "density_above_10_percent": ((codes > 0).mean(0) > 0.1).mean(),
        "relative_reconstruction_bias": (output**2).sum() / (real * output).sum(),
    }
    for values in found:
        assert {name: values[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    density = metrics.density()
    np.testing.assert_allclose(density["density"], (codes > 0).mean(0))
    np.testing.assert_allclose(density["max_activation"], codes.max(0), rtol=1e-6)
    assert density["log10_density"].null_count() == int(((codes > 0).sum(0) == 0).sum())


def test_a_perfect_and_a_shrunk_reconstruction() -> None:
    config = DictionaryConfig(name="one", architecture="relu", d_in=4, d_sae=8)
    dictionary = build(config)
    with torch.no_grad():
        dictionary.encoder.copy_(torch.cat([torch.eye(4), -torch.eye(4)]))
        dictionary.decoder.copy_(dictionary.encoder)
    for factor in (1.0, 0.5):
        with torch.no_grad():
            dictionary.decoder.copy_(dictionary.encoder * factor)
        metrics = ReconstructionMetrics(dictionary)
        metrics.update(torch.randn(300, 4))
        values = _values(metrics.rows())
        assert values["relative_reconstruction_bias"] == pytest.approx(factor)
        assert values["cosine"] == pytest.approx(1)
        if factor == 1:
            assert values["fvu"] == pytest.approx(0, abs=1e-12)


def test_dictionaries_are_compared_at_an_l0_that_none_exceeds() -> None:
    dictionary, x = _dictionary(), torch.randn(200, 6)
    with torch.no_grad():
        dictionary.decoder.mul_(torch.linspace(0.1, 3, 20)[:, None])
    found = {}
    for most in (None, 3, 1):
        metrics = ReconstructionMetrics(dictionary, most)
        metrics.update(x)
        found[most] = _values(metrics.rows())
    assert found[3] == pytest.approx(found[None])
    codes = dictionary.encode(x)
    written = codes * dictionary.decoder_rows().norm(dim=1)
    alone = codes * (written == written.amax(1, keepdim=True)) * (codes > 0)
    error = (dictionary.decode(alone) - x).square().sum() / (x - x.mean(0)).square().sum()
    assert found[1]["fvu"] == pytest.approx(float(error.detach()), rel=1e-4)
    assert found[1]["l0"] <= 1
    with pytest.raises(ValueError, match="most_per_token = 0: must be at least 1"):
        ReconstructionMetrics(dictionary, 0)


def test_empty_and_broken_corpora_are_clear_errors() -> None:
    metrics = ReconstructionMetrics(_dictionary())
    with pytest.raises(ValueError, match="tokens = 0: one was evaluated on an empty corpus"):
        metrics.rows()
    with pytest.raises(ValueError, match="activations for one hold NaN or infinity"):
        metrics.update(torch.full((3, 6), torch.inf))
    with pytest.raises(ValueError, match=r"shape \(3, 5\): one reads \(tokens, 6\)"):
        metrics.update(torch.ones(3, 5))
    with pytest.raises(ValueError, match="tokens = 0"):
        LossRecovered(_dictionary()).rows()


TOKENS = torch.randint(11, (3, 7), generator=torch.Generator().manual_seed(0))


def _logits(knows: float) -> torch.Tensor:
    """Noise, and what a model says that knows the next token so well."""
    noise = torch.randn(3, 7, 11, generator=torch.Generator().manual_seed(1))
    return noise + knows * torch.nn.functional.one_hot(TOKENS.roll(-1, 1), 11)


def test_loss_recovered_is_1_for_the_clean_model_0_for_the_ablated_and_blind_to_padding() -> None:
    clean, ablated, mean = _logits(5), torch.zeros(3, 7, 11), _logits(1)
    tokens, mask = TOKENS, torch.ones(3, 7, dtype=torch.bool)
    mask[1, 4:] = False
    for patched, share, from_mean in ((clean, 1.0, 1.0), (ablated, 0.0, None), (mean, None, 0.0)):
        recovered = LossRecovered(_dictionary())
        recovered.update(clean, patched, ablated, mean, tokens, mask)
        values = _values(recovered.rows())
        for name, wanted in (("", share), ("_from_mean", from_mean)):
            if wanted is not None:
                assert values[f"ce_recovered{name}"] == pytest.approx(wanted, abs=1e-12)
                assert values[f"kl_recovered{name}"] == pytest.approx(wanted, abs=1e-12)
    assert values["ce_ablated"] == pytest.approx(np.log(11))
    counted = [(t, p) for t in range(3) for p in range(6) if mask[t, p + 1]]
    entropy = [-float(clean[t, p].double().log_softmax(-1)[tokens[t, p + 1]]) for t, p in counted]
    assert values["ce_clean"] == pytest.approx(np.mean(entropy))
    noisy = clean.clone()
    noisy[1, 4:] = 99
    again = LossRecovered(_dictionary())
    again.update(noisy, ablated, ablated, ablated, tokens, mask)
    assert _values(again.rows())["ce_clean"] == values["ce_clean"]


def test_nothing_is_recovered_where_ablation_costs_nothing_that_can_be_told_from_chance() -> None:
    clean, patched, mask = _logits(0), _logits(0) - 1, torch.ones(3, 7, dtype=torch.bool)
    recovered = LossRecovered(_dictionary())
    recovered.update(clean, patched, torch.zeros(3, 7, 11), _logits(-5), TOKENS, mask)
    values = _values(recovered.rows())
    gap = torch.nn.functional.cross_entropy(clean[:, :-1].double().transpose(1, 2), TOKENS[:, 1:], reduction="none")
    by_text = (np.log(11) - gap).mean(1)
    # Texts of one length: the clustered error is that of the texts' means.
    assert values["ce_gap_standard_error"] == pytest.approx(float(by_text.std() / 3**0.5), rel=1e-6)
    assert np.isnan(values["ce_recovered"])
    assert np.isfinite(values["ce_recovered_from_mean"])
    one = LossRecovered(_dictionary())
    one.update(clean[:1], clean[:1], _logits(-5)[:1], _logits(-5)[:1], TOKENS[:1], mask[:1])
    assert np.isnan(_values(one.rows())["ce_recovered"]), "one text tells nothing of chance"


def test_matching_is_the_best_one_to_one_assignment() -> None:
    first, second = torch.randn(5, 3), torch.randn(6, 3)
    cosines = torch.nn.functional.cosine_similarity(first[:, None], second[None], dim=2).numpy()
    best = max(sum(cosines[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(6), 5))
    frame = match_features(first, second)
    assert mmcs(first, second) == pytest.approx(best / 5, rel=1e-5)
    assert frame["cosine"].is_sorted(descending=True)
    for i, j, cosine in frame.iter_rows():
        assert cosine == pytest.approx(cosines[i, j], rel=1e-5)
    assert frame["matched_feature"].n_unique() == 5


def test_a_shuffled_and_rescaled_dictionary_is_the_same_one() -> None:
    rows = torch.randn(12, 8)
    order = torch.randperm(12)
    frame = match_features(rows, rows[order] * 3).sort("feature")
    assert frame["matched_feature"].to_list() == order.argsort().tolist()
    assert mmcs(rows, rows[order] * 2) == pytest.approx(1, abs=1e-6)


def test_dictionaries_of_two_widths_are_not_matched() -> None:
    with pytest.raises(ValueError, match="must agree in width"):
        mmcs(torch.ones(4, 5), torch.ones(4, 6))
