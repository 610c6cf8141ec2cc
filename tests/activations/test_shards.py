"""Shards: what is written is what is read, by training and by SQL; a killed capture goes on where it was."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import clickhouse_connect
import numpy as np
import polars as pl
import pytest
import torch
from tests.activations.conftest import TEXTS

from tracebank_models.activations.capture import stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.activations.reader import ActivationShards
from tracebank_models.activations.shard_capture import CaptureSettings, capture_models, capture_shards
from tracebank_models.activations.shards import ActivationKey, ShardFolder, token_ids_of

SITES = ["layers.1.mlp", "layers.2.resid"]
SMALL = CaptureSettings(batch_tokens=80, shard_tokens=100)


@pytest.fixture
def corpus(tokenizer: Any) -> TokenCorpus:
    return TokenCorpus.from_texts(TEXTS, tokenizer, max_tokens=20)


def _folder(root: Path, rows: Any, site: str) -> Path:
    return root / str(rows.filter(site=site)["activation_hash"][0])


def _written(folder: Path, sizes: list[int], width: int = 4) -> ActivationShards:
    """Shards whose rows count up."""
    made = ShardFolder.create(folder, ActivationKey("m", "s", "c"), width=width, shard_tokens=max(sizes))
    first = 0
    for number, size in enumerate(sizes):
        numbers = np.arange(first, first + size)
        columns = {"document": numbers, "position": numbers.astype("i4") % 7, "token_id": numbers.astype("i4")}
        made.write(number, columns, torch.from_numpy(numbers % 2048)[:, None].half().repeat(1, width))
        first += size
    return ActivationShards(made.path)


def test_what_is_captured_is_what_is_read(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    rows = capture_shards(
        model, corpus, SITES, tmp_path, model_hash="m", settings=SMALL, progress=lambda *at: told.append(at)
    )
    assert rows["tokens"].sum() == corpus.tokens * len(SITES)
    assert rows["shard"].n_unique() > 2
    assert told[-1] == (corpus.tokens, corpus.tokens)
    assert all(Path(p).stat().st_size == size for p, size in rows.select("path", "bytes").rows())
    batches = list(stream_activations(model, corpus, SITES))
    order = torch.cat([b.rows for b in batches]).argsort()
    for site in SITES:
        read = list(ActivationShards(_folder(tmp_path, rows, site)).sequential(32))
        for field in ("token_ids", "documents", "positions"):
            expected = torch.cat([getattr(b, field) for b in batches])[order]
            assert torch.equal(torch.cat([getattr(b, field) for b in read]), expected)
        expected = torch.cat([b.activations[site] for b in batches])[order].half().float()
        torch.testing.assert_close(torch.cat([b.activations for b in read]), expected, rtol=2e-3, atol=1e-4)


def test_the_address_is_model_site_corpus_and_dtype() -> None:
    key = ActivationKey("m", "s", "c")
    others = [ActivationKey("n", "s", "c"), ActivationKey("m", "t", "c"), ActivationKey("m", "s", "d")]
    assert len({key.hash, *(other.hash for other in others), ActivationKey("m", "s", "c", "float32").hash}) == 5
    assert ActivationKey("m", "s", "c").hash == key.hash
    with pytest.raises(ValueError, match=r"^dtype: 'int8' is not allowed: one of float16, float32"):
        ActivationKey("m", "s", "c", "int8")


def test_a_second_capture_does_only_what_is_missing(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    rows = capture_shards(model, corpus, SITES, tmp_path, model_hash="m", settings=SMALL)
    gone = Path(rows.filter(site=SITES[0], shard=1)["path"][0])
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.arrow")}
    gone.unlink()
    calls: list[int] = []
    handle = model.gpt_neox.register_forward_hook(lambda *_: calls.append(1))
    again = capture_shards(model, corpus, SITES, tmp_path, model_hash="m", settings=SMALL)
    handle.remove()
    assert again.equals(rows)
    assert 1 < len(calls) < 6, "one token to learn the widths, and the batches of one shard"
    for path, (content, changed) in before.items():
        assert path.read_bytes() == content
        assert path == gone or path.stat().st_mtime_ns == changed


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tracebank_models.activations import shards
import pyarrow as pa, numpy as np, torch
folder = shards.ShardFolder.create(Path(sys.argv[1]), shards.ActivationKey("m", "s", "c"), width=4, shard_tokens=8)
columns = {{n: np.arange(8, dtype=d) for n, d in (("document", "i8"), ("position", "i4"), ("token_id", "i4"))}}
folder.write(0, columns, torch.ones(8, 4).half())
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
folder.write(1, columns, torch.ones(8, 4).half())
"""


