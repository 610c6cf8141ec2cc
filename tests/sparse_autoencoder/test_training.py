"""One stream for many dictionaries: masks, bad batches, checkpoints, and a resumed run that is bit-equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tracebank_models.sparse_autoencoder.checkpoint import (
    load_checkpoint,
    load_dictionary,
    save_checkpoint,
    save_dictionary,
)
from tracebank_models.sparse_autoencoder.configuration import TRAINED, DictionaryConfig
from tracebank_models.sparse_autoencoder.training import ActivationBatch, CurvePoint, StreamTraining

CONFIGS = [
    DictionaryConfig.from_dict(
        {
            "name": name,
            "architecture": name,
            "d_in": 8,
            "d_sae": 24,
            "k": 1,
            "sites": ("base", "tuned") if name == "crosscoder" else ("tuned",),
            "dead_after_tokens": 50,
            "sparsity_warm_up_steps": 6,
            "normalize_activations": True,
        }
    )
    for name in TRAINED
]


def _batches(count: int) -> list[ActivationBatch]:
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(10, 12, generator=generator) < 0.8
    return [
        ActivationBatch({site: torch.randn(10, 12, 8, generator=generator) for site in ("base", "tuned")}, mask)
        for _ in range(count)
    ]


def _state(training: StreamTraining) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": tensor.clone()
        for name, dictionary in training.dictionaries.items()
        for key, tensor in dictionary.state_dict().items()
    }


def _train(training: StreamTraining, batches: list[ActivationBatch]) -> list[CurvePoint]:
    return [point for points in training.train(batches, log_every=1) for point in points]


def test_a_resumed_training_is_bit_equal(tmp_path: Path) -> None:
    batches = _batches(14)
    whole, first = StreamTraining(CONFIGS, "cpu"), StreamTraining(CONFIGS, "cpu")
    points = _train(whole, batches)
    _train(first, batches[:7])
    save_checkpoint(first, tmp_path / "checkpoint")
    second = load_checkpoint(tmp_path / "checkpoint", "cpu")
    assert second.batches == 7
    later = _train(second, batches[second.batches :])
    left, right = _state(whole), _state(second)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    shown = [(point.dictionary, point.step, point.loss, point.grad_norm) for point in points]
    assert shown[7 * len(CONFIGS) :] == [(p.dictionary, p.step, p.loss, p.grad_norm) for p in later]
    assert max(point.dead_share for point in points) > 0


def test_a_checkpoint_replaces_the_one_before_and_a_killed_swap_is_survived(tmp_path: Path) -> None:
    training, folder = StreamTraining(CONFIGS[:1], "cpu"), tmp_path / "checkpoint"
    save_checkpoint(training, folder)
    _train(training, _batches(1))
    save_checkpoint(training, folder)
    assert load_checkpoint(folder, "cpu").batches == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    folder.rename(tmp_path / "checkpoint.old")
    assert load_checkpoint(folder, "cpu").batches == 1
    assert folder.is_dir(), "readers of its dictionaries find it there, and the next one to be saved removes the other"
    save_checkpoint(StreamTraining(CONFIGS[:1], "cpu"), tmp_path / "other")
    folder.rename(tmp_path / "checkpoint.new")
    (tmp_path / "other").rename(tmp_path / "checkpoint.old")
    assert load_checkpoint(folder, "cpu").batches == 1
    with pytest.raises(FileNotFoundError, match="no checkpoint of sparse autoencoders"):
        load_checkpoint(tmp_path / "nowhere", "cpu")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_dictionary_comes_back_from_disk(tmp_path: Path, config: DictionaryConfig) -> None:
    training = StreamTraining([config], "cpu")
    _train(training, _batches(3))
    dictionary = training.dictionaries[config.name].eval()
    save_dictionary(dictionary, tmp_path / "one")
    back, x = load_dictionary(tmp_path / "one"), torch.randn(9, config.width)
    assert back.config == config
    assert torch.equal(back.encode(x), dictionary.encode(x))
    assert torch.equal(back(x), dictionary(x))


def test_masked_padding_changes_nothing() -> None:
    batches = _batches(4)
    assert batches[0].mask is not None
    noisy = [
        ActivationBatch(
            {site: torch.where(batch.mask[..., None], values, 1e6) for site, values in batch.sites.items()}, batch.mask
        )
        for batch in batches
        if batch.mask is not None
    ]
    one, two = StreamTraining(CONFIGS, "cpu"), StreamTraining(CONFIGS, "cpu")
    _train(one, batches)
    _train(two, noisy)
    assert [name for name, tensor in _state(one).items() if not torch.equal(tensor, _state(two)[name])] == []


def test_dictionaries_of_one_stream_do_not_touch_one_another() -> None:
    together, alone = StreamTraining(CONFIGS, "cpu"), StreamTraining(CONFIGS[2:3], "cpu")
    _train(together, _batches(4))
    _train(alone, _batches(4))
    assert [name for name, tensor in _state(alone).items() if not torch.equal(tensor, _state(together)[name])] == []


def test_learning_rate_and_penalty_warm_up() -> None:
    config = DictionaryConfig(
        name="a", architecture="relu", d_in=8, d_sae=24, sites=("base",), warm_up_steps=4, sparsity_warm_up_steps=2
    )
    points = _train(StreamTraining([config], "cpu"), _batches(5))
    assert [point.learning_rate for point in points] == pytest.approx([0.00025, 0.0005, 0.00075, 0.001, 0.001])
    whole = DictionaryConfig(name="a", architecture="relu", d_in=8, d_sae=24, sites=("base",))
    first = _train(StreamTraining([whole], "cpu"), _batches(1))[0]
    assert points[0].sparsity_loss == pytest.approx(first.sparsity_loss / 2)


def test_learning_rate_falls_to_0_over_the_last_steps() -> None:
    values: dict[str, Any] = {"architecture": "relu", "d_in": 8, "d_sae": 24, "sites": ("base",), "warm_up_steps": 0}
    config = DictionaryConfig(name="a", steps=10, decay_share=0.4, **values)
    rates = [point.learning_rate for point in _train(StreamTraining([config], "cpu"), _batches(11))]
    assert rates == pytest.approx([0.001] * 7 + [0.00075, 0.0005, 0.00025, 0])
    for field, value in {"decay_share": 1.5, "steps": -1}.items():
        with pytest.raises(ValueError, match=f"^{field} = {value}: must be "):
            DictionaryConfig(name="a", **values | {field: value})


def _bad(sites: dict[str, torch.Tensor], mask: torch.Tensor | None = None) -> ActivationBatch:
    return ActivationBatch(sites, mask)


GOOD = torch.ones(4, 8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (_bad({"tuned": GOOD}), "site 'base': not in the stream, which has tuned"),
        (_bad({"base": GOOD, "tuned": GOOD * float("nan")}), "site tuned: activations hold NaN or infinity"),
        (_bad({"base": GOOD, "tuned": GOOD[:3]}), r"sites base, tuned: have \[4, 3\] tokens, must agree"),
        (_bad({"base": GOOD[:, :5], "tuned": GOOD[:, :5]}), r"crosscoder reads \(tokens, 16\)"),
        (_bad({"base": GOOD, "tuned": GOOD}, torch.zeros(4, dtype=torch.bool)), "no token that is not masked"),
        (
            _bad({"base": GOOD, "tuned": GOOD}, torch.ones(5, dtype=torch.bool)),
            r"mask of shape \(5,\): site base needs",
        ),
    ],
)
def test_a_bad_batch_is_one_clear_error_and_changes_nothing(batch: ActivationBatch, message: str) -> None:
    training = StreamTraining([config for config in CONFIGS if config.name == "crosscoder"], "cpu")
    before = _state(training)
    with pytest.raises(ValueError, match=message):
        _train(training, [batch])
    assert training.batches == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in _state(training).items())


def test_names_must_differ_and_there_must_be_one() -> None:
    with pytest.raises(ValueError, match="each dictionary needs a name of its own"):
        StreamTraining([CONFIGS[0], CONFIGS[0]], "cpu")
    with pytest.raises(ValueError, match="at least one dictionary is needed"):
        StreamTraining([], "cpu")
