"""What a killed writer, a full disk and a read-only folder leave: the old rows or the new ones, and nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.reach import stop
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.stores.faults import StoreError

from .killed_writer import DAY, ROWS, TABLE, frame

BTC = {"day": DAY, "symbol": "BTC"}
SCRIPT = Path(__file__).with_name("killed_writer.py")


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with rows of version 0 in three partitions."""
    folder = tmp_path_factory.mktemp("standing") / "series"
    ClickHouseStore(make_url(f"chdb:///{folder}")).append(TABLE, [frame(0), frame(0, "ETH"), frame(0, "SOL")])
    return folder


def _killed(scenarios: list[dict[str, Any]], folder: Path, standing: Path) -> list[ClickHouseStore]:
    """Run the scenarios, each on a copy of the store that stands, two at a time."""
    plain = {"statement": "", "when": "", "delay": 0.0, "append": False, "who": "writer"}
    full = [plain | scenario | {"folder": str(folder / str(at))} for at, scenario in enumerate(scenarios)]
    for scenario in full:
        shutil.copytree(standing, scenario["folder"], symlinks=True)
    commands = [[sys.executable, SCRIPT, json.dumps(full[half::2])] for half in range(2)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in running:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors[-2000:]
    for one in full:  # whoever comes next clears up first
        stop(Path(one["folder"]))
    return [ClickHouseStore(make_url(f"chdb:///{one['folder']}"), lock_timeout=20) for one in full]


def _nothing_is_left(store: ClickHouseStore, folder: Path) -> None:
    with store.session() as client:
        tables = [
            row[0] for row in client.query("SELECT name FROM system.tables WHERE database = 'series'").result_rows
        ]
    assert tables == ["ticks"]
    assert list(folder.with_name(f"{folder.name}.spool").glob("*")) == []
    # An empty one is of a writer that died before it had said who it was; it goes after a minute.
    signs = (folder.parent / "held").glob(f"{folder.name}-writer-*")
    assert [sign for sign in signs if sign.stat().st_size] == []
    stop(folder)


def test_kill_at_random_moments_of_a_replace(tmp_path: Path, standing: Path) -> None:
    delays = random.Random()  # a new draw each time: every run of the suite tries other moments
    drawn = [delays.uniform(0, 0.4) for _ in range(3)]
    who = ("writer", "owner", "both")
    scenarios = [{"kind": "random", "delay": delay, "who": who[at]} for at, delay in enumerate(drawn)]
    stores = _killed(scenarios, tmp_path, standing)
    for at, store in enumerate(stores):
        rows = store.read(TABLE, partition=BTC)
        assert rows["version"].n_unique() == 1, f"killed after {drawn[at]} s: {rows['version'].value_counts()}"
        assert_frame_equal(rows, frame(rows["version"][0]))
        assert_frame_equal(store.read(TABLE, partition={"day": DAY, "symbol": "ETH"}), frame(0, "ETH"))
        _nothing_is_left(store, tmp_path / str(at))
        store.replace(TABLE, BTC, frame(99))
        assert_frame_equal(store.read(TABLE, partition=BTC), frame(99))


OLD, NEW = 0, 1
POINTS = {
    ('CREATE TABLE "series"."_staging_', "before", "both"): OLD,
    ('CREATE TABLE "series"."_staging_', "after", "writer"): OLD,
    ("RENAME TABLE", "before", "writer"): OLD,
    ("RENAME TABLE", "after", "writer"): NEW,
    ("RENAME TABLE", "after", "owner"): NEW,
    ("REPLACE PARTITION", "before", "both"): NEW,
    ("REPLACE PARTITION", "after", "writer"): NEW,
    ("REPLACE PARTITION", "after", "owner"): NEW,
    ('DROP TABLE "series"."_commit_', "after", "both"): NEW,
}


def test_kill_between_the_steps_of_a_replace(tmp_path: Path, standing: Path) -> None:
    scenarios = [{"kind": "point", "statement": text, "when": when, "who": who} for text, when, who in POINTS]
    for at, (store, version) in enumerate(zip(_killed(scenarios, tmp_path, standing), POINTS.values(), strict=True)):
        found = store.read(TABLE, partition=BTC)
        assert found.equals(frame(version)), scenarios[at]
        _nothing_is_left(store, tmp_path / str(at))


def test_kill_inside_replace_partition(tmp_path: Path, standing: Path) -> None:
    drawn = [random.uniform(0, 0.003) for _ in range(3)]
    point = {"kind": "point", "statement": "REPLACE PARTITION", "when": "during", "who": "both"}
    scenarios = [point | {"delay": delay} for delay in drawn]
    for at, store in enumerate(_killed(scenarios, tmp_path, standing)):
        assert store.read(TABLE, partition=BTC).equals(frame(NEW)), drawn[at]
        assert_frame_equal(store.read(TABLE, partition={"day": DAY, "symbol": "ETH"}), frame(0, "ETH"))
        _nothing_is_left(store, tmp_path / str(at))


APPEND_POINTS = {
    ("RENAME TABLE", "before", "both"): False,
    ("RENAME TABLE", "after", "writer"): True,
    ("MOVE PARTITION", "before", "owner"): True,
    ("MOVE PARTITION", "half", "both"): True,
    ("MOVE PARTITION", "after", "both"): True,
    ('DROP TABLE "series"."_commit_', "before", "writer"): True,
}


def test_kill_between_the_steps_of_an_append_adds_all_or_nothing(tmp_path: Path, standing: Path) -> None:
    scenarios = [
        {"kind": "point", "statement": text, "when": when, "who": who, "append": True}
        for text, when, who in APPEND_POINTS
    ]
    for at, (store, added) in enumerate(
        zip(_killed(scenarios, tmp_path, standing), APPEND_POINTS.values(), strict=True)
    ):
        for symbol in ("BTC", "ETH", "SOL"):
            found = store.read(TABLE, partition={"day": DAY, "symbol": symbol})["version"].value_counts(sort=True)
            wanted = {0: ROWS, 1: ROWS} if added else {0: ROWS}
            assert dict(found.iter_rows()) == wanted, (scenarios[at], symbol)
        _nothing_is_left(store, tmp_path / str(at))


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"cannot mount a small file system here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def _noise(rows: int, version: int) -> pl.DataFrame:
    """Rows that do not compress."""
    values = np.random.default_rng(version).integers(-(2**63), 2**63 - 1, rows)
    return frame(version, rows=rows).with_columns(version=pl.Series(values))


def test_a_full_disk_leaves_the_old_rows(tiny_disk: Path) -> None:
    store = ClickHouseStore(make_url(f"chdb:///{tiny_disk / 'series'}"))
    store.replace(TABLE, BTC, frame(1))
    with pytest.raises(StoreError, match="the disk is full") as caught:
        store.replace(TABLE, BTC, (_noise(300_000, at) for at in range(2, 30)))
    assert "\n" not in str(caught.value)
    assert_frame_equal(store.read(TABLE, partition=BTC), frame(1))
    with pytest.raises(StoreError, match="the disk is full"):
        store.append(TABLE, (_noise(300_000, at) for at in range(2, 30)))
    assert_frame_equal(store.read(TABLE), frame(1))
    _nothing_is_left(store, tiny_disk / "series")
    store.replace(TABLE, BTC, frame(2))
    assert_frame_equal(store.read(TABLE), frame(2))


def _read_only_mount(folder: Path) -> Callable[[], None] | None:
    """Make a folder read-only, even for root; gives what undoes it, or None where that cannot be done."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        return lambda: folder.chmod(0o700)
    for step in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
        if subprocess.run(step, capture_output=True, check=False).returncode:
            return None
    return lambda: subprocess.run(["umount", "-l", folder], check=True) and None


def test_a_read_only_folder_gives_one_clear_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = ClickHouseStore(make_url(f"chdb:///{home / 'series'}"))
    store.replace(TABLE, BTC, frame(1))
    undo = _read_only_mount(home)
    if undo is None:
        pytest.skip("cannot make a folder read-only for root here: mount is not permitted")
    try:
        with pytest.raises(StoreError, match=r"series store .*/home/series: cannot be written: (Read-only|Permission)"):
            store.replace(TABLE, BTC, frame(2))
    finally:
        undo()
    assert_frame_equal(store.read(TABLE, partition=BTC), frame(1))


def test_a_folder_that_is_a_file_gives_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "series").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be opened: File exists"):
        ClickHouseStore(make_url(f"chdb:///{tmp_path / 'series'}")).create(TABLE)


# --- growth -----------------------------------------------------------------------------------------------------------


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_replacing_twenty_times_does_not_grow_the_disk(tmp_path: Path) -> None:
    store = ClickHouseStore(make_url(f"chdb:///{tmp_path / 'series'}"))
    rows = 100_000
    for version in range(2):
        store.replace(TABLE, BTC, _noise(rows, version))
    at_first = _on_disk(tmp_path / "series")
    for version in range(20):
        store.replace(TABLE, BTC, _noise(rows, version))
    size = store.size(TABLE)
    assert size.rows == rows
    # What grows with each write is a few hundred bytes of metadata, not the rows that were replaced.
    assert _on_disk(tmp_path / "series") - at_first < size.bytes / 2
