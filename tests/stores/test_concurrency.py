"""Several at once on one embedded store, and its owner: started, stopped, killed, idle, in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.commit import stage
from tracebank.engines.clickhouse.reach import beside, owner_of, stop
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.engines.clickhouse.writer import ClickHouseWriter
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


def test_readers_and_writers_at_once_all_come_to_their_end(store: ClickHouseStore, folder: Path) -> None:
    store.create(TABLE)
    running = [_start("write", folder, number) for number in range(4)]
    running += [_start("read", folder, number) for number in range(4)]
    for process in running:
        _, errors = process.communicate(timeout=250)
        assert process.returncode == 0, errors[-2000:]
    _all_there(store, 4)


def test_many_that_come_at_once_start_one_owner(folder: Path) -> None:
    running = [_start("owner", folder) for _ in range(6)]
    answers = [process.communicate(timeout=100) for process in running]
    assert all(process.returncode == 0 for process in running), answers
    assert len({out for out, _ in answers}) == 1


def test_the_sockets_are_this_users_alone(store: ClickHouseStore, folder: Path) -> None:
    store.create(TABLE)
    for role in ("engine", "reader"):
        assert beside(folder, f"{role}.sock").stat().st_mode & 0o777 == 0o600


def test_a_killed_owner_is_replaced_and_nothing_is_lost(store: ClickHouseStore, folder: Path) -> None:
    store.append(TABLE, batch(1, 0))
    for number in range(1, 4):
        os.kill(owner_of(folder), signal.SIGKILL)
        store.append(TABLE, batch(1, number))
    assert store.read(TABLE)["n"].to_list() == list(range(4 * ROWS))


def test_an_owner_goes_when_nobody_asks_and_comes_again(
    store: ClickHouseStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEBANK_OWNER_IDLE", "3")
    store.append(TABLE, batch(1, 0))
    gone = psutil.Process(owner_of(folder))
    gone.wait(timeout=60)
    assert not beside(folder, "engine.sock").exists()
    assert store.size(TABLE).rows == ROWS
    assert owner_of(folder) != gone.pid


def test_an_owner_that_is_asked_to_stop_ends_what_is_under_way(store: ClickHouseStore, folder: Path) -> None:
    store.append(TABLE, batch(1, 0))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(store.query, "SELECT count() AS n FROM writes WHERE sleepEachRow(0.02) = 0")
        while not _running(store):
            time.sleep(0.01)
        assert stop(folder)
        assert slow.result(timeout=30).to_pylist() == [{"n": ROWS}]
    assert not stop(folder)


def _running(store: ClickHouseStore) -> bool:
    text = (
        "SELECT count() AS n FROM system.processes WHERE query LIKE '%sleepEachRow(0.02%' AND query NOT LIKE '%LIKE%'"
    )
    return bool(store.query(text).to_pylist()[0]["n"])


def test_a_home_with_a_long_path_works_where_the_system_lets_it(tmp_path: Path) -> None:
    folder = tmp_path / ("a-long-name" * 10) / "series"
    store = ClickHouseStore(make_url(f"chdb:///{folder}"), lock_timeout=60)
    if sys.platform != "linux":
        with pytest.raises(StoreError, match=r"TRACEBANK_HOME: the socket path .* bytes; at most 100"):
            store.create(TABLE)
        return
    store.append(TABLE, batch(1, 0))
    assert store.size(TABLE).rows == ROWS


def test_a_holder_that_does_not_listen_is_told_of(folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    with (
        FileLock(f"{folder}.lock", timeout=0),
        pytest.raises(StoreBusy, match=r"its owner does not answer; waited 0.3 s") as caught,
    ):
        ClickHouseStore(make_url(f"chdb:///{folder}"), lock_timeout=0.3).create(TABLE)
    assert "\n" not in str(caught.value)


def test_what_an_owner_cannot_open_is_its_last_word(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "metadata").write_text("not a folder")
    with pytest.raises(StoreError, match=r"series store .*series: cannot be opened: ") as caught:
        ClickHouseStore(make_url(f"chdb:///{folder}"), lock_timeout=30).create(TABLE)
    assert "\n" not in str(caught.value)


def test_children_forked_and_spawned_after_use_work(folder: Path) -> None:
    process = _start("fork", folder)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors[-2000:]


def test_rows_that_wait_are_those_of_a_writer_that_lives(store: ClickHouseStore) -> None:
    """Writers are known by their ids: what one of this very process left is cleared up, if it is gone."""
    store.append(TABLE, batch(1, 0))
    partition = "tuple('1970-01-01', 1)"
    for kind in ("staging", "commit"):
        with store.session() as client:
            stage(client, "series", TABLE.name, "gone", None if kind == "commit" else partition)
            client.insert_arrow("_staging_writes_gone", batch(1, 1).to_arrow(), database="series")
            if kind == "commit":
                client.command("RENAME TABLE series._staging_writes_gone TO series._commit_writes_gone")
        store.append(TABLE, batch(2, 0))
    assert store.read(TABLE, partition={"day": DAY, "writer": 1})["n"].to_list() == list(range(2 * ROWS))
    assert store.differences(TABLE) == []


def test_rows_of_damaged_parts_are_not_passed_over(store: ClickHouseStore, folder: Path) -> None:
    store.append(TABLE, [batch(1, 0), batch(2, 0)])
    stop(folder)
    part = next(path for path in (folder / "store").rglob("columns.txt") if "detached" not in path.parts)
    part.unlink()
    [damage] = store.damage()
    assert damage.table == TABLE.name
    with pytest.raises(StoreError, match=r"series.writes: rows of partition .* are damaged and missing.*db repair"):
        store.read(TABLE)
    assert store.discard_damage() == [damage]
    assert store.read(TABLE).height == ROWS
    stop(folder)


def test_a_damaged_partition_that_is_written_anew_is_whole(store: ClickHouseStore, folder: Path) -> None:
    partition = {"day": DAY, "writer": 1}
    store.replace(TABLE, partition, batch(1, 0))
    stop(folder)
    next((folder / "store").rglob("columns.txt")).unlink()
    assert len(store.damage()) == 1
    store.replace(TABLE, partition, batch(1, 0))
    assert store.damage() == []
    assert store.read(TABLE).height == ROWS


def test_a_refused_write_leaves_no_staged_rows(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClickHouseWriter, "block_rows", 10)

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
