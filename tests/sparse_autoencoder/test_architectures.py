"""What each architecture computes and learns: planted features found, closed forms, bad input."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tracebank_models.sparse_autoencoder import sparse_products
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary, save_dictionary
from tracebank_models.sparse_autoencoder.configuration import ARCHITECTURES, TRAINED, DictionaryConfig, architecture_of
from tracebank_models.sparse_autoencoder.matching import mmcs
from tracebank_models.sparse_autoencoder.planted import PlantedFeatures
from tracebank_models.sparse_autoencoder.training import ActivationBatch, StreamTraining, curve_frame

PLANTED = PlantedFeatures(d_in=40, n_features=48, active=2)
LEARNING: dict[str, dict[str, Any]] = {
    "topk": {"k": 2},
    "batchtopk": {"k": 2},
    "matryoshka": {"k": 2, "prefixes": (32, 64)},
    "jumprelu": {"l0": 0.05, "jump_threshold": 0.05},
    "relu": {"l1": 0.01},
    "tied_relu": {"l1": 0.01},
}


def config_of(architecture: str, **values: Any) -> DictionaryConfig:
    own: dict[str, Any] = {"crosscoder": {"sites": ("base", "tuned")}, "neurons": {"d_sae": 6}}.get(architecture, {})
    defaults: dict[str, Any] = {"name": architecture, "d_in": 6, "d_sae": 16, "k": 3}
    return DictionaryConfig.from_dict({**defaults, **own, **values, "architecture": architecture})


@pytest.fixture(scope="module")
def trained() -> StreamTraining:
    """One dictionary of each kind, all from one stream."""
    configs = [
        config_of(name, d_in=40, d_sae=64, learning_rate=5e-3, dead_after_tokens=20_000, **values)
        for name, values in LEARNING.items()
    ]
    training = StreamTraining(configs, "cpu")
    stream = (ActivationBatch({"activations": x}) for x, _ in PLANTED.batches(512, 600))
    points = [point for step in training.train(stream, log_every=300) for point in step]
    frame = curve_frame(points)
    assert frame.height == 2 * len(configs)
    assert frame["fvu"].is_between(0, 1).all()
    return training


@pytest.mark.parametrize("architecture", list(LEARNING))
def test_a_planted_dictionary_is_recovered(trained: StreamTraining, architecture: str) -> None:
    assert mmcs(trained.dictionaries[architecture].decoder_rows(), PLANTED.directions()) > 0.9


def test_a_random_dictionary_is_not_the_planted_one() -> None:
    assert mmcs(build(config_of("topk", d_in=40, d_sae=64)).decoder_rows(), PLANTED.directions()) < 0.7


@pytest.mark.parametrize("architecture", [name for name in TRAINED if name not in ("tied_relu", "crosscoder")])
def test_decoder_rows_keep_norm_1(architecture: str) -> None:
    training = StreamTraining([config_of(architecture)], "cpu")
    for _ in training.train(ActivationBatch({"activations": torch.randn(64, 6)}) for _ in range(5)):
        pass
    norms = training.dictionaries[architecture].decoder_rows().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(16))


def test_the_tied_dictionary_is_the_paper_s() -> None:
    dictionary = build(config_of("tied_relu", l1=0.01))
    x = torch.randn(10, 6)
    rows = dictionary.encoder.detach() / dictionary.encoder.detach().norm(dim=1, keepdim=True)
    codes = (x @ rows.T + dictionary.encoder_bias).relu()
    output = codes @ rows + dictionary.decoder_bias
    torch.testing.assert_close(dictionary.encode(x), codes)
    torch.testing.assert_close(dictionary(x), output)
    loss = dictionary.step_loss(x, torch.zeros(16, dtype=torch.bool)).total
    torch.testing.assert_close(loss, (output - x).square().mean() + 0.01 * codes.sum(1).mean())


@pytest.mark.parametrize("start", [0.3, 0.1])
def test_jump_relu_s_threshold_hears_of_errors_nearby_and_not_of_silence(start: float) -> None:
    dictionary = build(config_of("jumprelu", jump_threshold=start, bandwidth=0.4, l0=0.1))
    with torch.no_grad():
        dictionary.encoder_bias[:3] = -1e3
    x = torch.randn(200, 6)
    dictionary.step_loss(x, torch.zeros(16, dtype=torch.bool)).total.backward()  # type: ignore[no-untyped-call]
    threshold = torch.tensor(start)
    before = dictionary.pre_activations(x).detach()
    codes = before * (before > threshold)
    upstream = 2 * (codes @ dictionary.decoder + dictionary.decoder_bias - x) @ dictionary.decoder.T / 200
    near = ((before - threshold).abs() < 0.2) * (before > 0) / 0.4
    wanted = -(near * (threshold * upstream + 0.1 / 200)).sum(0) * threshold
    found = dictionary.get_parameter("log_threshold").grad
    assert found is not None
    torch.testing.assert_close(found, wanted.detach())
    assert (found[:3] == 0).all()
    assert (found[3:] != 0).all()


def test_the_weight_of_l0_decides_how_many_features_fire() -> None:
    weights = (1e-4, 1e-3, 1e-2, 1e-1)
    values: dict[str, Any] = {"d_in": 40, "d_sae": 64, "learning_rate": 5e-3, "warm_up_steps": 20}
    configs = [
        config_of("jumprelu", name=str(weight), l0=weight, normalize_activations=True, **values) for weight in weights
    ]
    training = StreamTraining(configs, "cpu")
    points = [
        point
        for step in training.train(
            (ActivationBatch({"activations": x}) for x, _ in PLANTED.batches(256, 250)), log_every=250
        )
        for point in step
    ]
    found = [point.l0 for point in points]
    assert all(after < 0.95 * before for before, after in itertools.pairwise(found)), found
    assert found[-1] < 0.3 * found[0], found


def test_dead_features_learn_from_the_auxiliary_loss_and_only_they() -> None:
    dictionary = build(config_of("topk", k=1, auxiliary=1.0))
    with torch.no_grad():
        dictionary.encoder[:4] *= 1e-3
    dead = torch.zeros(16, dtype=torch.bool)
    dead[:4] = True
    x = torch.randn(64, 6)
    without = dictionary.step_loss(x, torch.zeros_like(dead))
    loss = dictionary.step_loss(x, dead)
    assert float(without.auxiliary) == 0
    assert float(loss.auxiliary.detach()) > 0
    assert not loss.fired[:4].any()
    gradients = torch.autograd.grad(loss.auxiliary, [dictionary.encoder, dictionary.decoder], retain_graph=True)
    for gradient in gradients:
        assert gradient[:4].any()
        assert not gradient[4:].any()


def test_features_die_after_the_tokens_that_are_set_and_live_again() -> None:
    training = StreamTraining([config_of("topk", k=1, dead_after_tokens=100, auxiliary=0.0)], "cpu")
    part = training.trainings["topk"]
    x = part.dictionary.encoder.detach()[:1].repeat(60, 1) * 9
    part.step(x, describe=False)
    assert not part.dead.any()
    part.step(x, describe=False)
    assert int(part.dead.sum()) == 15
    assert not part.dead[0]
    part.step(part.dictionary.encoder.detach()[1:2] * 9, describe=False)
    assert not part.dead[1]


@pytest.mark.parametrize("architecture", TRAINED)
def test_the_scale_of_the_input_is_found_and_undone(architecture: str) -> None:
    config = config_of(architecture, normalize_activations=True)
    training = StreamTraining([config], "cpu")
    x = torch.randn(256, 6)
    batch = ActivationBatch({"activations": 40 * x, "base": 40 * x, "tuned": 0.01 * x})
    list(training.train([batch]))
    dictionary = training.dictionaries[architecture]
    scaled = dictionary.scaled(batch.rows(config.sites))
    for site in range(len(config.sites)):
        norms = scaled[:, site * 6 : site * 6 + 6].norm(dim=1)
        found = norms.square().mean() if architecture == "jumprelu" else norms.mean()
        assert float(found) == pytest.approx(1 if architecture == "jumprelu" else 6**0.5, rel=1e-4)
    output = dictionary.decode(torch.zeros(1, 16))
    torch.testing.assert_close(output * dictionary.input_scale, dictionary.decoder_bias[None])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"k": 17}, r"k = 17: must be between 1 and d_sae \(16\)"),
        ({"architecture": "gated"}, "architecture = 'gated': must be one of batchtopk, crosscoder, jump"),
        ({"d_in": 0}, "d_in = 0: must be at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate = nan: must be above 0"),
        ({"architecture": "matryoshka", "k": 3, "prefixes": (8, 4, 16)}, r"prefixes = \(8, 4, 16\): must ascend"),
        ({"prefixes": (16,)}, r"prefixes = \(16,\): is no field of topk, which has architecture, auxiliary, d_in"),
        ({"architecture": "crosscoder"}, r"sites = \('activations',\): a crosscoder reads at least two"),
        ({"sites": ("a", "b")}, "topk reads exactly one"),
        ({"architecture": "neurons"}, r"d_sae = 16: must be d_in \(6\), since each neuron is a unit"),
        ({"architecture": "jumprelu", "k": 3}, "k = 3: is no field of jumprelu, which has architecture, bandwidth"),
        ({"name": "a/b"}, "name = 'a/b': must be a file name"),
    ],
)
def test_a_bad_configuration_is_one_clear_error(values: dict[str, Any], message: str) -> None:
    defaults: dict[str, Any] = {"name": "a", "architecture": "topk", "d_in": 6, "d_sae": 16}
    with pytest.raises(ValueError, match=message):
        DictionaryConfig(**(defaults | values))


def test_settings_for_several_architectures_give_each_its_own() -> None:
    plan = {"name": "a", "d_in": 6, "d_sae": 16, "k": 3, "l1": 0.5, "prefixes": [4, 16], "bandwidth": 0.1}
    relu, nested = (DictionaryConfig.from_dict({**plan, "architecture": name}) for name in ("relu", "matryoshka"))
    assert relu.as_dict().keys() & plan.keys() == {"name", "d_in", "d_sae", "l1"}
    assert nested.as_dict()["prefixes"] == (4, 16)
    assert DictionaryConfig.from_dict(nested.as_dict()) == nested
    with pytest.raises(ValueError, match="kk = 3: is no field of relu"):
        DictionaryConfig.from_dict({**plan, "architecture": "relu", "kk": 3})
    with pytest.raises(ValueError, match="architecture = 'topk': is not that of a ReluConfig"):
        dataclasses.replace(relu, architecture="topk")


def test_neurons_are_the_activations_themselves_and_have_nothing_to_train(tmp_path: Path) -> None:
    neurons = build(config_of("neurons"))
    x = torch.randn(10, 6)
    assert torch.equal(neurons.encode(x), x)
    assert torch.equal(neurons(x), x)
    assert torch.equal(x @ neurons.decoder_rows(), x)
    assert list(neurons.parameters()) == []
    save_dictionary(neurons, tmp_path)
    assert torch.equal(load_dictionary(tmp_path).encode(x), x)
    with pytest.raises(ValueError, match=r"activations of shape \(10, 5\): neurons reads \(tokens, 6\)"):
        neurons.encode(x[:, :5])
    with pytest.raises(ValueError, match="architecture = 'neurons': has nothing to train, must be one of batchtopk"):
        StreamTraining([neurons.config], "cpu")


def test_a_file_is_an_architecture() -> None:
    for name in ARCHITECTURES:
        found = architecture_of(name)
        assert type(config_of(name)) is found.config
        assert type(build(config_of(name))) is found.dictionary
    theirs = [kind for name in ARCHITECTURES for kind in architecture_of(name).dictionary.sae_lens_reads]
    assert len(set(theirs)) == len(theirs), "SAELens's architecture is read as one of ours"


def test_nothing_is_computed_in_double_precision_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_products, "_has_numba", lambda: False)
    configs = [config_of(name, normalize_activations=True, dead_after_tokens=64) for name in TRAINED]
    training = StreamTraining(configs, "cpu")
    x = torch.randn(64, 6)
    with _NoDoubles():
        list(training.train([ActivationBatch({"activations": x, "base": x, "tuned": x})] * 3, log_every=1))


class _NoDoubles(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        assert not (isinstance(found, torch.Tensor) and found.dtype == torch.float64), function
        return found
