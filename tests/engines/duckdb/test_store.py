"""DuckDB's file: what is wrong with it, who has it open, and that writes cost no more than their partition."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from tests.stores.conformance import BTC, DAY, ETH, TICKS, ticks

from tracebank.engines.duckdb.store import DuckDBStore
from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.faults import SchemaDrift, StoreBusy, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "series.duckdb"


@pytest.fixture
def store(path: Path) -> DuckDBStore:
    return DuckDBStore(path, lock_timeout=30)


def _newer(path: Path) -> None:
    """The file as of a version that is to come, its header's checksum right."""
    data = bytearray(path.read_bytes())
    data[12:20] = struct.pack("<Q", 1000)
    checksum = 5381
    for (value,) in struct.iter_unpack("<Q", data[8:4096]):
        checksum ^= value * 0xBF58476D1CE4E5B9 % 2**64
    data[:8] = struct.pack("<Q", checksum)
    path.write_bytes(data)


def _damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"z" * 8192
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_newer, f"a newer DuckDB wrote it than the one installed, {duckdb.__version__}; pip install --upgrade duckdb"),
        (_damaged, "it is damaged; restore it, or move it away and materialise again"),
        (_cut, "it is cut short; restore it, or move it away and materialise again"),
        (_folder, "it is a folder; name a file in TRACEBANK_SERIES_URL"),
        (lambda path: path.write_bytes(b""), "it is no DuckDB file; name another, or move it away"),
        (lambda path: path.write_text("hello " * 5000), "it is no DuckDB file; name another, or move it away"),
    ],
    ids=["newer", "damaged", "cut", "folder", "empty", "text"],
)
def test_a_file_that_cannot_be_opened_says_why(spoil, says: str, store: DuckDBStore, path: Path) -> None:  # type: ignore[no-untyped-def]
    store.replace(TICKS, BTC, ticks(100))
    spoil(path)
    settings = Settings.load(home=path.parent, series_url=f"duckdb:///{path}")
    uses = (
        lambda: store.read(TICKS),
        lambda: store.replace(TICKS, BTC, ticks(5)),
        lambda: Connection(settings).sql("SELECT 1"),
    )
    for use in uses:
        with pytest.raises(StoreError) as caught:
            use()
        assert str(caught.value).startswith(f"series store {path}: {says}")
        assert len(str(caught.value).splitlines()) == 1


def test_a_folder_that_takes_no_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"^series store .*/file/deeper/s\.duckdb: Not a directory$"):
        DuckDBStore(tmp_path / "file" / "deeper" / "s.duckdb").create(TICKS)


READ_ONLY_DISK = """
set -e
mount -t tmpfs none "$1"
"$2" -c "import duckdb; duckdb.connect('$1/s.duckdb').execute('CREATE TABLE t AS SELECT 1 AS a').close()"
mount -o remount,ro "$1"
exec "$2" -c "
from pathlib import Path
from tracebank.engines.duckdb.store import DuckDBStore
from tracebank.query.connection import Connection
from tracebank.settings import Settings
from tracebank.stores.faults import StoreError
try:
    DuckDBStore(Path('$1/s.duckdb')).query('SELECT 1')
except StoreError as error:
    print(error)
print(Connection(Settings.load(home='$3', series_url='duckdb:///$1/s.duckdb')).sql('SELECT a FROM t').rows())
"
"""


def test_a_disk_that_is_read_only_says_so_and_is_read(tmp_path: Path) -> None:
    place, home = tmp_path / "disk", tmp_path / "home"
    place.mkdir()
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY_DISK, "sh", place, sys.executable, home]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in found.stderr or "mount" in found.stderr:
        pytest.skip("no leave to mount")
    said, rows = found.stdout.splitlines()
    assert said.startswith(f"series store {place}/s.duckdb: it lies on a file system that is read-only")
    assert rows == "[(1,)]"


# --- others -----------------------------------------------------------------------------------------------------------


