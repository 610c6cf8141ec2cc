"""Several at once on one embedded store: processes, threads, a lock that is held, a process that was forked."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse import writer as clickhouse_writer
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.stores.faults import StoreBusy, StoreError

from .store_process import BATCHES, DAY, ROWS, TABLE, batch, write_batches

SCRIPT = Path(__file__).with_name("store_process.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "series"


@pytest.fixture
def store(folder: Path) -> ClickHouseStore:
    return ClickHouseStore(make_url(f"chdb:///{folder}"), lock_timeout=60)


def _start(program: str, folder: Path, number: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, SCRIPT, program, str(folder), str(number)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _all_there(store: ClickHouseStore, writers: int) -> None:
    for writer in range(writers):
        for name in (writer, 100 + writer):
            rows = store.read(TABLE, partition={"day": DAY, "writer": name})
            assert rows["n"].to_list() == list(range(BATCHES * ROWS)), name
    assert store.size(TABLE).rows == 2 * writers * BATCHES * ROWS


def test_processes_that_write_at_once_lose_nothing(store: ClickHouseStore, folder: Path) -> None:
    running = [_start("write", folder, number) for number in range(2)]
    write_batches(store, 2)
    for process in running:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors[-2000:]
    _all_there(store, 3)


def test_threads_that_write_at_once_lose_nothing(store: ClickHouseStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write_batches, store, writer) for writer in range(4)]:
            done.result()
    _all_there(store, 4)


def test_threads_that_replace_one_partition_leave_the_rows_of_one(store: ClickHouseStore) -> None:
    partition = {"day": DAY, "writer": 1}
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(store.replace, TABLE, partition, batch(1, n)) for n in range(12)]:
            done.result()
    found = store.read(TABLE)["n"].to_list()
    assert found[0] % ROWS == 0
    assert found == list(range(found[0], found[0] + ROWS))


def test_a_reader_sees_whole_partitions_while_they_are_replaced(store: ClickHouseStore) -> None:
    partition = {"day": DAY, "writer": 1}
    store.replace(TABLE, partition, batch(1, 0))
    ended = threading.Event()

    def replace() -> None:
        for number in range(15):
            store.replace(TABLE, partition, batch(1, number))
        ended.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(replace)
        seen = set()
        while not ended.is_set() and not writing.done():
            found = store.read(TABLE)["n"].to_list()
            assert found == list(range(found[0], found[0] + ROWS))
            seen.add(found[0])
        writing.result()
    assert seen


def test_the_last_thread_to_leave_lets_go_of_the_lock(store: ClickHouseStore, folder: Path) -> None:
    """It need not be the one that opened the store, and that one may live on."""
    opened, joined, ended, checked = (threading.Event() for _ in range(4))

    def first() -> None:
        with store.session():
            opened.set()
            joined.wait(30)
        ended.set()
        checked.wait(30)

    def second() -> None:
        opened.wait(30)
        with store.session():
            joined.set()
            ended.wait(30)

    with ThreadPoolExecutor(2) as pool:
        living = pool.submit(first)
        pool.submit(second).result(timeout=60)
        try:
            with FileLock(f"{folder}.lock", timeout=0):
                pass
        finally:
            checked.set()
        living.result(timeout=60)


def test_an_idle_process_holds_nothing(store: ClickHouseStore, folder: Path) -> None:
    store.create(TABLE)
    process = _start("hold", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.communicate("\n", timeout=30)


def test_a_held_store_names_its_holder(folder: Path) -> None:
    process = _start("hold", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        started = time.monotonic()
        with pytest.raises(
            StoreBusy, match=rf"held by process {process.pid} \(.*store_process\.py hold .*\) since 20"
        ) as caught:
            ClickHouseStore(make_url(f"chdb:///{folder}"), lock_timeout=0.3).create(TABLE)
        assert 0.3 <= time.monotonic() - started < 5
        assert "waited 0.3 s" in str(caught.value)
        assert "\n" not in str(caught.value)
    finally:
        process.communicate("\n", timeout=30)
    ClickHouseStore(make_url(f"chdb:///{folder}"), lock_timeout=5).create(TABLE)


def test_the_lock_of_a_killed_holder_is_free(folder: Path) -> None:
    process = _start("hold", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.communicate(timeout=30)
    ClickHouseStore(make_url(f"chdb:///{folder}"), lock_timeout=5).create(TABLE)


def test_a_second_folder_waits_for_the_first(store: ClickHouseStore, tmp_path: Path) -> None:
    other = ClickHouseStore(make_url(f"chdb:///{tmp_path / 'other'}"), lock_timeout=0.2)
    with store.session(), pytest.raises(StoreBusy, match=r"other: this process has .*series open; waited 0.2 s"):
        other.create(TABLE)
    other.create(TABLE)


def test_a_child_forked_after_use_is_told_so_and_a_spawned_one_works(folder: Path) -> None:
    process = _start("fork", folder)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors[-2000:]
    assert out == "the embedded store was used before this process was forked; start processes with 'spawn'\n"


def test_a_refused_write_leaves_no_staged_rows(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_writer, "BLOCK_ROWS", 10)

    def staged() -> int:
        with store.session() as client:
            return len(client.query("SELECT name FROM system.tables WHERE startsWith(name, '_staging_')").result_rows)

    def write() -> None:
        with store.replacing(TABLE, {"day": DAY, "writer": 2}) as writer:
            writer.write(batch(2, 0))
            assert staged() == 1
            writer.write(batch(1, 0))

    with pytest.raises(StoreError, match="a row with writer=1"):
        write()
    assert staged() == 0
