"""Dictionaries of the catalogue leave for SAELens and come back the same; what does not fit is one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sqlalchemy import func, select
from tests.sparse_features.conftest import SITES, Home
from typer.testing import CliRunner, Result

from tracebank_assets.commands.dictionaries import dictionaries
from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary
from tracebank_models.sparse_autoencoder.plan import dictionary_name
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

NAME = f"small-ppo-seed0/{dictionary_name('tuned', SITES[1], 'small', 'tied_relu', 0)}"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(dictionaries, [str(argument) for argument in arguments])


def _rows(home: Home) -> int:
    with home.relational.reading() as session:
        return int(session.scalar(select(func.count()).select_from(SparseAutoencoder)) or 0)


@pytest.fixture
def folder(home: Home, tmp_path: Path) -> Path:
    done = _run("export", NAME, tmp_path / "sae")
    assert done.exit_code == 0, done.output
    assert "tied_relu of 16 features, reads layers.1.mlp of small-ppo" in done.output
    return tmp_path / "sae"


def test_a_dictionary_leaves_and_comes_back_the_same(home: Home, folder: Path) -> None:
    metadata = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))["metadata"]
    assert metadata["hook_name"] == "blocks.1.hook_mlp_out"
    assert metadata["model_name"] == "small-ppo-seed0"
    done = _run("import", folder, "--name", "back")
    assert done.exit_code == 0, done.output
    with home.relational.reading() as session:
        before, after = (session.get(SparseAutoencoder, name) for name in (NAME, "imported/back"))
        assert before is not None
        assert after is not None
        assert (after.site, after.layer, after.model, after.side) == ("layers.1.mlp", 1, "small-ppo-seed0", "base")
        session.expunge_all()
    one, two = load_dictionary(Path(before.path)), load_dictionary(Path(after.path))
    x = torch.randn(20, 16)
    torch.testing.assert_close(two.encode(x), one.encode(x))
    torch.testing.assert_close(two(x), one(x))
    # The hand-made tuned model says of itself that it was pretrained.
    assert two.config.sites == ("base/layers.1.mlp",)
    assert home.settings.home in Path(after.path).parents
    again = _run("import", folder, "--name", "back")
    assert again.exit_code == 2
    assert "'imported/back' is in the catalogue already" in again.output


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"model_name": None}, (), "--model: cfg.json does not say which model it reads"),
        ({}, ("--model", "gpt9"), "--model: 'gpt9' is not in relational.language_models"),
        ({"tracebank_site": None, "hook_name": None}, (), "--site: cfg.json does not say which site it reads"),
        ({}, ("--site", "layers.7.mlp"), "--site: 'layers.7.mlp' is none of 'small-ppo-seed0', whose last block is 1"),
        ({}, ("--name", "a/b"), "name = 'a/b': must be a file name"),
        ({"d_out": 12}, (), "d_out = 12: a transcoder"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(
    home: Home, folder: Path, change: dict[str, object], arguments: tuple[str, ...], message: str
) -> None:
    config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    config["metadata"] |= change
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")
    rows = _rows(home)
    done = _run("import", folder, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("│", " ").split())
    assert _rows(home) == rows
    assert not (home.settings.home / "sparse_autoencoders" / "imported").exists()


def test_what_cannot_be_exported_is_one_line(home: Home, tmp_path: Path) -> None:
    done = _run("export", "small-ppo-seed0/none", tmp_path / "sae")
    assert done.exit_code == 2
    assert "'small-ppo-seed0/none' is not in relational.sparse_autoencoders" in done.output
    assert not (tmp_path / "sae").exists()


def test_a_hook_of_transformer_lens_is_a_site(home: Home, folder: Path) -> None:
    config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    config["metadata"] |= {"tracebank_site": None, "hook_name": "blocks.0.hook_resid_post"}
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")
    assert "reads layers.0.resid of small" in _run("import", folder, "--model", "small").output