def test_a_file_that_another_process_writes_is_waited_for(store: DuckDBStore, path: Path) -> None:
    store.create(TICKS)
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        settings = Settings.load(home=path.parent, series_url=f"duckdb:///{path}", lock_timeout=0.2)
        for use in (
            lambda: DuckDBStore(path, lock_timeout=0.2).read(TICKS),
            lambda: Connection(settings).sql("SELECT 1"),
        ):
            with pytest.raises(
                StoreBusy, match=r"somebody else has it open, and did not close it within 0\.2 s; stop it"
            ):
                use()
        other.stdin.close()
        assert store.replace(TICKS, BTC, ticks(5)).rows == 5


def test_a_reader_waits_for_a_writer_of_its_own_process(store: DuckDBStore, path: Path) -> None:
    settings = Settings.load(home=path.parent, series_url=f"duckdb:///{path}", lock_timeout=0.2)
    with store.session(), pytest.raises(StoreBusy):
        Connection(settings).sql("SELECT 1")
    with Connection(settings).open("SELECT 1 AS x") as one, Connection(settings).open("SELECT 2 AS x") as other:
        assert [batch.to_pylist() for answer in (one, other) for batch in answer.batches] == [[{"x": 1}], [{"x": 2}]]
        with pytest.raises(StoreBusy):
            DuckDBStore(path, lock_timeout=0.2).create(TICKS)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_notes_of_earlier_versions_are_understood(store: DuckDBStore) -> None:
    store.append(TICKS, ticks(3))
    keys = {"sort key": list(TICKS.sort_key), "partition key": ["day(ts)", "symbol"]}
    store.query(f"COMMENT ON TABLE ticks IS '{json.dumps({'doc': 'ticks', **keys})}'")
    assert store.differences(TICKS) == []
    store.query("COMMENT ON TABLE ticks IS 'somebody else wrote this'")
    assert [d.what for d in store.differences(TICKS)] == ["partition key", "sort key"]
    with pytest.raises(SchemaDrift, match="not noted"):
        store.create(TICKS)


def test_partitions_are_counted_by_the_engine(store: DuckDBStore) -> None:
    eve = DAY - timedelta(days=1)
    store.append(TICKS, [ticks(20, "ETH"), ticks(10), ticks(5, day=eve)])
    assert store.partitions(TICKS) == [({"day": eve, "symbol": "BTC"}, 5), (BTC, 10), (ETH, 20)]


def _write_while_altered(store: DuckDBStore) -> None:
    with store.replacing(TICKS, BTC) as writer:
        writer.write(ticks(writer.block_rows))
        store.query("ALTER TABLE ticks ADD COLUMN more INT")


def test_what_the_engine_refuses_in_a_write_is_one_line_and_the_old_rows_stand(store: DuckDBStore) -> None:
    store.replace(TICKS, BTC, ticks(5))
    with pytest.raises(StoreError) as caught:
        _write_while_altered(store)
    assert len(str(caught.value).splitlines()) == 1
    assert store.query("SELECT count(*) AS n FROM ticks").to_pylist() == [{"n": 5}]


# --- writes cost their partition --------------------------------------------------------------------------------------


def _filled(store: DuckDBStore, partitions: int, rows: int) -> None:
    store.append(TICKS, (ticks(rows, day=DAY + timedelta(days=at)) for at in range(partitions)))


def test_a_replace_reads_the_row_groups_of_its_partition_alone(store: DuckDBStore) -> None:
    _filled(store, 40, 50_000)
    text = store.dialect.select(TICKS, "ticks", partition={"day": DAY + timedelta(days=20), "symbol": "BTC"})
    with store.session() as connection:
        [(_, plan)] = connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {text}").fetchall()
    assert 50_000 <= json.loads(plan)["query"]["total_rows_scanned"] <= 4 * 122_880


def test_replaces_do_not_grow_the_file(store: DuckDBStore, path: Path) -> None:
    _filled(store, 20, 10_000)
    store.replace(TICKS, BTC, ticks(10_000))
    before = path.stat().st_size
    for at in range(40):
        day = DAY + timedelta(days=at % 20)
        store.replace(TICKS, {"day": day, "symbol": "BTC"}, ticks(10_000, day=day, price=float(at)))
    assert path.stat().st_size < 2 * before + (4 << 20)
    assert not path.with_name(f"{path.name}.wal").exists()
    assert store.size(TICKS).rows == 200_000
    assert isinstance(store.read(TICKS, partition=BTC), pl.DataFrame)
