"""Second moments: equal to a plain loop, kept in a file, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.counterfact.cases import byte_model
from tests.model_editing.facts import FAMILIES, TOKENIZER, moments_of

from tracebank_models.model_editing.places import edit_place
from tracebank_models.model_editing.second_moments import SecondMoments, second_moments, solved

TEXTS = ["Bo.", "It rained so long that no one came out to see the sea.", "x" * 200, "So it is."]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_tokens", [160, 4_096])
def test_they_are_means_over_all_tokens(family: str, batch_tokens: int) -> None:
    model = byte_model(family).double()
    found = second_moments(model, TOKENIZER, TEXTS, [0, 1], batch_tokens)
    for layer in (0, 1):
        keys: list[torch.Tensor] = []
        handle = edit_place(model, layer).matrix.register_forward_pre_hook(
            lambda _, given, keys=keys: keys.append(given[0].reshape(-1, 128))
        )
        with torch.no_grad():
            for text in TEXTS:
                model(input_ids=torch.tensor([TOKENIZER(text)["input_ids"][:160]]))  # the context
        handle.remove()
        every = torch.cat(keys)
        wanted = sum(torch.outer(key, key) for key in every) / len(every)
        assert found.of(layer).dtype == torch.float64
        assert (found.of(layer) - wanted).norm() <= 1e-12 * torch.as_tensor(wanted).norm()
        assert found.tokens == len(every) == 3 + 54 + 160 + 9


def test_a_file_gives_them_back(tmp_path: Path) -> None:
    found, path = moments_of(byte_model(), [1, 0]), tmp_path / "moments.safetensors"
    found.save(path)
    again = SecondMoments.load(path)
    assert (again.tokens, again.weights_hash, again.corpus_hash) == (
        found.tokens,
        found.weights_hash,
        found.corpus_hash,
    )
    assert again.matrices.keys() == {0, 1}
    assert all(torch.equal(again.of(layer), found.of(layer)) for layer in (0, 1))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [None, b"", b"no tensors at all"])
def test_another_file_is_a_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "moments.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"no second moments of keys \(.*\); allowed: a file of `save`$"):
        SecondMoments.load(path)


def test_too_few_tokens_need_a_ridge() -> None:
    found = moments_of(byte_model(), [0])
    assert found.tokens < 128
    with pytest.raises(ValueError, match=r"^moments: \d+ tokens are too few for keys of width 128; allowed: many more"):
        found.regular(0)
    ridge = found.regular(0, 1e-2) - found.of(0)
    assert torch.allclose(ridge, 1e-2 * found.of(0).diagonal().mean() * torch.eye(128, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"cannot be inverted \(of width 128, from row .*moment_ridge above 0"):
        solved(found.of(0), torch.ones(128, dtype=torch.float64), "moment_ridge")


def test_moments_of_other_weights_or_layers_are_refused() -> None:
    model = byte_model()
    found = moments_of(model, [0])
    found.check_model(model)
    with pytest.raises(ValueError, match=r"^moments: there is none of layer 1; allowed: those that were made, 0$"):
        found.of(1)
    with torch.no_grad():
        edit_place(model, 0).weight[0, 0] += 1
    with pytest.raises(ValueError, match=r"^moments: they are of the weights \w{12}, the model has \w{12}; allowed"):
        found.check_model(model)
