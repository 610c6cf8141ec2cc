"""One stream of base and tuned activations: in step or refused, trained on, killed and resumed, and measured."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from tests.kills import Killed, killed_everywhere

from tracebank_models.activations.shards import ActivationKey, ShardFolder, shard_columns
from tracebank_models.features import dictionary_training
from tracebank_models.features.dictionary_training import TrainedDictionaries, train_dictionaries
from tracebank_models.features.dictionary_worth import covariances, loss_recovered_of, reconstruction_of
from tracebank_models.features.paired_stream import PairedShards
from tracebank_models.sparse_autoencoder.architectures import build
from tracebank_models.sparse_autoencoder.plan import SIDES, DictionaryPlan, study_dictionaries

SITE, WIDTH, TOKENS = "layers.0.mlp", 16, 900
PLAN = DictionaryPlan(batch_tokens=200, epochs=3, k=4, warm_up_steps=4, initialisations=1, larger_sizes=())


def _folder(root: Path, model: str, cuts: list[int], ids: Any = None, part: int = 0) -> Path:
    """Tokens of one part of a corpus, each with its number (counted through all parts) in the first dimension."""
    found = np.arange(TOKENS) + part * TOKENS
    chance = torch.Generator().manual_seed(len(model) + part)
    values = torch.randn(TOKENS, WIDTH, generator=chance)
    values[:, 0] = torch.from_numpy(found).float() / 2_048
    one = ShardFolder.create(
        root, ActivationKey(model, SITE, f"corpus {part}", "float32"), width=WIDTH, shard_tokens=TOKENS
    )
    token_ids = (found if ids is None else ids).astype(np.int32)
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, TOKENS], strict=True)):
        rows = slice(first, last)
        columns = shard_columns(found[rows] // 30, (found[rows] % 30).astype(np.int32), token_ids[rows])
        one.write(number, columns, values[rows].contiguous())
    return one.path


@pytest.fixture
def shards(tmp_path: Path) -> PairedShards:
    return PairedShards(
        {f"{side}/{SITE}": [_folder(tmp_path, side, [500], part=part) for part in (0, 1)] for side in SIDES}
    )


def test_both_sides_give_the_same_tokens_in_every_pass(shards: PairedShards) -> None:
    assert shards.tokens == 2 * TOKENS
    assert shards.widths == {f"{side}/{SITE}": WIDTH for side in SIDES}
    batches = list(shards.shuffled(128, seed=3, epochs=2))
    assert len(batches) == shards.batches(128, 2)
    numbers = [[batch.sites[f"{side}/{SITE}"][:, 0] * 2_048 for batch in batches] for side in SIDES]
    for base, tuned in zip(*numbers, strict=True):
        assert torch.equal(base, tuned)
    half = len(batches) // 2
    for part in (numbers[0][:half], numbers[0][half:]):
        assert torch.cat(part).sort().values.tolist() == list(range(2 * TOKENS))
    assert not torch.equal(numbers[0][0], numbers[0][half])


@pytest.mark.parametrize("skip", [0, 1, 14, 15, 16, 29, 30])
def test_skipped_batches_are_those_that_were_seen(shards: PairedShards, skip: int) -> None:
    whole = list(shards.shuffled(128, seed=3, epochs=2))
    rest = list(shards.shuffled(128, seed=3, epochs=2, skip=skip))
    assert len(rest) == len(whole) - skip
    for one, other in zip(whole[skip:], rest, strict=True):
        assert torch.equal(one.sites[f"tuned/{SITE}"], other.sites[f"tuned/{SITE}"])


def test_in_order_is_the_order_of_the_corpus(shards: PairedShards) -> None:
    batches = list(shards.in_order(64))
    assert torch.cat([batch.rows for batch in batches]).tolist() == list(range(2 * TOKENS))
    for side in SIDES:
        numbers = torch.cat([batch.activations[f"{side}/{SITE}"][:, 0] for batch in batches]) * 2_048
        assert torch.equal(numbers, torch.arange(2.0 * TOKENS))


def test_sides_that_are_not_in_step_are_refused(tmp_path: Path) -> None:
    """As shards of different sizes would give the right number of tokens in another order."""
    base = _folder(tmp_path, "base", [500])
    with pytest.raises(ValueError, match=r"^streams: shard 0 of b has 400 tokens: allowed are the 500 of a; capture"):
        PairedShards({"a": [base], "b": [_folder(tmp_path, "cut", [400])]})
    with pytest.raises(ValueError, match=r"^streams: b has 1800 tokens: allowed are the 900 of a$"):
        PairedShards({"a": [base], "b": [base, _folder(tmp_path, "base", [500], part=1)]})
    with pytest.raises(ValueError, match=r"^streams: there is none"):
        PairedShards({})
    ids = np.arange(TOKENS)
    ids[700] = 0
    others = PairedShards({"a": [base], "b": [_folder(tmp_path, "other", [500], ids)]})
    with pytest.raises(ValueError, match=r"^streams: b has other token_ids than a after token 700$"):
        list(others.in_order(100))
    with pytest.raises(ValueError, match=r"^streams: b has other token_ids than a after token \d+$"):
        list(others.shuffled(100, seed=0, epochs=1))


def _trained(shards: PairedShards, folder: Path, plan: DictionaryPlan = PLAN, **more: Any) -> TrainedDictionaries:
    configs = study_dictionaries({SITE: WIDTH}, SITE, plan)
    return train_dictionaries(shards, configs, plan, folder, inputs="x", device="cpu", **more)


def _killed_at(batch: int) -> Any:
    def tell(done: int, _total: int) -> None:
        if done == batch:
            raise KeyboardInterrupt

    return tell


def test_a_killed_training_is_bit_by_bit_one_that_was_not(
    shards: PairedShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the first checkpoint, between two, in another pass, and after the last batch."""
    monkeypatch.setattr(dictionary_training, "_CHECKPOINT_EVERY", 5)
    whole = _trained(shards, tmp_path / "whole")
    total = shards.batches(PLAN.batch_tokens, PLAN.epochs)
    assert (total, whole.steps, whole.tokens) == (27, 27, 3 * shards.tokens)
    assert whole.curve.filter(dictionary=whole.names[0])["step"].to_list() == [10, 20]
    for killed_at, first in ((3, 1), (8, 6), (19, 16), (total, total + 1)):
        folder = tmp_path / f"killed at {killed_at}"
        with pytest.raises(KeyboardInterrupt):
            _trained(shards, folder, progress=_killed_at(killed_at))
        told: list[tuple[int, int]] = []
        resumed = _trained(shards, folder, progress=lambda *at, told=told: told.append(at))
        assert told == [(batch, total) for batch in range(first, total + 1)]
        assert (resumed.steps, resumed.tokens, resumed.names) == (whole.steps, whole.tokens, whole.names)
        for name, dictionary in whole.load().items():
            other = resumed.load()[name].state_dict()
            assert all(torch.equal(tensor, other[key]) for key, tensor in dictionary.state_dict().items()), name
        assert_frame_equal(resumed.curve.drop("seconds"), whole.curve.drop("seconds"))