def test_a_killed_write_leaves_no_shard(tmp_path: Path) -> None:
    code = _KILLED.format(tests=str(Path(__file__).parents[2]))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = ShardFolder.open(tmp_path / ActivationKey("m", "s", "c").hash)
    assert list(folder.shards()) == [0]
    assert ActivationShards(folder.path).tokens == 8
    (left,) = folder.path.glob(".*.tmp")
    ShardFolder.create(tmp_path, folder.key, width=4, shard_tokens=8)
    assert left.exists(), "it is young: its writer may be at work"
    os.utime(left, (0, 0))
    ShardFolder.create(tmp_path, folder.key, width=4, shard_tokens=8)
    assert not left.exists()


@pytest.mark.parametrize(("pool", "block", "batch"), [(64, 8, 16), (40, 24, 16), (5_000, 256, 100), (17, 1, 16)])
def test_a_shuffle_gives_every_token_once_with_its_own_fields(
    tmp_path: Path, pool: int, block: int, batch: int
) -> None:
    shards = _written(tmp_path, [100, 61, 100, 7])
    batches = list(shards.shuffled(batch, seed=1, pool_tokens=pool, block_tokens=block))
    ids = torch.cat([b.token_ids for b in batches])
    assert ids.sort().values.tolist() == list(range(268))
    assert ids.tolist() != list(range(268))
    assert all(len(b.token_ids) == batch for b in batches[:-1])
    assert torch.equal(torch.cat([b.activations for b in batches]), ids[:, None].float().repeat(1, 4))
    assert torch.equal(torch.cat([b.documents for b in batches]), ids.long())
    assert torch.equal(torch.cat([b.positions for b in batches]), ids % 7)


def test_a_shuffle_depends_on_seed_and_epoch_only(tmp_path: Path) -> None:
    shards = _written(tmp_path, [100, 61])

    def order(**choice: int) -> list[int]:
        return torch.cat([b.token_ids for b in shards.shuffled(16, pool_tokens=64, block_tokens=8, **choice)]).tolist()

    assert order(seed=1) == order(seed=1, epoch=0)
    assert len({tuple(order(seed=s, epoch=e)) for s in (1, 2) for e in (0, 1)}) == 4


def test_a_pool_as_large_as_the_corpus_shuffles_all_of_it(tmp_path: Path) -> None:
    """Where a token goes has nothing to do with where it was: neighbours part, and the rank correlation is near 0."""
    shards = _written(tmp_path, [1_000, 1_000])
    ids = torch.cat([b.token_ids for b in shards.shuffled(100, seed=5, pool_tokens=4_000)]).double()
    assert abs(float(torch.corrcoef(torch.stack([ids, torch.arange(2_000.0, dtype=torch.float64)]))[0, 1])) < 0.1
    assert int((ids.diff() == 1).sum()) < 10


def test_two_sites_come_in_the_same_order(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    rows = capture_shards(model, corpus, SITES, tmp_path, model_hash="m", settings=SMALL)
    first, second = (ActivationShards(_folder(tmp_path, rows, site)).shuffled(16, seed=2) for site in SITES)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.token_ids, other.token_ids)
        assert torch.equal(one.documents, other.documents)


def test_a_half_batch_can_be_read_without_a_copy(tmp_path: Path) -> None:
    shards = _written(tmp_path, [64])
    (batch,) = shards.sequential(64, dtype=torch.float16)
    assert batch.activations.dtype == torch.float16
    (again,) = shards.sequential(64, dtype=torch.float16)
    assert batch.activations.data_ptr() == again.activations.data_ptr()


