"""`series.activations`: shards of activations in the one SQL, which of them are opened, and where there is no view."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sqlalchemy.engine import make_url
from tests.stores.engines import clickhouse_double

from tracebank.engines.clickhouse import activations
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.query.catalogue import tables
from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_models.activations.shards import DTYPES, ActivationKey, ShardFolder
from tracebank_schemas.activations import ActivationShard

ROWS = 30
COLUMNS = {
    "activation_hash": pl.String,
    "shard": pl.Int64,
    "document": pl.Int64,
    "position": pl.Int32,
    "token_id": pl.Int32,
    "activation": pl.List(pl.Float32),
}


def write(root: Path, site: str, shard: int, *, dtype: str = "float16", width: int = 3) -> pl.DataFrame:
    """Write a shard; what SQL is to show of it."""
    key = ActivationKey("model hash", site, "corpus", dtype)
    folder = ShardFolder.create(root, key, width=width, shard_tokens=ROWS)
    rows = np.arange(ROWS)
    columns = {
        "document": rows // 4 + 100 * shard,
        "position": (rows % 4).astype(np.int32),
        "token_id": (rows * 7 % 11).astype(np.int32),
    }
    vectors = torch.randn((ROWS, width), generator=torch.Generator().manual_seed(shard)).to(DTYPES[dtype])
    folder.write(shard, columns, vectors)
    fixed = {"activation_hash": pl.lit(key.hash), "shard": pl.lit(shard, pl.Int64)}
    shown = {**columns, "activation": vectors.float().tolist()}
    return pl.DataFrame(shown).with_columns(**fixed).select(*COLUMNS).cast(COLUMNS)  # type: ignore[arg-type]


def register(settings: Settings, model: str, site: str, shards: int, dtype: str = "float16") -> str:
    """Put a folder's shards into the catalogue, as a capture does."""
    key = ActivationKey("model hash", site, "corpus", dtype)
    folder = ShardFolder.open(settings.activations / key.hash)
    store = open_relational(settings)
    with store.session() as session:
        session.add_all(ActivationShard(model=model, **folder.row(shard)) for shard in range(shards))
    store.close()
    return key.hash


def break_shard(root: Path, name: str = "broken") -> None:
    """Leave a shard that cannot be read, beside the others."""
    (root / name).mkdir(parents=True)
    (root / name / "shard-00000.arrow").write_bytes(b"no Arrow file")


@pytest.fixture
def stored(tmp_path: Path) -> Settings:
    """Embedded stores, upgraded, without a shard; their folder's name needs quoting."""
    settings = Settings.load(home=tmp_path / "it's a home", lock_timeout=60)
    assert upgrade(settings).activations == ""
    return settings


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, pl.DataFrame]:
    """Two folders of two shards, of both dtypes and of two widths, in the catalogue."""
    settings = Settings.load(home=tmp_path_factory.mktemp("filled"), lock_timeout=60)
    upgrade(settings)
    frames = [write(settings.activations, "layers.0.mlp", shard) for shard in range(2)]
    frames += [write(settings.activations, "layers.1.mlp", shard, dtype="float32", width=5) for shard in range(2)]
    register(settings, "base", "layers.0.mlp", 2)
    register(settings, "tuned", "layers.1.mlp", 2, "float32")
    return settings, pl.concat(frames)


def test_without_a_shard_there_are_no_rows(stored: Settings) -> None:
    for made in (False, True):
        if made:
            stored.activations.mkdir()
        found = Connection(stored).sql("SELECT * FROM activations")
        assert (found.height, dict(found.schema)) == (0, COLUMNS)


def test_vectors_of_both_dtypes_and_any_width_come_back(filled: tuple[Settings, pl.DataFrame]) -> None:
    settings, expected = filled
    found = Connection(settings).sql("SELECT * FROM series.activations")
    order = ["activation_hash", "shard", "document", "position"]
    assert dict(found.schema) == COLUMNS
    assert found.sort(order).equals(expected.sort(order))


def test_arithmetic_on_vectors(filled: tuple[Settings, pl.DataFrame]) -> None:
    settings, expected = filled
    found = Connection(settings).sql(
        "SELECT activation_hash, sqrt(sum(arraySum(x -> x * x, activation))) AS norm, max(activation[2]) AS second"
        " FROM activations GROUP BY activation_hash ORDER BY activation_hash"
    )
    for name, norm, second in found.rows():
        vectors = np.array(expected.filter(activation_hash=name)["activation"].to_list())
        assert norm == pytest.approx(np.linalg.norm(vectors), rel=1e-6)
        assert second == pytest.approx(vectors[:, 1].max())