@pytest.mark.parametrize("before", ["nothing", "killed in its last swap"])
def test_a_kill_between_any_two_changes_of_files_is_survived(
    shards: PairedShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    plan = dataclasses.replace(PLAN, batch_tokens=900, epochs=1)
    configs = study_dictionaries({SITE: WIDTH}, SITE, plan)[:1]
    monkeypatch.setattr(dictionary_training, "_CHECKPOINT_EVERY", 1)

    def train(place: Path) -> TrainedDictionaries:
        return train_dictionaries(shards, configs, plan, place, inputs="x", device="cpu")

    whole = train(tmp_path / "whole")
    first, (name, dictionary) = tmp_path / "first", *whole.load().items()

    def again(place: Path) -> None:
        resumed = train(place)
        other = resumed.load()[name].state_dict()
        assert all(torch.equal(tensor, other[key]) for key, tensor in dictionary.state_dict().items()), place
        assert_frame_equal(resumed.curve.drop("seconds"), whole.curve.drop("seconds"))

    def begin(place: Path) -> None:
        shutil.copytree(first, place) if before != "nothing" else place.mkdir(parents=True)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", _second_swap_killed())
        with pytest.raises(Killed):
            train(first)
    state = next(first.glob("*/dictionaries.new")).with_name("dictionaries")
    assert not state.exists()
    assert killed_everywhere(train, tmp_path / "killed", again, begin) > 0


def _second_swap_killed() -> Any:
    """`Path.rename` for two checkpoints: the old one of the second is put away, and then nothing."""
    rename, calls = Path.rename, itertools.count()

    def renamed(path: Path, target: Path) -> Path:
        if next(calls) == 2:
            raise Killed
        return rename(path, target)

    return renamed


def test_a_training_too_short_for_a_point_of_its_curve_still_gives_its_dictionaries(
    shards: PairedShards, tmp_path: Path
) -> None:
    plan = DictionaryPlan(batch_tokens=900, epochs=1, k=4, initialisations=1, extra_architectures=("topk",))
    found = _trained(shards, tmp_path, plan)
    assert found.curve.is_empty()
    assert found.steps == 2
    assert list(found.load()) == [config.name for config in study_dictionaries({SITE: WIDTH}, SITE, plan)]


def test_other_settings_train_in_another_folder(shards: PairedShards, tmp_path: Path) -> None:
    plans = [DictionaryPlan(batch_tokens=900, epochs=1, l1=l1, extra_architectures=()) for l1 in (0.1, 0.2)]
    first, second = (_trained(shards, tmp_path, plan) for plan in plans)
    assert first.folder != second.folder
    assert _trained(shards, tmp_path, plans[0]).folder == first.folder


def test_dictionaries_are_measured_on_what_they_read(shards: PairedShards, model: Any, tmp_path: Path) -> None:
    plan = DictionaryPlan(batch_tokens=300, epochs=1, k=4, initialisations=1, extra_architectures=("crosscoder",))
    found = _trained(shards, tmp_path, plan).load()
    restored = reconstruction_of(found, shards, 2, 250)
    metrics = restored.metrics
    assert set(metrics["dictionary"]) == set(found)
    found_covariances = covariances(shards, 250)
    whole = {name: torch.cat([b.activations[name] for b in shards.in_order(4_096)]) for name in shards.widths}
    for name, dictionary in found.items():
        x = torch.cat([whole[site] for site in dictionary.config.sites], dim=1)
        with torch.no_grad():
            error = (x - dictionary.decode(dictionary.encode(x))).double().square().sum()
        oracle = float(error / (x - x.mean(0)).double().square().sum())
        fvu = metrics.filter(dictionary=name, metric="fvu")["value"].item()
        assert fvu == pytest.approx(oracle, rel=1e-4)
        assert metrics.filter(dictionary=name, metric="fvu")["tokens"].item() == shards.tokens
        values = dict(metrics.filter(dictionary=name).select("metric", "value").iter_rows())
        assert values["fvu_at_one_l0"] != values["fvu"]
        assert values["l0_at_one_l0"] <= min(2, values["l0"])
        assert values["active_share"] == pytest.approx(values["l0"] / dictionary.config.d_sae)
        assert len(restored.alive[name]) == round((1 - values["dead_share"]) * dictionary.config.d_sae)
        start, living = build(dictionary.config).encoder_rows().detach(), restored.alive[name]
        cosines = torch.cosine_similarity(start[living], dictionary.encoder_rows().detach()[living])
        assert values["start_cosine"] == pytest.approx(float(cosines.mean()))
    for name, x in whole.items():
        torch.testing.assert_close(found_covariances[name], torch.cov(x.double().T, correction=0))
    ids = torch.randint(0, 256, (3, 20), generator=torch.Generator().manual_seed(0))
    losses = loss_recovered_of(model, found, [(ids, torch.ones_like(ids))])
    assert set(losses["dictionary"]) == {name for name, one in found.items() if len(one.config.sites) == 1}
    assert {"ce_recovered", "ce_recovered_from_mean", "kl_recovered"} <= set(losses["metric"])
    assert losses.filter(pl.col("metric") == "kl_recovered_from_mean")["value"].is_finite().all()
    worst = losses.filter(pl.col("metric").is_in(["ce_ablated", "ce_mean_ablated"]))
    assert worst["value"].n_unique() == 2, "zero and mean ablation of one site, whichever dictionary"