def test_sql_reads_the_vectors_and_only_reads(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    rows = capture_shards(model, corpus, SITES, tmp_path / "shards", model_hash="m", settings=SMALL)
    folder = _folder(tmp_path / "shards", rows, SITES[0])
    read = torch.cat([b.activations for b in ActivationShards(folder).sequential()])
    with closing(clickhouse_connect.get_client(interface="chdb", path=str(tmp_path / "store"))) as client:
        client.command(
            "CREATE TABLE activations (document Int64, position Int32, token_id Int32, activation Array(Float32))"
            f" ENGINE = File(Arrow, '{folder}/*.arrow')"
        )
        query = "SELECT L2Norm(activation), activation, token_id FROM activations WHERE document = 3 ORDER BY position"
        found = client.query(query, settings={"readonly": 1}).result_rows
        count = client.query("SELECT count(), any(length(activation)) FROM activations").result_rows
    chosen = corpus.starts[2], corpus.starts[3]
    assert count == [(corpus.tokens, 16)]
    assert [row[2] for row in found] == corpus.token_ids[slice(*chosen)].tolist()
    np.testing.assert_allclose([row[1] for row in found], read[slice(*chosen)].numpy(), rtol=1e-6)
    np.testing.assert_allclose([row[0] for row in found], read[slice(*chosen)].norm(dim=1).numpy(), rtol=1e-5)


def test_numbers_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    folder = ShardFolder.create(tmp_path, ActivationKey("m", "s", "c"), width=2, shard_tokens=8)
    columns = {"document": np.zeros(1, "i8"), "position": np.zeros(1, "i4"), "token_id": np.zeros(1, "i4")}
    with pytest.raises(ValueError, match="not finite as float16: allowed are finite ones up to 65504"):
        folder.write(0, columns, torch.tensor([[1.0, 70_000.0]]).half())
    with pytest.raises(ValueError, match=r"shape \(1, 3\) is not allowed: \(1 or more, 2\)"):
        folder.write(0, columns, torch.ones(1, 3).half())
    assert folder.shards() == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (CaptureSettings(memory_bytes=1_000), "^memory_bytes: 1,000 is not enough for 2 sites: .* are needed"),
        (CaptureSettings(shard_tokens=0), "^shard_tokens: 0 is not allowed"),
        (CaptureSettings(dtype="int8"), "^dtype: 'int8' is not allowed: one of float16, float32"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    model: Any, corpus: TokenCorpus, tmp_path: Path, settings: CaptureSettings, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        capture_shards(model, corpus, SITES, tmp_path, model_hash="m", settings=settings)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_capture_goes_on_and_gives_the_same_bytes(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    def killed(done: int, _all: int) -> None:
        if done > 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture_shards(model, corpus, SITES, tmp_path / "killed", model_hash="m", settings=SMALL, progress=killed)
    assert len(list((tmp_path / "killed").rglob("*.arrow"))) == 2 * len(SITES)
    rows = {}
    for name in ("killed", "whole"):
        rows[name] = capture_shards(model, corpus, SITES, tmp_path / name, model_hash="m", settings=SMALL)
    assert rows["killed"].drop("path").equals(rows["whole"].drop("path"))
    for one, other in zip(rows["killed"]["path"], rows["whole"]["path"], strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_models_that_were_captured_are_not_read_again(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    facts = [SimpleNamespace(model=name, weights_hash=name, tokenizer_hash=corpus.tokenizer_hash) for name in "ab"]
    models: list[Any] = [SimpleNamespace(model=model, facts=one) for one in facts]
    told: list[tuple[int, int]] = []

    def killed(done: int, every: int) -> None:
        told.append((done, every))
        if done > 150 + corpus.tokens:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture_models(models, [corpus], SITES, tmp_path, SMALL, killed)
    assert told == sorted(set(told))
    assert {every for _, every in told} == {2 * corpus.tokens}
    (rows,) = capture_models(models, [corpus], SITES, tmp_path, SMALL, lambda *_: None)
    assert rows.group_by("model", "site").agg(pl.col("tokens").sum())["tokens"].to_list() == [corpus.tokens] * 4


def test_heavy_padding_leaves_the_shards_as_they_would_be_without(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """One long document beside many short ones, padded to its length, or each in a pass of its own."""
    texts = ["a", "bc", "the quick brown fox jumps over the lazy dog, twice", "d", "red", "e f"]
    corpus = TokenCorpus.from_texts(texts, tokenizer, max_tokens=60)
    read = {}
    for name, tokens in (("padded", 6 * 60), ("alone", 1)):
        settings = CaptureSettings(batch_tokens=tokens, shard_tokens=1_000, dtype="float32")
        rows = capture_shards(model, corpus, SITES, tmp_path / name, model_hash="m", settings=settings)
        read[name] = {site: list(ActivationShards(_folder(tmp_path / name, rows, site)).sequential()) for site in SITES}
    for site in SITES:
        (padded,), (alone,) = read["padded"][site], read["alone"][site]
        assert torch.equal(padded.token_ids, alone.token_ids)
        torch.testing.assert_close(padded.activations, alone.activations, rtol=0, atol=1e-5)


def test_weights_that_are_no_numbers_leave_nothing_behind(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    poisoned = copy.deepcopy(model)
    with torch.no_grad():
        poisoned.gpt_neox.layers[1].mlp.dense_h_to_4h.bias[0] = float("nan")
    with pytest.raises(ValueError, match=r"^model: block 1 of GPTNeoXForCausalLM gives numbers that are NaN"):
        capture_shards(poisoned, corpus, SITES, tmp_path / "shards", model_hash="p", settings=SMALL)
    assert not (tmp_path / "shards").exists()


def test_several_folders_are_read_one_after_the_other(tmp_path: Path) -> None:
    first, second = (_written(tmp_path / name, [40, 20]).folders[0].path for name in ("1", "2"))
    both = ActivationShards(first, second)
    assert (both.tokens, both.sizes, both.width) == (120, (40, 20, 40, 20), 4)
    ids = torch.cat([batch.token_ids for batch in both.sequential(25)]).tolist()
    assert ids == [*range(60), *range(60)]
    shuffled = torch.cat([batch.token_ids for batch in both.shuffled(16, seed=0, pool_tokens=64, block_tokens=8)])
    assert sorted(shuffled.tolist()) == sorted(ids)
    assert token_ids_of(second / "shard-00001.arrow").tolist() == list(range(40, 60))


def test_folders_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    first = _written(tmp_path / "1", [40]).folders[0].path
    wide = _written(tmp_path / "2", [40], width=8).folders[0].path
    with pytest.raises(ValueError, match=r"has width and dtype \(8, 'float16'\): allowed are \(4, 'float16'\)"):
        ActivationShards(first, wide)
    with pytest.raises(ValueError, match="no folder is given"):
        ActivationShards()


def test_other_shards_are_not_mixed_with_those_that_are_there(model: Any, corpus: TokenCorpus, tmp_path: Path) -> None:
    capture_shards(model, corpus, SITES, tmp_path, model_hash="m", settings=SMALL)
    other = CaptureSettings(shard_tokens=50)
    with pytest.raises(ValueError, match=r"^shard_tokens: 50 is not allowed: .* was begun with 100"):
        capture_shards(model, corpus, SITES, tmp_path, model_hash="m", settings=other)


def test_no_folder_and_no_shard_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder of shards"):
        ActivationShards(tmp_path)
    empty = ShardFolder.create(tmp_path, ActivationKey("m", "s", "c"), width=2, shard_tokens=8)
    with pytest.raises(ValueError, match="holds 0 shards"):
        ActivationShards(empty.path)


@pytest.mark.parametrize("sizes", [(0, 64, 8), (16, 8, 8), (16, 20, 8), (16, 64, 0)])
def test_bad_sizes_are_refused(tmp_path: Path, sizes: tuple[int, int, int]) -> None:
    batch, pool, block = sizes
    with pytest.raises(ValueError, match="is not allowed"):
        next(iter(_written(tmp_path, [32]).shuffled(batch, seed=0, pool_tokens=pool, block_tokens=block)))