ONLY = {
    "hash": "activation_hash = {hash:String}",
    "shard": "activation_hash = {hash:String} AND shard = 1 AND position < 3",
    "catalogue": (
        "(activation_hash, shard) IN (SELECT activation_hash, shard FROM relational.activation_shards"
        " WHERE model = 'tuned' AND site = 'layers.1.mlp')"
    ),
    "documents": (
        "(activation_hash, shard) IN (SELECT activation_hash, shard FROM relational.activation_shards"
        " WHERE model = 'tuned' AND 101 BETWEEN first_document AND last_document) AND document = 101"
    ),
}


@pytest.mark.parametrize("relational", ["sqlite", "postgresql"])
def test_only_the_files_that_a_query_means_are_opened(
    relational: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each other file is broken, so that opening it would fail."""
    url = request.getfixturevalue("postgres_url") if relational == "postgresql" else f"sqlite:///{tmp_path / 'r.db'}"
    settings = Settings.load(home=tmp_path / "home", relational_url=url, lock_timeout=60)
    upgrade(settings)
    expected = pl.concat([write(settings.activations, "layers.1.mlp", shard) for shard in range(2)])
    hashed = register(settings, "tuned", "layers.1.mlp", 2)
    break_shard(settings.activations)
    connection = Connection(settings)
    with pytest.raises(SqlError):
        connection.sql("SELECT sum(position) FROM activations")
    counts = {}
    for name, only in ONLY.items():
        parameters = {"hash": hashed} if "{hash" in only else {}
        counts[name] = connection.sql(f"SELECT count() AS n, sum(position) AS p FROM activations WHERE {only}",
                                      parameters=parameters).rows()[0]  # fmt: skip
    second = expected.filter(pl.col("shard") == 1)
    assert counts == {
        "hash": (60, expected["position"].sum()),
        "shard": (second.filter(pl.col("position") < 3).height, second["position"].replace(3, 0).sum()),
        "catalogue": (60, expected["position"].sum()),
        "documents": (4, 6),
    }
    # One shard alone: its neighbour is broken now.
    (settings.activations / hashed / "shard-00000.arrow").write_bytes(b"no Arrow file")
    for name in ("shard", "documents"):
        parameters = {"hash": hashed} if name == "shard" else {}
        query = f"SELECT count() AS n FROM activations WHERE {ONLY[name]}"
        assert connection.sql(query, parameters=parameters)["n"].item() == counts[name][0]


def test_what_a_writer_is_at_is_not_read(stored: Settings) -> None:
    write(stored.activations, "layers.0.mlp", 0)
    [folder] = stored.activations.iterdir()
    (folder / ".shard-00001.arrow.0123.tmp").write_bytes(b"half of it")
    assert Connection(stored).sql("SELECT sum(shard) AS s, count() AS n FROM activations").rows() == [(0, ROWS)]


def test_new_shards_show_while_an_older_query_keeps_its_list(stored: Settings) -> None:
    write(stored.activations, "layers.0.mlp", 0)
    connection = Connection(stored)
    with connection.open("SELECT shard, position FROM activations") as answer:
        for shard in (1, 2, 3):
            write(stored.activations, "layers.0.mlp", shard)
            found = connection.sql("SELECT groupUniqArray(shard) AS s FROM activations")["s"].item()
            assert sorted(found) == list(range(shard + 1))
        assert sum(batch.num_rows for batch in answer.batches) == ROWS
    shutil.rmtree(stored.activations)
    assert connection.sql("SELECT count() AS n FROM activations")["n"].item() == 0


def test_tables_over_files_do_not_pile_up(stored: Settings) -> None:
    store = open_series(stored)
    assert isinstance(store, ClickHouseStore)
    with store.session() as client:
        for shard in range(5):
            write(stored.activations, "layers.0.mlp", shard)
            for _ in range(2):
                assert activations.attach(client, store.database, stored.activations, embedded=True) == ""
        assert len(activations._tables(client, activations.FILES)) <= 2


def test_threads_that_ask_while_shards_are_written(stored: Settings) -> None:
    faults: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        connection, seen = Connection(stored), 0
        try:
            while not done.is_set():
                found = connection.sql("SELECT count() AS n FROM activations")["n"].item()
                assert found >= seen, (found, seen)
                seen = found
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for shard in range(12):
        write(stored.activations, "layers.0.mlp", shard)
        Connection(stored).sql("SELECT count() FROM activations")
    done.set()
    for thread in threads:
        thread.join(timeout=60)
    assert faults == []
    assert Connection(stored).sql("SELECT count() AS n FROM activations")["n"].item() == 12 * ROWS


def test_a_home_that_moved_is_read_where_it_is(stored: Settings, tmp_path: Path) -> None:
    write(stored.activations, "layers.0.mlp", 0)
    assert Connection(stored).sql("SELECT count() AS n FROM activations")["n"].item() == ROWS
    shutil.move(stored.home, tmp_path / "moved")
    there = Settings.load(home=tmp_path / "moved", lock_timeout=60)
    assert Connection(there).sql("SELECT count() AS n FROM activations")["n"].item() == ROWS
    shown = Connection(there).sql("SHOW CREATE TABLE series.activations").row(0)[0]
    assert str(tmp_path) not in shown


def test_tables_tells_what_it_is(filled: tuple[Settings, pl.DataFrame], stored: Settings) -> None:
    [found] = [
        table for table in tables(Connection(filled[0])) if (table.database, table.name) == ("series", "activations")
    ]
    files = list(filled[0].activations.glob("*/*.arrow"))
    assert (found.rows, found.bytes) == (4 * ROWS, sum(path.stat().st_size for path in files))
    assert found.doc == activations.DOC
    assert [column.name for column in found.columns] == list(COLUMNS)
    assert all(column.doc for column in found.columns)
    [empty] = [table for table in tables(Connection(stored)) if table.name == "activations"]
    assert (empty.rows, empty.bytes) == (0, 0)
    assert not [table for table in tables(Connection(stored)) if table.database.startswith("_")]


def test_the_tables_over_files_are_out_of_reach(stored: Settings) -> None:
    with pytest.raises(SqlError, match="the databases within reach are"):
        Connection(stored).sql("SELECT * FROM _activations.x")


def test_a_folder_whose_name_is_a_pattern_is_told(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path / "{a,b}", lock_timeout=60)
    said = "has { } in its name, which ClickHouse takes for a pattern; use another folder"
    assert upgrade(settings).activations.endswith(said)
    with pytest.raises(SqlError, match=r"activations.*has { } in its name"):
        Connection(settings).sql("SELECT count() FROM activations")
    assert Connection(settings).sql("SELECT 'activations' AS a")["a"].item() == "activations"
    assert "activations" not in {table.name for table in tables(Connection(settings))}


def test_system_tables_can_be_read_without_a_shard(stored: Settings) -> None:
    found = Connection(stored).sql("SELECT name, data_paths FROM system.tables WHERE position(name, 'activations') > 0")
    assert "activations" in found["name"].to_list()


@pytest.mark.parametrize("engine", ["duckdb", "postgresql"])
def test_other_engines_do_not_list_it(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path / 's.duckdb'}" if engine == "duckdb" else request.getfixturevalue("postgres_url")
    settings = Settings.load(home=tmp_path / "home", series_url=url, relational_url=f"sqlite:///{tmp_path / 'r.db'}")
    assert upgrade(settings).activations == ""
    assert {table.name for table in tables(Connection(settings))} >= {"training_curves", "activation_shards"}
    assert "activations" not in {table.name for table in tables(Connection(settings))}
    with pytest.raises(SqlError, match="activations"):
        Connection(settings).sql("SELECT * FROM activations")


@pytest.fixture
def on_server(tmp_path: Path) -> Iterator[Settings]:
    """A series store on the double of a server, which sees this machine's files."""
    url = make_url(clickhouse_double()).set(database=f"activations_{tmp_path.name}")
    text = url.render_as_string(hide_password=False)
    settings = Settings.load(home=tmp_path / "home", series_url=text, relational_url=f"sqlite:///{tmp_path / 'r.db'}")
    yield settings
    with _on(settings).session() as client:
        client.command(f"DROP DATABASE IF EXISTS {_on(settings).database} SYNC")


def _on(settings: Settings) -> ClickHouseStore:
    store = open_series(settings)
    assert isinstance(store, ClickHouseStore)
    return store


def test_a_server_that_sees_the_files_shows_them(on_server: Settings) -> None:
    assert upgrade(on_server).activations == ""
    assert _on(on_server).query("SELECT * FROM activations").num_rows == 0
    expected = write(on_server.activations, "layers.0.mlp", 0)
    with _on(on_server).session() as client:
        assert activations.attach(client, _on(on_server).database, on_server.activations, embedded=False) == ""
    found = pl.from_arrow(_on(on_server).query("SELECT * FROM activations ORDER BY document, position"))
    assert isinstance(found, pl.DataFrame)
    assert found.cast(COLUMNS).equals(expected.sort("document", "position"))  # type: ignore[arg-type]


def test_a_server_that_does_not_see_the_files_has_no_view_and_says_why(
    on_server: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert upgrade(on_server).activations == ""
    names = "SELECT name FROM system.tables WHERE database = currentDatabase()"
    assert "activations" in _on(on_server).query(names)["name"].to_pylist()
    # Here is a shard, and where the server looks there is none.
    monkeypatch.setattr(activations, "_listed", lambda _: ["0/shard-00000.arrow"])
    assert upgrade(on_server).activations == (
        f"the ClickHouse server does not see {on_server.activations}; mount it there, at that path and within its"
        " user_files"
    )
    assert "activations" not in _on(on_server).query(names)["name"].to_pylist()
